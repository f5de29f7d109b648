"""Data sets without a table of their own: image files in a folder per class, or a table somewhere among them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pyarrow as pa

from headstart_server.core.errors import invalid
from headstart_server.core.suggest import choices
from headstart_server.data.splits import WORDS

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq", ".arrow", ".feather", ".ipc")
PATH_COLUMN, LABEL_COLUMN, SPLIT_COLUMN = "image_path", "label", "split"
_VALIDATION_SHARE = 0.1
_PARTS = ("train", "validation", "test")


def listed(folder: Path) -> list[str]:
    """Every file below a folder, by its path from there; hidden ones and links are left out."""
    found = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if not any(part.startswith(".") for part in relative.parts) and path.is_file() and not path.is_symlink():
            found.append(relative.as_posix())
    return found


def tables_among(names: Iterable[str]) -> list[str]:
    """The files that are tables by their ending, but for those of a Mac's archiver."""
    return sorted(name for name in names if name.lower().endswith(TABLE_ENDINGS) and not _litter(name))


def chosen_table(names: list[str], wanted: str, field: str) -> str | None:
    """The table among some files: the one that is asked for, the only one, or None where there is none at all."""
    tables = tables_among(names)
    if wanted:
        if wanted in names:
            return wanted
        message = f"{wanted[:200]!r} is not in it{choices(wanted, tables, 'its tables')}"
        raise invalid(f"{field}.table_file", message, reason="MISSING_TABLE")
    if len(tables) > 1:
        message = f"holds {len(tables)} tables; name one of them: {', '.join(tables[:20])}"
        raise invalid(f"{field}.table_file", message, reason="MISSING_TABLE")
    return tables[0] if tables else None


def table_of_folders(names: Iterable[str], field: str) -> pa.Table:
    """One row per image with its path and its class, the folder that it lies in: `CLASS/NAME.jpg`.

    Folders `train`, `validation` and `test` above the classes become a column `split`; where there is no folder for
    validation, a tenth of the training images, chosen by a hash of their paths, validate.
    """
    images = [
        PurePosixPath(name) for name in sorted(names) if name.lower().endswith(IMAGE_ENDINGS) and not _litter(name)
    ]
    above = _shared_folders(images)
    rows = [path.parts[above:] for path in images]
    if not images or any(len(row) < 2 for row in rows):
        what = "no images" if not images else f"{str(images[0])[:200]!r} in no folder of a class"
        raise invalid(
            field, f"holds no table and {what}; add a CSV file, or sort images as CLASS/NAME.jpg", reason="EMPTY_DATA"
        )
    paths = pa.array([str(path) for path in images], pa.large_string())
    if all(row[0].lower() in WORDS and len(row) > 2 for row in rows):
        splits = _splits([row[0] for row in rows], [str(path) for path in images])
        labels = pa.array([row[1] for row in rows], pa.large_string())
        return pa.table({PATH_COLUMN: paths, LABEL_COLUMN: labels, SPLIT_COLUMN: pa.array(splits, pa.large_string())})
    return pa.table({PATH_COLUMN: paths, LABEL_COLUMN: pa.array([row[0] for row in rows], pa.large_string())})


def _splits(folders: list[str], paths: list[str]) -> list[str]:
    parts = [_PARTS[WORDS[folder.lower()]] for folder in folders]
    if "validation" in parts:
        return parts
    return [
        "validation" if part == "train" and _uniform(path) < _VALIDATION_SHARE else part
        for part, path in zip(parts, paths, strict=True)
    ]


def _uniform(path: str) -> float:
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=8).digest()) / 2.0**64


def _shared_folders(paths: list[PurePosixPath]) -> int:
    """How many folders lie above all of the images and say nothing, such as the archive's own."""
    above = 0
    while (
        paths and len({path.parts[above] for path in paths}) == 1 and all(len(path.parts) > above + 2 for path in paths)
    ):
        above += 1
    return above


def _litter(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
