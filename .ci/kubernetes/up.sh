#!/usr/bin/env bash
# A real Kubernetes of one node on this machine: etcd, kube-apiserver, kube-controller-manager, kube-scheduler and
# kubelet, built from the Go module proxy once and kept; containerd, runc and CNI from Debian, unpacked, not installed.
# Everything is below one directory, and listens on 127.0.0.1 and on a bridge of its own (10.199.0.1), nowhere else.
# As root on Debian, with Go 1.24 or newer, openssl, ip and python3.
#   up.sh    builds what is missing, and starts; then: export KUBECONFIG=$K/run/admin.kubeconfig
# On the bridge is also a registry, 10.199.0.1:5000; every image that a pod names is looked for there, and nowhere else:
# gcr.io/a/b:c is 10.199.0.1:5000/a/b:c.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd); K=${K:-${XDG_CACHE_HOME:-$HOME/.cache}/buildpush/cluster}; V=${V:-1.34.4}; R=$K/run; B=$K/bin; D=$K/root
NODE=node1; BR=k8sbr0; NET=10.199.0; NODEIP=$NET.1; API=127.0.0.1:16443; ETCD=http://127.0.0.1:23790
mkdir -p $K/debs $D $B $K/build $R/pids $R/log $R/pki $R/cni
T0=$(date +%s.%N); t() { printf '%6.1fs %s\n' "$(echo "$(date +%s.%N)-$T0" | bc 2>/dev/null || python3 -c "import time;print(time.time()-$T0)")" "$*"; }

# 1. Debian parts, unpacked rather than installed (no service is started by them)
if [ ! -x $D/usr/bin/containerd ] || [ ! -x $D/usr/lib/cni/bridge ]; then
  (cd $K/debs && apt-get -qq download containerd runc libseccomp2 busybox-static containernetworking-plugins docker-registry 2>/dev/null
   for d in *.deb; do dpkg-deb -x "$d" $D; done)
  t "debs unpacked"
fi

# 2. etcd and the Kubernetes programs, one binary (k8s.io/kubernetes replaces its staging modules, so go.mod beside this file does too)
if [ ! -x $B/hyperkube ]; then
  cp "$HERE"/{main.go,go.mod,go.sum} $K/build/
  ( cd $K/build; export CGO_ENABLED=0 GOFLAGS=-mod=mod
    P=k8s.io/component-base/version; m=${V#*.}
    nice -n 10 go build -trimpath -p 2 -o $B/hyperkube -ldflags "-s -w -X $P.gitVersion=v$V -X $P.gitMajor=1 -X $P.gitMinor=${m%.*} -X $P.gitTreeState=clean" . )
  t "hyperkube built"
fi
for p in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kubectl; do ln -sf hyperkube $B/$p; done
export PATH=$B:$D/usr/sbin:$D/usr/bin:$PATH
export LD_LIBRARY_PATH=$D/usr/lib/x86_64-linux-gnu:$D/lib/x86_64-linux-gnu

# 3. keys and kubeconfigs
cd $R/pki
if [ ! -f ca.crt ]; then
  ec() { openssl ecparam -name prime256v1 -genkey -noout -out $1.key; }
  ec ca; openssl req -x509 -new -key ca.key -subj /CN=kubernetes-ca -days 3650 -out ca.crt -addext keyUsage=critical,digitalSignature,keyCertSign
  openssl genrsa -out sa.key 2048 2>/dev/null; openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
  crt() { # name subject extra-extensions
    ec $1; openssl req -new -key $1.key -subj "$2" -out $1.csr
    openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out $1.crt 2>/dev/null \
      -extfile <(printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=%s\n' "$3"; [ -z "${4:-}" ] || echo "subjectAltName=$4"); }
  crt apiserver /CN=kube-apiserver serverAuth "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:10.96.0.1,IP:$NODEIP"
  crt kubelet-server "/O=system:nodes/CN=system:node:$NODE" serverAuth "DNS:$NODE,IP:$NODEIP"
  crt apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
  crt admin /O=system:masters/CN=admin clientAuth
  crt kcm /CN=system:kube-controller-manager clientAuth
  crt sched /CN=system:kube-scheduler clientAuth
  crt kubelet /O=system:nodes/CN=system:node:$NODE clientAuth
fi
b() { base64 -w0 < $1; }
for u in admin kcm sched kubelet; do cat > $R/$u.kubeconfig <<E
apiVersion: v1
kind: Config
clusters: [{name: k, cluster: {server: "https://$API", certificate-authority-data: $(b ca.crt)}}]
users: [{name: $u, user: {client-certificate-data: $(b $u.crt), client-key-data: $(b $u.key)}}]
contexts: [{name: k, context: {cluster: k, user: $u}}]
current-context: k
E
done
cd $K; t "keys"

start() { # name command...
  local n=$1; shift
  # After a reboot, the number may be that of another program.
  if [ -f $R/pids/$n ] && grep -qsaF -- "$K" /proc/$(cat $R/pids/$n)/cmdline; then return; fi
  setsid nice -n 5 "$@" > $R/log/$n.log 2>&1 < /dev/null & echo $! > $R/pids/$n; }
until_ok() { # seconds what command...
  local n=$1 w=$2; shift 2
  for i in $(seq $((n*5))); do "$@" >/dev/null 2>&1 && { t "$w"; return 0; }; sleep 0.2; done
  echo "not reached: $w" >&2; tail -5 $R/log/*.log >&2; return 1; }

# 4. etcd, API server, containerd
start etcd $B/etcd --name n --data-dir $R/etcd --listen-client-urls $ETCD --advertise-client-urls $ETCD \
  --listen-peer-urls http://127.0.0.1:23800 --initial-advertise-peer-urls http://127.0.0.1:23800 --initial-cluster n=http://127.0.0.1:23800
P=$R/pki
start kube-apiserver $B/kube-apiserver --etcd-servers=$ETCD --bind-address=127.0.0.1 --secure-port=${API#*:} --advertise-address=$NODEIP \
  --service-cluster-ip-range=10.96.0.0/24 --allow-privileged=true --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
  --client-ca-file=$P/ca.crt --tls-cert-file=$P/apiserver.crt --tls-private-key-file=$P/apiserver.key \
  --kubelet-certificate-authority=$P/ca.crt --kubelet-client-certificate=$P/apiserver-kubelet.crt --kubelet-client-key=$P/apiserver-kubelet.key \
  --kubelet-preferred-address-types=InternalIP \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file=$P/sa.pub --service-account-signing-key-file=$P/sa.key

cat > $R/containerd.toml <<E
version = 2
root = "$R/containerd/root"
state = "$R/containerd/state"
[grpc]
  address = "$R/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true       # needed without CAP_SYS_RESOURCE
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$D/usr/lib/cni"
    conf_dir = "$R/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$R/certs.d"
E
mkdir -p $R/certs.d/_default   # every image name is looked for in a registry on this machine, and nowhere else
printf 'server = "http://%s:5000"\n[host."http://%s:5000"]\n  capabilities = ["pull", "resolve"]\n' $NODEIP $NODEIP > $R/certs.d/_default/hosts.toml
cat > $R/cni/10-k8s.conflist <<E
{"cniVersion":"0.4.0","name":"k8s","plugins":[{"type":"bridge","bridge":"$BR","isGateway":true,"ipMasq":false,"hairpinMode":true,
 "ipam":{"type":"host-local","dataDir":"$R/cni-ipam","ranges":[[{"subnet":"$NET.0/24","rangeStart":"$NET.10"}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}
E
if ! ip link show $BR >/dev/null 2>&1; then ip link add $BR type bridge; ip addr add $NODEIP/24 dev $BR; ip link set $BR up; fi
printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: "%s:5000"}\n' $R/registry $NODEIP > $R/registry.yml
start registry $D/usr/bin/docker-registry serve $R/registry.yml
start containerd $D/usr/bin/containerd --config $R/containerd.toml
ctr() { $D/usr/bin/ctr -a $R/containerd.sock -n k8s.io "$@"; }
until_ok 30 "containerd answers" ctr version

# 5. images made here: pause (busybox sleeping) and a busybox to test with
cat > $R/mkimage.py <<'PY'
"""mkimage.py NAME OUT.tar BUSYBOX ENTRYPOINT...  -- a FROM-scratch image holding busybox, as a docker archive."""
import hashlib, io, json, sys, tarfile
name, out, bb, *entry = sys.argv[1:]
def add(t, n, data=None, mode=0o644, kind=tarfile.REGTYPE, link=""):
    i = tarfile.TarInfo(n); i.mode = mode; i.type = kind; i.linkname = link; i.size = len(data or b"")
    t.addfile(i, io.BytesIO(data) if data is not None else None)
layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w") as t:
    for d in ("bin", "etc", "proc", "sys", "dev", "tmp", "root"): add(t, d, mode=0o755, kind=tarfile.DIRTYPE)
    add(t, "bin/busybox", open(bb, "rb").read(), 0o755)
    for a in "sh cat echo ls sleep id env grep wget ip mount touch date test true false head sha256sum".split():
        add(t, "bin/" + a, kind=tarfile.SYMTYPE, link="busybox")
    add(t, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
layer = layer.getvalue(); dig = hashlib.sha256(layer).hexdigest()
cfg = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Entrypoint": entry, "Env": ["PATH=/bin"]},
                  "rootfs": {"type": "layers", "diff_ids": ["sha256:" + dig]}, "history": [{"created_by": "mkimage.py"}]}).encode()
cd = hashlib.sha256(cfg).hexdigest()
with tarfile.open(out, "w") as t:
    add(t, cd + ".json", cfg); add(t, dig + "/layer.tar", layer)
    add(t, "manifest.json", json.dumps([{"Config": cd + ".json", "RepoTags": [name], "Layers": [dig + "/layer.tar"]}]).encode())
PY
python3 $R/mkimage.py localhost/pause:1 $R/pause.tar $D/bin/busybox /bin/busybox sleep 1000000000
python3 $R/mkimage.py localhost/busybox:1 $R/busybox.tar $D/bin/busybox /bin/sh
for i in pause busybox; do ctr images import $R/$i.tar >/dev/null; done; t "images imported"

# 6. the rest
export KUBECONFIG=$R/admin.kubeconfig
until_ok 120 "apiserver ready" $B/kubectl get --raw=/readyz
start kube-controller-manager $B/kube-controller-manager --kubeconfig=$R/kcm.kubeconfig --authentication-kubeconfig=$R/kcm.kubeconfig \
  --authorization-kubeconfig=$R/kcm.kubeconfig --bind-address=127.0.0.1 --leader-elect=false --use-service-account-credentials=true \
  --service-account-private-key-file=$P/sa.key --root-ca-file=$P/ca.crt --node-monitor-period=2s --node-monitor-grace-period=20s
start kube-scheduler $B/kube-scheduler --kubeconfig=$R/sched.kubeconfig --authentication-kubeconfig=$R/sched.kubeconfig \
  --authorization-kubeconfig=$R/sched.kubeconfig --bind-address=127.0.0.1 --leader-elect=false
[ -f $R/sysctl.saved ] || for s in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  echo "$s $(cat /proc/sys/$s)"; done > $R/sysctl.saved     # the kubelet sets these; down.sh puts them back
cat > $R/kubelet.yaml <<E
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODEIP
healthzBindAddress: 127.0.0.1
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $P/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $P/kubelet-server.crt
tlsPrivateKeyFile: $P/kubelet-server.key
containerRuntimeEndpoint: unix://$R/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
nodeLeaseDurationSeconds: 16   # with the grace period of the controller manager: a lost node is seen in 20 s
resolvConf: /etc/resolv.conf
podLogsDir: $R/pod-logs
volumePluginDir: $R/volume-plugins
evictionHard: {memory.available: 50Mi, nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}
imageGCHighThresholdPercent: 100
E
start kubelet $B/kubelet --config=$R/kubelet.yaml --kubeconfig=$R/kubelet.kubeconfig --hostname-override=$NODE --node-ip=$NODEIP --root-dir=$R/kubelet --cert-dir=$R/pki/kubelet
until_ok 60 "kubelet healthy" curl -fsS http://127.0.0.1:10248/healthz
until_ok 120 "node Ready" sh -c "$B/kubectl get node $NODE -o jsonpath='{.status.conditions[?(@.type==\"Ready\")].status}' | grep -q True"
until_ok 60 "default service account" $B/kubectl get serviceaccount default
t "up; export KUBECONFIG=$R/admin.kubeconfig"
