#!/usr/bin/env bash
# Install Docker with buildx, buildah, skopeo, a registry, a static busybox and chromium on Debian, and start the
# daemon; build crane and a current BuildKit where there is a Go to build them with. As root.
# Debian 12 has no buildx: there, docker comes from Debian 13 by a source that is used for nothing else.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
tools="buildah skopeo docker-registry busybox-static chromium git openssl iproute2 zsh fish groff-base"
crane=github.com/google/go-containerregistry/cmd/crane@v0.20.2 # a later one wants a later Go
buildkit=github.com/moby/buildkit # Docker 26's own BuildKit knows less than a current one
buildkit_version=v0.34.2
oldest_go=1.21
oldest_go_for_buildkit=1.25
. "$(dirname "${BASH_SOURCE[0]}")/go.sh"
started_log=${DOCKERD_LOG:-/var/log/dockerd.log}

ready() { PATH=/usr/bin:$PATH docker info >/dev/null 2>&1; }
complete() { /usr/bin/docker buildx version >/dev/null 2>&1 && [ -x /usr/sbin/dockerd ] \
  && command -v buildah >/dev/null && command -v skopeo >/dev/null && command -v docker-registry >/dev/null \
  && [ -x /bin/busybox ] && command -v chromium >/dev/null && command -v ip >/dev/null \
  && command -v zsh >/dev/null && command -v fish >/dev/null && command -v groff >/dev/null; }

add_newer_suite() {
  local suite=trixie codename mirror
  codename=$(. /etc/os-release; echo "$VERSION_CODENAME")
  [ "$codename" = bookworm ] || return 0
  mirror=$(apt-get indextargets --format '$(CREATED_BY) $(CODENAME) $(REPO_URI)' \
    | awk -v c="$codename" '$1=="Packages" && $2==c {print $3; exit}')
  [ -n "$mirror" ] || { echo "no apt source for $codename" >&2; exit 1; }
  printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nArchitectures: %s\nSigned-By: %s\n' \
    "$mirror" "$suite" "$(dpkg --print-architecture)" /usr/share/keyrings/debian-archive-keyring.gpg \
    > /etc/apt/sources.list.d/docker-$suite.sources
  printf 'Package: *\nPin: release n=%s\nPin-Priority: -10\n\nPackage: docker.io docker-cli docker-buildx\nPin: release n=%s\nPin-Priority: 900\n' \
    "$suite" "$suite" > /etc/apt/preferences.d/docker-$suite
  apt-get update -qq
}

install_all() {
  local policy=/usr/sbin/policy-rc.d
  apt-get update -qq
  add_newer_suite
  # No package script starts a daemon here: docker's is started below, by hand, and its log is kept; a registry is
  # started by whoever needs one, with a configuration of its own: Debian's listens everywhere and wants a password.
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' > $policy; chmod 755 $policy
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  # shellcheck disable=SC2086
  apt-get install -qqy --no-install-recommends docker.io docker-cli docker-buildx containerd runc iptables $tools >/dev/null
}

start_daemon() {
  mkdir -p /etc/docker
  # The containerd image store is Docker's default since 29; it exports OCI layouts.
  [ -e /etc/docker/daemon.json ] || echo '{"features": {"containerd-snapshotter": true}}' > /etc/docker/daemon.json
  setsid /usr/sbin/dockerd >"$started_log" 2>&1 < /dev/null &
  for _ in $(seq 60); do ready && return 0; sleep 1; done
  tail -20 "$started_log" >&2; exit 1
}

complete || install_all
built crane "$oldest_go" go_install "$crane"
for name in buildkitd buildctl; do
  built "$name" "$oldest_go_for_buildkit" built_from "$name" "$buildkit@$buildkit_version" "$buildkit/cmd/$name"
done
ready || start_daemon
PATH=/usr/bin:$PATH docker version --format 'docker {{.Server.Version}}'
