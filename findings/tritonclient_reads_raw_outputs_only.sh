#!/usr/bin/env bash
# One would guess that Triton's Python client reads an answer of the Open Inference Protocol in either of the forms that the
# protocol has: as raw_output_contents, or as typed contents of each output.
#
# In truth `InferResult.as_numpy` reads raw bytes alone. Typed numbers are taken for no elements, so that reshaping them to the
# output's shape raises ValueError; and typed BYTES, for which it has code, are handed to `np.array(..., copy=False)`, which
# NumPy 2 refuses with another ValueError, though the package allows NumPy 2 and installs it. A server must answer raw.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'tritonclient[grpc]==2.73.0' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PY'
import numpy as np
import tritonclient.grpc as triton

print("numpy", np.__version__)


def read(datatype, **contents):
    response = triton.service_pb2.ModelInferResponse()
    output = response.outputs.add(name="x", datatype=datatype, shape=[2])
    for name, values in contents.items():
        getattr(output.contents, name).extend(values)
    try:
        return triton.InferResult(response).as_numpy("x")
    except ValueError as error:
        return error


for datatype, contents in (
    ("FP32", {"fp32_contents": [1.0, 2.0]}),
    ("INT64", {"int64_contents": [1, 2]}),
    ("BOOL", {"bool_contents": [True, False]}),
    ("BYTES", {"bytes_contents": [b"a", b"b"]}),
):
    found = read(datatype, **contents)
    print(datatype, "->", f"{type(found).__name__}: {' '.join(str(found).split())[:110]}")
    assert isinstance(found, ValueError)
assert "copy" in str(read("BYTES", bytes_contents=[b"a", b"b"]))
PY
echo "as described"
