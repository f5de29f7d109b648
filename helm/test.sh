#!/usr/bin/env bash
# Tests the chart with what its users run: helm 3 and helm 4, strict schemas of Kubernetes' own and other kinds, and the
# alerts with promtool. Builds the tools from released Go modules into build/tools, which takes minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
kubernetes=1.35.0
. helm/tools.sh

helms
built kubeconform github.com/yannh/kubeconform cmd/kubeconform v0.8.0
built promtool github.com/prometheus/prometheus cmd/promtool "$prometheus_release"

"$python" -m pytest tests/chart --quiet

# Kinds that are not Kubernetes' own, against the definitions that their operators install.
schemas=$(mktemp -d)
trap 'rm -rf "$schemas"' EXIT
definitions | xargs "$python" helm/custom_schemas.py "$schemas"
for values in helm/headstart/ci/*.yaml helm/headstart/examples/*.yaml; do
    "$tools/helm4-v4.3.2" template hs helm/headstart --kube-version "$kubernetes" --values "$values" |
        "$tools/kubeconform-v0.8.0" -strict -summary -schema-location "$schemas/{{.ResourceKind}}.json" \
            -skip ConfigMap,Ingress,NetworkPolicy,Pod,PodDisruptionBudget,Secret,Service,ServiceAccount,StatefulSet
done

(cd helm/headstart/files && "$tools/promtool-$prometheus_release" check rules alerts.yaml && "$tools/promtool-$prometheus_release" test rules alerts_test.yaml)
"$(dirname "$python")/hadolint" Dockerfile
echo "the chart, its alerts and the Dockerfile are sound"
