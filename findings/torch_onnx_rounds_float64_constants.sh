#!/usr/bin/env bash
# One would guess that a graph that computes in float64 is exported with float64 constants: in `(x - 29.699117647058824) / s` of
# a float64 `x`, Python's floats are doubles, torch computes with them as such, and the exported initializers are of type double.
#
# In truth torch.onnx.export (the exporter based on torch.export) rounds such constants to float32 and stores the rounded
# value as a double: the graph in onnxruntime answers otherwise than the module from the eighth digit on. So it is with the
# value of `full_like`. A constant that is a float64 tensor, `torch.tensor(value, dtype=torch.float64)`, is kept as it is.
# It matters where a comparison follows: a row at the threshold of a decision tree goes the other way.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'torch==2.15.0' 'onnx==1.23.2' 'onnxscript==0.7.2' 'onnxruntime==1.32.0'
cat >demo.py <<'PY'
import sys
import warnings

import numpy as np
import onnxruntime
import torch

warnings.simplefilter("ignore")
VALUE = 29.699117647058824


class Plain(torch.nn.Module):
    def forward(self, x):
        return x - VALUE


class Filled(torch.nn.Module):
    def forward(self, x):
        return torch.where(x < 0, torch.full_like(x, VALUE), x)


class Tensor(torch.nn.Module):
    def forward(self, x):
        return x - torch.tensor(VALUE, dtype=torch.float64)


def difference(module):
    x = torch.tensor([-1.0, 29.5, 80.0], dtype=torch.float64)
    program = torch.onnx.export(module, (x,), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    assert found.dtype == np.float64
    return float(np.abs(found - module(x).numpy()).max())


rounding = abs(float(np.float32(VALUE)) - VALUE)
found = {kind.__name__: difference(kind()) for kind in (Plain, Filled, Tensor)}
print(f"torch {torch.__version__}; the constant is off by {rounding:.3g} in float32; the graphs by", found)
as_float32 = all(abs(found[name] - rounding) < 1e-12 for name in ("Plain", "Filled"))
sys.exit(0 if as_float32 and found["Tensor"] == 0 else 1)
PY
venv/bin/python demo.py 2>/dev/null
