#!/usr/bin/env bash
# One would guess that importing torchvision.models to list its models, or to look up where their weights are, costs little
# more than importing torch: nothing is compiled and no model is made.
#
# In truth it imports torch's compiler. torchvision.models imports models that use torchvision.ops, whose roi_align imports
# torch._dynamo.utils, and with it torch._dynamo, torch._inductor and sympy: nearly as many modules again as torch itself, and
# more than half of its CPU time. A server that lists encoders without making one pays for it at every start, and in each of its processes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'torch==2.15.0' 'torchvision==0.29.2' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PY'
import sys
import time

COMPILER = ("torch._dynamo", "torch._inductor", "sympy")

started = time.process_time()
import torch

alone, modules = time.process_time() - started, len(sys.modules)
assert not any(name in sys.modules for name in COMPILER)
started = time.process_time()
import torchvision
from torchvision.models import list_models

more, added = time.process_time() - started, len(sys.modules) - modules
print("torch", torch.__version__, "torchvision", torchvision.__version__)
print(f"torch: {modules} modules, {alone:.1f} s of CPU; torchvision.models on top: {added} modules, {more:.1f} s")
print(f"{len(list_models())} models listed; now imported:", ", ".join(name for name in COMPILER if name in sys.modules))
assert all(name in sys.modules for name in COMPILER)
assert added > 300
PY
echo "as described"
