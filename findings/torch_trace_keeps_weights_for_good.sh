#!/usr/bin/env bash
# One would guess that what torch.jit.trace returns owns what it recorded, so that weights go when it and the model are gone.
#
# In truth (2.15.0) each recording stays in the process for good, with every tensor that the tracer takes for a constant: whatever
# a traced function reads that is neither an argument nor the parameter of a module that is traced. A service that traces an
# encoder whenever it loads one grows by all of its weights each time. Weights that are arguments of the function are not kept.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'torch==2.15.0' 'psutil==7.2.2' 'numpy==2.4.6'
cat >demo.py <<'PY'
import gc
import sys
import warnings

import psutil
import torch

warnings.simplefilter("ignore")
MIB, TIMES = 40, 8


def as_constant():
    weight = torch.ones(MIB << 18)
    return torch.jit.trace(lambda x: x + weight.sum(), (torch.zeros(1),), check_trace=False)


def as_argument():
    weight = torch.ones(MIB << 18)
    return torch.jit.trace(lambda x, w: x + w.sum(), (torch.zeros(1), weight), check_trace=False)


def kept(trace):
    """MiB that a recording leaves once nobody has it."""
    trace()
    gc.collect()
    before = psutil.Process().memory_info().rss
    for _ in range(TIMES):
        trace()
    gc.collect()
    return (psutil.Process().memory_info().rss - before) / TIMES / (1 << 20)


constant, argument = kept(as_constant), kept(as_argument)
print(f"torch {torch.__version__}: of {MIB} MiB of weights a recording that is gone leaves {constant:.0f} MiB as a constant, ", end="")
print(f"{argument:.0f} MiB as an argument")
sys.exit(0 if constant > 0.9 * MIB and argument < 0.1 * MIB else 1)
PY
venv/bin/python demo.py
