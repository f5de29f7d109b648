#!/usr/bin/env bash
# One would guess that a model's memory on a CPU depends on its largest input: once it has seen that, smaller inputs reuse what
# was taken, and nothing more is needed however many different lengths follow.
#
# In truth oneDNN, which computes torch's layers there, keeps a compiled program (a "primitive") for each shape it has seen, up
# to 1,024, and torch's process holds far more memory then than the programs alone: a layer of a transformer, run on every
# number of tokens from 1 to 400 in turn, ends with hundreds of MiB more resident than it began with. With
# ONEDNN_PRIMITIVE_CACHE_CAPACITY=16 it is a small part of that, and the calls take no longer.
# Texts have as many shapes as lengths, so that every process that reads them pays for this.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'torch==2.15.0' 'numpy==2.4.1'
cat >demo.py <<'PY'
import re

import torch


def resident():
    """Of this process's own memory, MiB."""
    return int(re.search(r"RssAnon:\s*(\d+)", open("/proc/self/status").read())[1]) / 1024


torch.set_num_threads(1)
layer = torch.nn.Sequential(torch.nn.Linear(384, 1536), torch.nn.GELU(), torch.nn.Linear(1536, 384)).eval()
with torch.inference_mode():
    layer(torch.zeros(400, 384))
    before = resident()
    for tokens in range(1, 401):
        layer(torch.zeros(tokens, 384))
print(resident() - before)
PY
many=$(venv/bin/python demo.py 2>/dev/null)
few=$(ONEDNN_PRIMITIVE_CACHE_CAPACITY=16 venv/bin/python demo.py 2>/dev/null)
echo "torch 2.15.0: 400 shapes take $many MiB, and $few MiB where oneDNN keeps 16 of them"
venv/bin/python -c "import sys; many, few = map(float, sys.argv[1:]); sys.exit(0 if many > 100 and many > 4 * few else 1)" "$many" "$few"
