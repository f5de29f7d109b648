"""The newcomer's path, timed: from a fresh clone to the page of a finished run, by the two commands of the README.

Usage: python -m benchmarks.newcomer

Clones the repository as it is committed into a temporary folder, with an environment of its own: most of the time is
the package index's and the disk's.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks.support.server import free_port

_ROOT = Path(__file__).resolve().parent.parent
_SECONDS = 300.0


def main() -> None:
    """Prints each step with its seconds; raises where one fails."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "headstart"
        _timed("git clone", ["git", "clone", "--quiet", str(_ROOT), str(clone)], Path(folder))
        _timed("make quickstart", ["make", "quickstart", f"PYTHON={sys.executable}"], clone)
        start, port = time.perf_counter(), free_port()
        environment = {**os.environ, "HEADSTART_PORT": "0", "HEADSTART_HTTP_PORT": str(port)}
        page = subprocess.Popen(
            ["make", "page", f"PYTHON={sys.executable}"],
            cwd=clone,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            job = _newest(f"http://localhost:{port}", page)
            assert job["state"] == "STATE_SUCCEEDED", job["state"]
            print(f"make page, until {job['name']} is shown: {time.perf_counter() - start:.0f} s")
        finally:
            os.killpg(page.pid, signal.SIGTERM)
            page.wait()


def _timed(name: str, command: list[str], folder: Path) -> None:
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)


def _newest(url: str, server: "subprocess.Popen[bytes]") -> dict[str, str]:
    """What the page shows first, once it is served with all that it loads."""
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            for path in ("/", "/static/app.js", "/static/styles/base.css"):
                _read(url + path)
            job: dict[str, str] = json.loads(_read(f"{url}/api/v1/trainJobs?pageSize=1"))["trainJobs"][0]
            return job
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        body: bytes = answer.read()
        return body


if __name__ == "__main__":
    main()
