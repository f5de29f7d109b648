"""Checks every text family of the installed transformers, in processes that may crash or hang; writes docs/encoders.md.

Usage: python -m tests.families.run [NAME ...] [--exports] [--seconds S]
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
from pathlib import Path

from tests.families.known import Found, known, remember
from tests.families.table import write_table
from tests.families.tiny import config_classes

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "encoders.md"


class Checker:
    """A process that checks families one after the other; a new one takes over where it crashes or hangs."""

    def __init__(self, seconds: float, *, exports: bool) -> None:
        self._seconds, self._exports = seconds, exports
        self._process: subprocess.Popen[str] | None = None

    def check(self, name: str) -> Found:
        """What was found of a family."""
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{name} exports\n" if self._exports else f"{name}\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], self._seconds)
        line = process.stdout.readline() if ready else ""
        if line:
            answer: Found = json.loads(line)
            return answer
        failure = f"its process ended with {process.wait()}" if ready else f"takes more than {self._seconds:.0f} s"
        self.close()
        return {"name": name, "model": "", "verdict": "WRONG", "reason": "", "failures": [failure]}

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
            command = [sys.executable, "-m", "tests.families.check"]
            pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=quiet, env=environment, text=True, bufsize=1
            )
        return self._process


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 if a family is wrong."""
    options = _parse(argv)
    before = {} if options.fresh else known()
    names = options.names or [name for name in sorted(config_classes()) if _is_open(before.get(name), options.exports)]
    checker = Checker(options.seconds, exports=options.exports)
    for name in names:
        found = checker.check(name)
        print(f"{name}: {found['verdict']} {found.get('reason', '')[:100]} {found.get('failures') or ''}", flush=True)
        remember(found)
    checker.close()
    write_table(DOCUMENT, known())
    return 1 if any(item["verdict"] == "WRONG" for item in known().values()) else 0


def _is_open(found: Found | None, exports: bool) -> bool:
    """Whether a family is yet to be checked."""
    if found is None or found["verdict"] == "WRONG":
        return True
    return exports and found["verdict"] not in ("refused", "not built") and not (found["onnx"] and found["torchscript"])


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.families.run", description="Check text families.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a model type of transformers (default: all)")
    parser.add_argument("--exports", action="store_true", help="export each, too: four times as long")
    parser.add_argument("--fresh", action="store_true", help="check what is known, too")
    parser.add_argument("--seconds", type=float, default=900, help="limit of one family")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
