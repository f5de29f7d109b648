"""AutoGluon beside us in the same run: needs an interpreter that has it, named by HEADSTART_AUTOGLUON_PYTHON."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

VERSION = "AutoGluon 1.6.3, medium_quality"
_SCRIPT = Path(__file__).parent.parent / "peers" / "autogluon_fit.py"


@dataclass(frozen=True)
class AutoGluonFit:
    """What it came to."""

    accuracy: float
    """On the test rows."""
    seconds: float
    model: str


class AutoGluon:
    """Runs tasks in its interpreter."""

    def __init__(self, python: str, scratch: Path) -> None:
        self._python, self._scratch = python, scratch

    @classmethod
    def found(cls, scratch: Path) -> "AutoGluon | None":
        """None where HEADSTART_AUTOGLUON_PYTHON is not set."""
        python = os.environ.get("HEADSTART_AUTOGLUON_PYTHON")
        return cls(python, scratch) if python else None

    def fit(self, train: Path, test: Path, inputs: Sequence[str], target: str, seconds: float) -> AutoGluonFit:
        """Trains on the columns for at most so many seconds."""
        task = {
            "train": str(train),
            "test": str(test),
            "inputs": list(inputs),
            "target": target,
            "seconds": seconds,
            "folder": str(self._scratch / "autogluon" / f"{train.parent.name}-{target}"),
        }
        done = subprocess.run(
            [self._python, str(_SCRIPT)], input=json.dumps(task), capture_output=True, text=True, env=_environment()
        )
        if done.returncode:
            raise RuntimeError(f"{self._python} failed: {done.stderr[-2_000:]}")
        found = json.loads(done.stdout.strip().splitlines()[-1])
        return AutoGluonFit(found["accuracy"], found["seconds"], found["model"])


def _environment() -> dict[str, str]:
    """Ours without what would lead it to our packages."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
