#!/usr/bin/env bash
# Builds Prometheus with Go into build/tools, which takes minutes the first time, and has it scrape a server that works.
set -euo pipefail
cd "$(dirname "$0")/../.."
. helm/tools.sh
# without the clients of every cloud, which only find targets, and without its page
built prometheus github.com/prometheus/prometheus cmd/prometheus "$prometheus_release" -tags remove_all_sd
HEADSTART_PROMETHEUS=$tools/prometheus-$prometheus_release "${PYTHON:-python3}" -m pytest tests/prometheus
