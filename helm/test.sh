#!/usr/bin/env bash
# Tests the chart with what its users run: helm 3 and helm 4, strict schemas of Kubernetes' own and other kinds, and the
# alerts with promtool. Builds the tools from released Go modules into build/tools, which takes minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
kubernetes=1.35.0
. helm/tools.sh

module() { # MODULE VERSION: where its files are
    GOTOOLCHAIN=auto GOFLAGS=-mod=mod go mod download -json "$1@$2" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'
}

built helm3 helm.sh/helm/v3 cmd/helm v3.22.0
built helm4 helm.sh/helm/v4 cmd/helm v4.3.2
built kubeconform github.com/yannh/kubeconform cmd/kubeconform v0.8.0
built promtool github.com/prometheus/prometheus cmd/promtool "$prometheus_release"

HEADSTART_HELMS=$tools/helm3-v3.22.0:$tools/helm4-v4.3.2 "$python" -m pytest tests/chart --quiet

# Kinds that are not Kubernetes' own, against the definitions that their operators install.
kuberay=$(module github.com/ray-project/kuberay/ray-operator v1.6.1)
prometheus=$(module github.com/prometheus-operator/prometheus-operator v0.94.0)
gateway=$(module sigs.k8s.io/gateway-api v1.6.3)
schemas=$(mktemp -d)
trap 'rm -rf "$schemas"' EXIT
"$python" helm/custom_schemas.py "$schemas" \
    "$kuberay/config/crd/bases/ray.io_rayclusters.yaml" \
    "$prometheus/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml" \
    "$prometheus/example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml" \
    "$gateway/config/crd/standard/gateway.networking.k8s.io_grpcroutes.yaml"
for values in helm/headstart/ci/*.yaml helm/headstart/examples/*.yaml; do
    "$tools/helm4-v4.3.2" template hs helm/headstart --kube-version "$kubernetes" --values "$values" |
        "$tools/kubeconform-v0.8.0" -strict -summary -schema-location "$schemas/{{.ResourceKind}}.json" \
            -skip ConfigMap,Ingress,NetworkPolicy,Pod,PodDisruptionBudget,Secret,Service,ServiceAccount,StatefulSet
done

(cd helm/headstart/files && "$tools/promtool-$prometheus_release" check rules alerts.yaml && "$tools/promtool-$prometheus_release" test rules alerts_test.yaml)
"$(dirname "$python")/hadolint" Dockerfile
echo "the chart, its alerts and the Dockerfile are sound"
