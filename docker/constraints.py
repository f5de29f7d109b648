"""Writes docker/constraints.txt: what pip resolves for the images today, one version for each package.

Usage: python docker/constraints.py
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
EXTRAS = "server,gbm,sweep,adapters,ray,s3,gcs,postgres,oidc,telemetry"


def main() -> None:
    """Asks pip what it would install beside nothing."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        subprocess.run([*command, "--report", str(report), f"{HERE.parent}[{EXTRAS}]"], check=True)
        found = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    versions = sorted((item["name"].lower().replace("_", "-"), item["version"]) for item in found)
    python = ".".join(platform.python_version_tuple()[:2])
    head = f"# Versions of everything in the images: headstart[{EXTRAS}] as pip resolved it on Python {python}, "
    lines = [f"{head}{datetime.now(UTC).date()}.", "# Written by: python docker/constraints.py"]
    lines += [f"{name}=={version}" for name, version in versions if name != "headstart"]
    (HERE / "constraints.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
