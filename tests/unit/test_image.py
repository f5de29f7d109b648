"""The images hold whatever the chart, or a setting of the server, can ask for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = {
    "arrow": "a client's; the server has it",
    "deepspeed": "builds with a CUDA toolkit",
    "dev": "tests",
    "mlflow": "a client's",
    "page-tests": "tests",
    "quickstart": "the example's weights",
    "tensorboard": "a client's",
    "wandb": "a client's",
}


def _extras_of_the_images() -> list[set[str]]:
    found = re.findall(r"headstart-\*\.whl\)\[([a-z0-9,]+)\]", (ROOT / "Dockerfile").read_text())
    return [set(extras.split(",")) for extras in found]


def test_every_extra_is_in_the_images_or_is_left_out_for_a_reason() -> None:
    known = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    assert len(_extras_of_the_images()) == 2
    for extras in _extras_of_the_images():
        assert extras | LEFT_OUT.keys() == known
        assert not extras & LEFT_OUT.keys()


def test_the_constraints_are_of_the_same_extras() -> None:
    written = re.findall(r"headstart\[([a-z0-9,]+)\]", (ROOT / "docker" / "constraints.txt").read_text())
    assert [set(extras.split(",")) for extras in written] == _extras_of_the_images()[:1]
    assert "psycopg-binary==" in (ROOT / "docker" / "constraints.txt").read_text()
