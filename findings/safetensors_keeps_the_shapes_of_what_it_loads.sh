#!/usr/bin/env bash
# One would guess that what load_file of safetensors.torch has returned is all that it leaves: once the tensors are gone, so is
# everything.
#
# In truth (0.8.0) each call leaves the numbers of every tensor's shape behind, an object of 28 bytes or more for each that Python
# does not have ready-made (those above 256): two for a matrix, for good. So does get_tensor of an open file. Other ways do not:
# `load` of a file's bytes, or reading shapes by get_slice. safetensors.numpy keeps well under one object for a file.
# A process that loads models for months grows by some kilobytes with each that has hundreds of matrices, in blocks that lie among
# others and let none of their memory go back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'safetensors==0.8.0' 'torch==2.15.0' 'numpy==2.4.6'
cat >demo.py <<'PY'
import gc
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load, load_file, save_file

MATRICES, CALLS = 10, 300
save_file({f"m{i}": torch.zeros(300 + i, 1000 + i) for i in range(MATRICES)}, "x.safetensors")


def one_by_one():
    with safe_open("x.safetensors", "pt") as file:
        for name in file.keys():
            file.get_tensor(name)


def shapes():
    with safe_open("x.safetensors", "pt") as file:
        for name in file.keys():
            file.get_slice(name).get_shape()


def left(call):
    """Objects of Python that a call leaves for each matrix."""
    for _ in range(20):
        call()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(CALLS):
        call()
    gc.collect()
    return (sys.getallocatedblocks() - before) / CALLS / MATRICES


found = {
    "torch.load_file": left(lambda: load_file("x.safetensors")),
    "get_tensor": left(one_by_one),
    "get_shape": left(shapes),
    "torch.load": left(lambda: load(Path("x.safetensors").read_bytes())),
    "numpy.load_file": left(lambda: load_arrays("x.safetensors")),
}
print("safetensors 0.8.0, objects left for each matrix:", ", ".join(f"{name} {n:.1f}" for name, n in found.items()))
keeping = all(1.9 < found[name] < 2.3 for name in ("torch.load_file", "get_tensor"))
sys.exit(0 if keeping and all(found[name] < 0.3 for name in ("get_shape", "torch.load", "numpy.load_file")) else 1)
PY
venv/bin/python demo.py 2>/dev/null
