# Build programs that are in no Debian package, where there is a Go to build them with; sourced, not run.
# Without them, their tests say that they do not run.

usable_go() { # at least version $1
  local found
  found=$(go env GOVERSION 2>/dev/null) || return 1
  [ "$(printf '%s\n' "$1" "${found#go}" | sort -V | head -1)" = "$1" ]
}

built() { # $1 name, $2 oldest Go, then what builds it
  local name=$1 oldest=$2; shift 2
  if command -v "$name" >/dev/null; then return 0; fi
  if ! usable_go "$oldest"; then
    echo "no $name: building it needs Go $oldest or newer, and there is $(go env GOVERSION 2>/dev/null || echo none)" >&2
    return 0
  fi
  if "$@"; then return 0; fi
  echo "no $name: building it failed" >&2
  [ "${CI:-}" != true ]
}

go_install() { CGO_ENABLED=0 GOBIN=/usr/local/bin go install "$1"; }

built_from() ( # $1 command, $2 module@version, $3 package; go install refuses a module that replaces others
  folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
  export CGO_ENABLED=0 GOFLAGS=-mod=mod
  go mod init built >/dev/null 2>&1 && go get "$2" >/dev/null 2>&1 && go build -o "/usr/local/bin/$1" "$3"
)
