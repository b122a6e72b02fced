# Storage: the class `local`, and folders of each node as volumes of it.

VOLUMES_PER_NODE=6

# create_volumes: those that are missing; others stay as they are, bound or not.
create_volumes() {
  local node i
  {
    cat <<EOF
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: local}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
EOF
    for node in "${NODES[@]}"; do
      for ((i = 1; i <= VOLUMES_PER_NODE; i++)); do
        mkdir -p "$(volume_folder "node-$node-$i")"
        cat <<EOF
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: node-$node-$i}
spec:
  storageClassName: local
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  local: {path: /var/lib/volumes/node-$node-$i}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node-$node]}]
EOF
      done
    done
  } | kubectl apply --server-side -f - >/dev/null
}

# volume_folder VOLUME: where this machine sees what is in it.
volume_folder() { echo "$STATE/${1%-*}/var/lib/volumes/$1"; }
