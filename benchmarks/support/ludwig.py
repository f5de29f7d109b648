"""Ludwig beside us in the same run: needs an interpreter that has it, named by HEADSTART_LUDWIG_PYTHON."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.support.corpus import Columns
from benchmarks.support.encoder import source

VERSION = "Ludwig 0.17.10"
_SCRIPT = Path(__file__).parent.parent / "peers" / "ludwig_epochs.py"


@dataclass(frozen=True)
class Measured:
    """What Ludwig took, in seconds; its own start is not counted."""

    encode: float
    """The embedding pass; next to nothing where embeddings are not cached."""
    epochs: tuple[float, ...]


class Ludwig:
    """Runs tasks in its interpreter."""

    def __init__(self, python: str, scratch: Path) -> None:
        self._python, self._scratch = python, scratch

    @classmethod
    def found(cls, scratch: Path) -> "Ludwig | None":
        """None where HEADSTART_LUDWIG_PYTHON is not set."""
        python = os.environ.get("HEADSTART_LUDWIG_PYTHON")
        return cls(python, scratch) if python else None

    def measure(self, columns: Columns, *, trainable: bool, epochs: int, batch_size: int) -> Measured:
        """Trains on `text` and `label`; embeddings are cached unless the encoder is trainable."""
        task = {
            "columns": {name: list(columns[name]) for name in ("text", "label")},
            "model": str(source().folder),
            "trainable": trainable,
            "stored": not trainable,
            "epochs": epochs,
            "batch_size": batch_size,
            "scratch": str(self._scratch / "ludwig"),
        }
        return _measured(self._run(task))

    def _run(self, task: dict[str, Any]) -> dict[str, Any]:
        offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
        offline.pop("PYTHONPATH", None)
        done = subprocess.run(
            [self._python, str(_SCRIPT)], input=json.dumps(task), capture_output=True, text=True, env=offline
        )
        if done.returncode:
            raise RuntimeError(f"{self._python} failed: {done.stderr[-2_000:]}")
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return found


def _measured(found: dict[str, Any]) -> Measured:
    return Measured(found["encode_seconds"], tuple(found["epoch_seconds"]))
