# Certificates and kubeconfig files, made once per cluster.

# Nothing from the machine's own openssl.cnf.
openssl_req() { openssl req -x509 -days 3650 -config <(printf '[req]\ndistinguished_name=name\n[name]\n') "$@" 2>/dev/null; }
new_key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)

# certificate FILE SUBJECT ALTERNATIVE-NAMES
certificate() {
  [[ -e $PKI/$1.crt ]] || openssl_req "${new_key[@]}" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" \
    -keyout "$PKI/$1.key" -out "$PKI/$1.crt" -subj "$2" -addext "subjectAltName=$3" \
    -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth,clientAuth
}

# kubeconfig USER FILE: logs USER in by the certificate of that name.
kubeconfig() {
  local user=$1
  cat >"$2" <<EOF
apiVersion: v1
kind: Config
current-context: $PREFIX
contexts:
- {name: $PREFIX, context: {cluster: $PREFIX, user: $user}}
clusters:
- name: $PREFIX
  cluster:
    server: $API
    certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")
users:
- name: $user
  user:
    client-certificate-data: $(base64 -w0 "$PKI/$user.crt")
    client-key-data: $(base64 -w0 "$PKI/$user.key")
EOF
}

make_pki() {
  local user node
  mkdir -p -m 700 "$PKI"
  [[ -e $PKI/ca.crt ]] || openssl_req "${new_key[@]}" -keyout "$PKI/ca.key" -out "$PKI/ca.crt" -subj "/CN=$PREFIX" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature
  if [[ ! -e $PKI/service-account.pub ]]; then
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$PKI/service-account.key"
    openssl pkey -in "$PKI/service-account.key" -pubout -out "$PKI/service-account.pub"
  fi

  # The names by which Kubernetes knows its own parts; its built-in roles go by them.
  certificate apiserver /CN=kube-apiserver \
    "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:$HOST,IP:$SERVICES.1"
  certificate apiserver-to-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client DNS:apiserver
  certificate admin /O=system:masters/CN=admin DNS:admin
  certificate controller-manager /CN=system:kube-controller-manager DNS:controller-manager
  certificate scheduler /CN=system:kube-scheduler DNS:scheduler
  certificate proxy /CN=system:kube-proxy DNS:proxy
  for node in "${NODES[@]}"; do
    certificate "node-$node" "/O=system:nodes/CN=system:node:node-$node" "DNS:node-$node,IP:$(node_address "$node")"
  done
  for user in controller-manager scheduler proxy "${NODES[@]/#/node-}"; do
    kubeconfig "$user" "$PKI/$user.kubeconfig"
  done
  kubeconfig admin "$KUBECONFIG"
}
