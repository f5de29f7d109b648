"""Uploaded data sets in a folder of a test."""

from __future__ import annotations

from pathlib import Path

from headstart_server.data.uploads import Dataset, Uploads

DATA = b"review,label\ngood,1\nbad,0\n"


def uploaded(uploads: Uploads, data: bytes, name: str = "f.csv", file_format: str = "", sha256: str = "") -> Dataset:
    """Sends data in small chunks."""
    with uploads.receive(name, file_format, sha256) as upload:
        for start in range(0, len(data), 7):
            upload.write(data[start : start + 7])
        return upload.finish()


def hidden(folder: Path) -> list[Path]:
    """Files that lists do not show: of uploads on their way in."""
    return [path for path in (folder / "datasets").glob("*") if path.name.startswith(".")]
