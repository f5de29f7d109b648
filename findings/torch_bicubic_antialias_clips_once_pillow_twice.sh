#!/usr/bin/env bash
# One would guess that torch's interpolate(mode="bicubic", antialias=True), which is there to resize as Pillow does, agrees
# with Pillow's BICUBIC to a step or two of 255, so that an exported graph may resize in place of Pillow. On soft images it
# does.
#
# In truth single values of hard edges from black to white differ by tens of steps of 255. Pillow resizes in two passes and
# keeps uint8 between them, so that what the first overshoots is clipped; torch clips nothing in between. Two calls in torch,
# one for each direction, rounded and clipped after each, agree with Pillow again, but only in Pillow's order: images twice
# as tall as wide go down first, then across, others across first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'torch==2.15.0' 'pillow==13.0.0' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PY'
import numpy
import PIL
import torch
from PIL import Image
from torch.nn.functional import interpolate


def clipped(values, size):
    return interpolate(values, size=size, mode="bicubic", antialias=True).add(0.5).floor().clamp(0, 255)


def difference(width, height, low, high):
    """The largest of 20 images of two values, for one call, across first and down first."""
    columns, rows = 54, 59
    most = [0.0, 0.0, 0.0]
    for seed in range(20):
        grey = numpy.random.default_rng(seed).choice([low, high], (height, width)).astype(numpy.uint8)
        resized = Image.fromarray(grey).resize((columns, rows), Image.Resampling.BICUBIC)
        expected = torch.from_numpy(numpy.array(resized)).float()
        values = torch.from_numpy(grey).float()[None, None]
        ways = (
            clipped(values, (rows, columns)),
            clipped(clipped(values, (height, columns)), (rows, columns)),
            clipped(clipped(values, (rows, width)), (rows, columns)),
        )
        most = [max(was, float((way[0, 0] - expected).abs().max())) for was, way in zip(most, ways)]
    return most


print("torch", torch.__version__, "Pillow", PIL.__version__)
found = {
    name: difference(*arguments)
    for name, arguments in {
        "soft, wide": (83, 30, 96, 160),
        "hard, wide": (83, 30, 0, 255),
        "hard, tall": (30, 83, 0, 255),
    }.items()
}
for name, most in found.items():
    print(f"{name}: one call {most[0]:.0f}, across first {most[1]:.0f}, down first {most[2]:.0f} of 255")
assert max(found["soft, wide"]) <= 3
assert found["hard, wide"][0] > 20 and found["hard, tall"][0] > 20
assert found["hard, wide"][1] <= 3 < 20 < found["hard, wide"][2]
assert found["hard, tall"][2] <= 3 < 20 < found["hard, tall"][1]
PY
echo "as described"
