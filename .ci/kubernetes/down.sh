#!/usr/bin/env bash
# Stops what up.sh started (by pid) and takes its traces off; `down.sh --all` also forgets the cluster's data and keys.
K=${K:-${XDG_CACHE_HOME:-$HOME/.cache}/buildpush/cluster}; R=$K/run; B=$K/bin
ours() { [ -f $R/pids/$1 ] && grep -qsaF -- "$K" /proc/$(cat $R/pids/$1)/cmdline; }   # not another program, after a reboot
alive() { grep -qs '^State:[[:space:]]*[^ZX]' /proc/$1/status; }
stop() { local n p i   # names: all are told to end, then waited for (at most 4 s)
  for n in "$@"; do ours $n || rm -f $R/pids/$n; done
  for n in "$@"; do [ -f $R/pids/$n ] && kill $(cat $R/pids/$n) 2>/dev/null; done
  for n in "$@"; do [ -f $R/pids/$n ] || continue; p=$(cat $R/pids/$n)
    for i in $(seq 40); do alive $p || break; sleep 0.1; done; alive $p && kill -9 $p; rm -f $R/pids/$n; done; }
stop kubelet registry kube-scheduler kube-controller-manager; stop kube-apiserver; stop etcd
# containers that are left: kill their tasks through containerd, then the shims of this containerd
C="$K/root/usr/bin/ctr -a $R/containerd.sock -n k8s.io"
for c in $(timeout 10 $C tasks ls -q 2>/dev/null); do timeout 5 $C tasks kill -s KILL $c; timeout 5 $C tasks delete -f $c; done >/dev/null 2>&1
stop containerd
for p in /proc/[0-9]*; do tr '\0' ' ' < $p/cmdline 2>/dev/null | grep -q -- "containerd-shim.* -address $R/containerd.sock" && kill -9 ${p#/proc/}; done
sleep 0.3
awk -v r=$R/ 'index($2, r) == 1 {print $2}' /proc/mounts | sort -r | while read m; do umount -l "$m"; done
for g in /sys/fs/cgroup/*/kubepods; do [ -d $g ] && find $g -depth -type d -exec rmdir {} \; ; done 2>/dev/null
ip link del k8sbr0 2>/dev/null
[ -f $R/sysctl.saved ] && while read s v; do echo $v > /proc/sys/$s; done < $R/sysctl.saved
rm -f /var/lib/cni/results/k8s-* /var/lib/cni/results/cni-loopback-* 2>/dev/null
if [ "$1" = --all ]; then
  find /var/log/containers -lname "$R/*" -delete 2>/dev/null; rm -rf $R /var/lib/kubelet/device-plugins/{kubelet_internal_checkpoint,kubelet.sock}
  rmdir /var/log/containers /var/lib/kubelet/device-plugins /var/lib/kubelet /var/lib/cni/results /var/lib/cni 2>/dev/null
fi
exit 0
