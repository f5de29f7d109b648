#!/usr/bin/env bash
# Installs the chart into a cluster without nodes: etcd, kube-apiserver and kube-controller-manager, built from released Go
# modules into build/tools, which takes most of an hour the first time. Runs the chart's pod in namespaces.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
kubernetes=1.37.2
etcd=3.7.3
. helm/tools.sh

# `go install` refuses modules with replace directives: each program is built in a module that requires it.
program() { # NAME VERSION PACKAGE...: NAME_module prints its go.mod
    local to=$tools/$1-v$2
    [ -d "$to" ] && return
    echo "building $1 $2"
    local from
    from=$(mktemp -d)
    mkdir -p "$from/sample" "$from/bin"
    "$1_module" > "$from/go.mod"
    echo "module sample" > "$from/sample/go.mod"
    local stamp="-X k8s.io/component-base/version.gitVersion=v$2 -X k8s.io/component-base/version.gitMajor=${2%%.*}"
    stamp="$stamp -X k8s.io/component-base/version.gitMinor=$(echo "$2" | cut -d. -f2)"
    (cd "$from" && CGO_ENABLED=0 GOTOOLCHAIN=auto GOFLAGS="-mod=mod -buildvcs=false" \
        nice go build -ldflags "-s -w $stamp" -o bin/ "${@:3}")
    mv "$from/bin" "$to"
    rm -r "$from"
}

etcd_module() {
    echo "module etcd"
    echo "go 1.26.0"
    for part in server api client/pkg client pkg; do echo "require go.etcd.io/etcd/$part/v3 v$etcd"; done
}

# Kubernetes' parts are modules of their own, released with it as 0.MINOR.PATCH; no program imports the samples.
kubernetes_module() {
    echo "module kubernetes"
    echo "go 1.26.0"
    echo "godebug default=go1.26"
    echo "require k8s.io/kubernetes v$kubernetes"
    sed -n 's,^\t\(k8s.io/[a-z-]*\) => ./staging.*,\1,p' "$(module k8s.io/kubernetes v$kubernetes)/go.mod" |
        while read -r part; do
            case $part in
                */sample-*) echo "replace $part => ./sample" ;;
                *) echo "require $part v0.${kubernetes#1.}" ;;
            esac
        done
}

helms
program etcd $etcd go.etcd.io/etcd/server/v3
[ -x "$tools/etcd-v$etcd/etcd" ] || mv "$tools/etcd-v$etcd/server" "$tools/etcd-v$etcd/etcd"
program kubernetes $kubernetes k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager

HEADSTART_CLUSTER_TOOLS=$tools/etcd-v$etcd:$tools/kubernetes-v$kubernetes \
    HEADSTART_CLUSTER_DEFINITIONS=$(definitions | paste -sd:) \
    "$python" -m pytest tests/cluster --timeout 900 "$@"
