# etcd, API server, controllers and scheduler: ordinary processes of this
# machine that listen on its LAN address.

start_etcd() {
  alive etcd && return
  # An API server that has lost its etcd may try again only after two minutes.
  stop kube-apiserver KILL
  # Without fsync a power cut of this machine may lose the cluster; it starts much faster.
  start etcd etcd --data-dir "$STATE/etcd" --unsafe-no-fsync \
    --listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
    --listen-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" \
    --initial-advertise-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" \
    --initial-cluster "default=http://127.0.0.1:$ETCD_PEER_PORT"
}

start_kube-apiserver() {
  # What tolerates nothing by itself leaves a lost node after 30 s instead of five minutes, so that a test can see it.
  # Nodes' names are in no DNS, so kubelets are called by address. No front
  # proxy is used, but without its settings the other parts log errors for ever.
  start kube-apiserver kube-apiserver --etcd-servers "http://127.0.0.1:$ETCD_PORT" \
    --bind-address "$HOST" --advertise-address "$HOST" --secure-port 6443 \
    --service-cluster-ip-range "$SERVICES.0/20" \
    --tls-cert-file "$PKI/apiserver.crt" --tls-private-key-file "$PKI/apiserver.key" --client-ca-file "$PKI/ca.crt" \
    --requestheader-client-ca-file "$PKI/ca.crt" --requestheader-allowed-names nobody \
    --service-account-issuer https://kubernetes.default.svc \
    --service-account-key-file "$PKI/service-account.pub" \
    --service-account-signing-key-file "$PKI/service-account.key" \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged \
    --default-not-ready-toleration-seconds 30 --default-unreachable-toleration-seconds 30 \
    --kubelet-client-certificate "$PKI/apiserver-to-kubelet.crt" \
    --kubelet-client-key "$PKI/apiserver-to-kubelet.key" \
    --kubelet-certificate-authority "$PKI/ca.crt" --kubelet-preferred-address-types InternalIP
}

start_kube-controller-manager() {
  local config=$PKI/controller-manager.kubeconfig
  start kube-controller-manager kube-controller-manager --kubeconfig "$config" --bind-address "$HOST" \
    --authentication-kubeconfig "$config" --authorization-kubeconfig "$config" --use-service-account-credentials \
    --service-account-private-key-file "$PKI/service-account.key" --root-ca-file "$PKI/ca.crt" \
    --cluster-signing-cert-file "$PKI/ca.crt" --cluster-signing-key-file "$PKI/ca.key" --leader-elect=false
}

start_kube-scheduler() {
  local config=$PKI/scheduler.kubeconfig
  start kube-scheduler kube-scheduler --kubeconfig "$config" --bind-address "$HOST" \
    --authentication-kubeconfig "$config" --authorization-kubeconfig "$config" --leader-elect=false
}

# await_api: until it is ready, or has ended.
await_api() {
  api_settled() { api_ready || not alive kube-apiserver; }
  wait_for 60 api_settled && alive kube-apiserver ||
    die "the API server did not become ready; see e2e/cluster/logs $NAME"
}
api_ready() { curl -sf --max-time 2 --cacert "$PKI/ca.crt" "$API/readyz"; }
