"""A small file system, to be filled to its last byte."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_FILLER = "everything-else"


class SmallDisk:
    """A file system of some MiB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / _FILLER

    def fill(self) -> None:
        """Leaves no byte, by a file that takes the room, and more of it than before."""
        with suppress(OSError), self._filler.open("ab", buffering=0) as filler:
            for size in (1 << 20, 4096, 1):
                with suppress(OSError):
                    while True:
                        filler.write(b"\0" * size)

    def empty(self) -> None:
        """Gives the room back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk_at(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mounts it; skips the test where nothing can be mounted."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
