#!/usr/bin/env bash
# One would guess that `from torchmetrics.functional.classification import binary_f1_score` costs what a few functions over
# tensors cost: torch, and little more.
#
# In truth it imports all of torchmetrics, and torchmetrics imports whatever of its optional companions happens to be
# installed: matplotlib with its figures (for the `plot` methods), torchvision with torch's compiler (for image metrics),
# and scipy.signal (for audio metrics). A process that computes an F1 score pays for drawing and listening, and what it pays
# changes with packages that it never asked for.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  'torch==2.15.0' 'torchvision==0.29.2' 'numpy==2.4.6' 'torchmetrics==1.9.0' 'matplotlib==3.11.2' 'scipy==1.17.1'
cd "$folder"
venv/bin/python - <<'PY'
import resource
import sys
import time

import torch

COMPANIONS = ("matplotlib.axes", "torchvision", "torch._dynamo", "scipy.signal")


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


assert not any(name in sys.modules for name in COMPANIONS)
modules, started, before = len(sys.modules), time.process_time(), memory()
from torchmetrics.functional.classification import binary_f1_score

import torchmetrics

found = [name for name in COMPANIONS if name in sys.modules]
print("torchmetrics", torchmetrics.__version__, "torch", torch.__version__)
print(f"binary_f1_score: {float(binary_f1_score(torch.tensor([1, 0, 1]), torch.tensor([1, 0, 0]))):.3f}")
print(f"{len(sys.modules) - modules} modules more, {time.process_time() - started:.1f} s of CPU, {memory() - before} MiB")
print("now imported:", ", ".join(found))
assert found == list(COMPANIONS), found
PY
echo "as described"
