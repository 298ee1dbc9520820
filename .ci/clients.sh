#!/usr/bin/env bash
# Build the clients that tests/clients holds the sandbox to, into /usr/local/bin: JFrog's own commands, the conformance
# suite of the OCI, and what people sign, list and copy with; and what checks the starter for GitHub. As root, where
# there is a Go.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/go.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
oldest_go=1.26 # what the youngest of these modules asks for
bin=/usr/local/bin

renamed() { # $1 name, $2 module@version: cosign 2 and 3 have one name
  local folder; folder=$(mktemp -d)
  CGO_ENABLED=0 GOBIN=$folder go install "$2" && mv "$folder"/* "$bin/$1"
  rmdir "$folder"
}

build_jf() ( # JFrog publishes its commands as a library; the program around it is ours
  folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cp "$here"/jf/* "$folder"; cd "$folder"
  # The checksum database may not know a module that the proxy has.
  CGO_ENABLED=0 GOFLAGS=-mod=mod GONOSUMDB='github.com/jfrog/*' go build -o "$bin/jf" .
)

built jf "$oldest_go" build_jf
while read -r name module; do
  built "$name" "$oldest_go" renamed "$name" "$module"
done <<'MODULES'
conformance github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111
oras oras.land/oras/cmd/oras@v1.3.6
regctl github.com/regclient/regclient/cmd/regctl@v0.11.7
helm helm.sh/helm/v3/cmd/helm@v3.22.0
cosign2 github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5
cosign3 github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
syft github.com/anchore/syft/cmd/syft@v1.57.1
actionlint github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
MODULES
