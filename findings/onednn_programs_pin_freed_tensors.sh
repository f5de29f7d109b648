#!/usr/bin/env bash
# One would guess that a model's memory on a CPU depends on its largest input: once it has seen that, smaller inputs reuse what
# was taken, however many different lengths follow. And if anything were kept for each length, that it is small.
#
# In truth a layer of a transformer, run on every number of tokens from 1 to 400 in turn, ends with hundreds of MiB more of memory
# of its own than it had after the largest input, though all tensors are gone. Two libraries meet. oneDNN keeps a compiled program
# (a "primitive") for each shape, up to 1,024: small objects that stay. glibc's malloc, once it has seen a large block freed, no
# longer maps blocks of that size apart but cuts them from its heap, where each small object that stays lies on top of freed
# tensors and keeps their memory from going back or being joined for a larger one.
# Either alone is harmless: with ONEDNN_PRIMITIVE_CACHE_CAPACITY=16, or with a fixed MALLOC_MMAP_THRESHOLD_, a small part is left.
# Texts have as many shapes as lengths, so that every process that reads them pays for this.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'torch==2.15.0' 'numpy==2.4.6'
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
apart=$(MALLOC_MMAP_THRESHOLD_=262144 venv/bin/python demo.py 2>/dev/null)
echo "torch 2.15.0: 400 shapes leave $many MiB; $few where oneDNN keeps 16 programs, $apart where large blocks are mapped apart"
venv/bin/python -c "
import sys
many, few, apart = map(float, sys.argv[1:])
sys.exit(0 if many > 100 and many > 4 * few and many > 4 * apart else 1)" "$many" "$few" "$apart"
