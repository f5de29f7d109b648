#!/usr/bin/env bash
# One would guess that a TorchScript graph, which runs without Python's lock, needs it twice: before it begins and after it ends.
#
# In truth (2.15.0) torch takes the lock each time that compiled code lets go of a tensor that otherwise Python alone holds, since
# the Python object's count of references goes with that of C++. A graph whose weights are its arguments waits for the lock
# again and again beside a thread that is busy in Python; one whose weights are also in the attribute of a compiled module, which
# need not even be called, waits twice.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'torch==2.15.0' 'numpy==2.4.6'
cat >demo.py <<'PY'
import re
import sys
import threading
import warnings
from pathlib import Path

import torch

warnings.simplefilter("ignore")
torch.set_num_threads(1)
WEIGHTS, CALLS = 200, 10
weights = tuple(torch.randn(256, 256) for _ in range(WEIGHTS))
x = torch.randn(64, 256)


class Holder(torch.nn.Module):
    def __init__(self, tensors: list[torch.Tensor]) -> None:
        super().__init__()
        self.tensors = tensors

    def forward(self) -> int:
        return len(self.tensors)


def product(weights, x):
    for weight in weights:
        x = torch.mm(x, weight) * 0.05
    return x


def waits():
    """How often this thread has waited for something so far."""
    text = Path(f"/proc/self/task/{threading.get_native_id()}/status").read_text()
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M).group(1))


def waits_of_a_call():
    before = waits()
    for _ in range(CALLS):
        graph(weights, x)
    return (waits() - before) / CALLS


def busy():
    while not stop.is_set():
        pass


stop = threading.Event()
with torch.inference_mode(), torch.jit.optimized_execution(False):
    graph = torch.jit.trace(product, (weights, x), check_trace=False)
    graph(weights, x)
    thread = threading.Thread(target=busy)
    thread.start()
    alone = waits_of_a_call()
    holder = torch.jit.script(Holder(list(weights)))
    both = waits_of_a_call()
    stop.set()
    thread.join()
print(f"torch {torch.__version__}, {WEIGHTS} weights, beside a thread busy in Python: a call waits {alone:.1f} times where ", end="")
print(f"Python alone holds them, {both:.1f} times where a compiled module does, too")
sys.exit(0 if alone > 2 * both else 1)
PY
venv/bin/python demo.py
