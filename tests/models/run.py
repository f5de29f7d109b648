"""Checks every variant of torchvision's registry, smallest first, each in a process of its own; writes docs/models.md.

Usage: python -m tests.models.run [NAME ...] [--fresh] [--seconds S] [--gigabytes G]

What was found already with the installed torchvision is not checked again, so that a run may be stopped and continued.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torchvision
from headstart_server.encoders.torchvision_models import Architecture, architectures

from tests.models.table import write_table

OUT = Path(__file__).parent / "out"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "models.md"
KNOWN = Path(__file__).parent / "known.json"
"""What the table is made of, kept with the code: the whole check takes hours."""


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 if a variant fails."""
    options = _parse(argv)
    OUT.mkdir(exist_ok=True)
    items = smallest_first()
    found: dict[str, dict[str, Any]] = {} if options.fresh else _known()
    for item in items:
        if options.names and item.name not in options.names:
            continue
        if item.name not in found or item.name in options.names:
            found[item.name] = _checked(item, options.seconds, options.gigabytes * 2**30)
            lines = ",\n".join(json.dumps(found[one.name]) for one in items if one.name in found)
            KNOWN.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        print(f"{item.name}: {'; '.join(found[item.name]['failures']) or 'good'}", flush=True)
        write_table(DOCUMENT, items, found)
    return 1 if any(findings["failures"] for findings in found.values()) else 0


def smallest_first() -> list[Architecture]:
    """Every variant, by the number of its parameters."""
    items = [item for family in architectures().values() for item in family]
    return sorted(items, key=lambda item: next(iter(item.published.values())).meta["num_params"])


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.models.run", description="Check torchvision's models.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="as the registry has it (default: all)")
    parser.add_argument("--fresh", action="store_true", help="check what is known, too")
    parser.add_argument("--seconds", type=float, default=1800, help="limit of one variant")
    parser.add_argument("--gigabytes", type=float, default=10, help="memory limit of one variant")
    return parser.parse_args(argv)


def _known() -> dict[str, dict[str, Any]]:
    findings = json.loads(KNOWN.read_text(encoding="utf-8")) if KNOWN.is_file() else []
    return {one["name"]: one for one in findings if one["torchvision"] == torchvision.__version__}


def _checked(item: Architecture, seconds: float, most_bytes: float) -> dict[str, Any]:
    started = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    log = OUT / f"{item.name}.log"
    with log.open("w", encoding="utf-8") as errors, (OUT / "answer.json").open("w+", encoding="utf-8") as answer:
        command = [sys.executable, "-m", "tests.models.check", item.name]
        process = subprocess.Popen(command, stdout=answer, stderr=errors, env=environment)
        failure = _watched(process, started + seconds, most_bytes)
        answer.seek(0)
        lines = answer.read().splitlines()
    if process.returncode == 0 and not failure:
        log.unlink()
        findings: dict[str, Any] = json.loads(lines[-1])
        return findings
    failure = failure or f"the process ended with {process.returncode}: {_last_line(log)}"
    spent = time.monotonic() - started
    about = {"name": item.name, "family": item.family, "variant": item.variant, "torchvision": torchvision.__version__}
    return {**about, "seconds": spent, "failures": [failure]}


def _watched(process: subprocess.Popen[bytes], deadline: float, most_bytes: float) -> str:
    """Waits for the process; ends it beyond its limits and returns which."""
    while process.poll() is None:
        failure = ""
        if time.monotonic() > deadline:
            failure = "takes longer than its time limit"
        elif _memory(process.pid) > most_bytes:
            failure = f"takes more than {most_bytes / 2**30:.0f} GiB of memory"
        if failure:
            process.kill()
            process.wait()
            return failure
        time.sleep(0.5)
    return ""


def _memory(pid: int) -> int:
    """Bytes that are the process's own; pages of mapped files are not."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8").split("\n")
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")


if __name__ == "__main__":
    sys.exit(main())
