"""What a file is by its ending, as the server tells it."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq", ".arrow", ".feather", ".ipc")
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")


def is_image(name: str) -> bool:
    """Tell whether a name is one of an image file."""
    return name.lower().endswith(IMAGES)


def is_table(name: str) -> bool:
    """Tell whether a name is one of a table."""
    return name.lower().endswith(TABLES)


def is_archive(name: str) -> bool:
    """Tell whether a name is one of an archive."""
    return name.lower().endswith(ARCHIVES)


def within_archive(path: PurePath) -> tuple[PurePath, str] | None:
    """Split `photos.zip/train.csv` into the archive and the table in it; None where nothing ends as archives do."""
    # From the outermost: an archive within an archive stays closed.
    for parent in reversed(path.parents):
        if is_archive(parent.name):
            return parent, path.relative_to(parent).as_posix()
    return None


def files_below(folder: Path) -> list[Path]:
    """Return every file below a folder, sorted; hidden ones and those in hidden folders are left out."""
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _litter(name)]
        found += [Path(parent, name) for name in names if not _litter(name)]
    return sorted(path for path in found if path.is_file())


def _litter(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))
