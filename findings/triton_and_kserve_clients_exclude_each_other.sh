#!/usr/bin/env bash
# One would guess that a Python process may use Triton's client and KServe's side by side: both are on the package index, their
# dependencies agree, and they speak the same protocol.
#
# In truth whichever is imported second raises TypeError: their messages are called the same (`inference.ModelInferRequest`) in
# files of other names, and protobuf's default descriptor pool takes each name once. So does any stub that is generated of the
# protocol's proto, which is what a server that speaks it would do.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'tritonclient[grpc]==2.73.0' 'kserve==0.21.0'
cd "$folder"
for order in 'tritonclient.grpc kserve' 'kserve tritonclient.grpc'; do
    for implementation in upb python; do
        ORDER="$order" PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=$implementation venv/bin/python - <<'PY'
import importlib
import os

first, second = os.environ["ORDER"].split()
importlib.import_module(first)
try:
    importlib.import_module(second)
except TypeError as error:
    implementation = os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"]
    print(f"{first}, then {second} ({implementation}): TypeError: {' '.join(str(error).split())[:120]}")
else:
    raise SystemExit(f"{first} and {second} are both there")
PY
    done
done
echo "as described"
