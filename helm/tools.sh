# Sourced by what needs tools: builds them from released Go modules into build/tools, once.
tools=$PWD/build/tools
prometheus_release=v0.316.0 # 3.16.0
mkdir -p "$tools"

built() { # NAME MODULE PACKAGE VERSION [FLAG...]
    local program=$tools/$1-$4
    [ -x "$program" ] && return
    echo "building $2/$3@$4"
    GOBIN=$tools/bin GOTOOLCHAIN=auto GOFLAGS=-buildvcs=false nice go install "${@:5}" "$2/$3@$4"
    mv "$tools/bin/$(basename "$3")" "$program"
}

module() { # MODULE VERSION: where its files are
    GOTOOLCHAIN=auto GOFLAGS=-mod=mod go mod download -json "$1@$2" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'
}

helms() { # helm 3 and helm 4
    built helm3 helm.sh/helm/v3 cmd/helm v3.22.0
    built helm4 helm.sh/helm/v4 cmd/helm v4.3.2
    export HEADSTART_HELMS=$tools/helm3-v3.22.0:$tools/helm4-v4.3.2
}

definitions() { # the files of the kinds that are not Kubernetes' own, one a line
    local kuberay prometheus gateway
    kuberay=$(module github.com/ray-project/kuberay/ray-operator v1.6.1)
    prometheus=$(module github.com/prometheus-operator/prometheus-operator v0.94.0)
    gateway=$(module sigs.k8s.io/gateway-api v1.6.3)
    echo "$kuberay/config/crd/bases/ray.io_rayclusters.yaml"
    echo "$prometheus/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"
    echo "$prometheus/example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"
    echo "$gateway/config/crd/standard/gateway.networking.k8s.io_grpcroutes.yaml"
}
