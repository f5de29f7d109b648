"""Data sets without a table of their own: image files in a folder per class, or a table somewhere among them."""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.reasons import Reason
from headstart_server.core.suggest import choices
from headstart_server.data.archive_index import plain_name
from headstart_server.data.splits import WORDS

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq", ".arrow", ".feather", ".ipc")
PATH_COLUMN, LABEL_COLUMN, SPLIT_COLUMN = "image_path", "label", "split"
_VALIDATION_SHARE = 0.1
_PARTS = ("train", "validation", "test")
_PART_FOLDERS = {word: part for word, part in WORDS.items() if not word.isdigit()}
"""What folders of parts are called: `0` and `1` are classes."""


def listed(folder: Path, field: str) -> list[str]:
    """Every file below a folder, by its path from there; hidden ones, links and special files are left out."""
    found = []
    for above, folders, files in os.walk(folder):
        # In place: os.walk goes into those that are left.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            path = os.path.join(above, name)  # noqa: PTH118 - a Path takes ten times as long, for every image
            with suppress(FileNotFoundError):  # removed just now
                if not name.startswith(".") and stat.S_ISREG(os.lstat(path).st_mode):
                    found.append(os.path.relpath(path, folder))
    for name in found:
        if _not_text(name):
            raise invalid(
                field, f"its file {name[:200]!r} has a name that is not UTF-8; rename it", reason=Reason.BAD_NAME
            )
    return sorted(found)


def tables_among(names: Iterable[str]) -> list[str]:
    """The files that are tables by their ending, but for those of a Mac's archiver."""
    return sorted(name for name in names if name.lower().endswith(TABLE_ENDINGS) and not _litter(name))


def chosen_table(names: list[str], wanted: str, field: str) -> str | None:
    """The table among some files: the one that is asked for, the only one, or None where there is none at all.

    A single `.json` beside images that lie in folders of classes describes them rather than being a table (a list of
    labels, a manifest): it is one only where it is asked for.
    """
    tables = tables_among(names)
    if wanted:
        for candidate in (wanted, plain_name(wanted)):
            if candidate in tables:
                return candidate
        what = "is no table" if wanted in names else "is not in it"
        message = f"{wanted[:200]!r} {what}{choices(wanted, tables, 'its tables')}"
        raise invalid(f"{field}.table_file", message, reason=Reason.MISSING_TABLE)
    if len(tables) > 1:
        message = f"holds {len(tables)} tables; name one of them: {', '.join(tables[:20])}"
        raise invalid(f"{field}.table_file", message, reason=Reason.MISSING_TABLE)
    if tables and tables[0].lower().endswith(".json") and _in_classes(names):
        return None
    return tables[0] if tables else None


def _in_classes(names: Iterable[str]) -> bool:
    """Whether every image lies in the folder of a class, and there are several classes."""
    images = [name for name in names if name.lower().endswith(IMAGE_ENDINGS) and not _litter(name)]
    above = _shared_folders(images)
    if any(name.count("/") < above + 1 for name in images):
        return False
    folders = {_part(name, above) for name in images}
    parts = {folder for folder in folders if folder.lower() in _PART_FOLDERS}
    return len(folders) > 1 and (not parts or all(name.count("/") > above + 1 for name in images))


@contextmanager
def table_named(member: str) -> Iterator[None]:
    """Names the table of an archive or folder in errors about it: nobody may have asked for that one."""
    try:
        yield
    except InvalidInputError as error:
        named = [replace(found, message=f"its table {member[:200]!r} {found.message}") for found in error.listed]
        raise InvalidInputError(named, reason=error.reason, unlisted=error.unlisted) from error


def table_of_folders(names: Iterable[str], field: str) -> pa.Table:
    """One row per image with its path and its class, the folder that it lies in: `CLASS/NAME.jpg`.

    Folders `train`, `validation` and `test` above the classes become a column `split`; where there is no folder for
    validation, a tenth of the training images, chosen by a hash of their paths, validate.
    """
    images = sorted(name for name in names if name.lower().endswith(IMAGE_ENDINGS) and not _litter(name))
    above = _shared_folders(images)
    if not images or any(name.count("/") < above + 1 for name in images):
        first = next((name for name in images if name.count("/") < above + 1), "")
        what = f"{first[:200]!r} in no folder of a class" if images else "no images"
        raise invalid(
            field,
            f"holds no table and {what}; add a CSV file, or sort images as CLASS/NAME.jpg",
            reason=Reason.EMPTY_DATA,
        )
    paths = pa.array(images, pa.large_string())
    if _has_parts(images, above, field):
        splits = _splits([_part(name, above) for name in images], images)
        labels = pa.array([_part(name, above + 1) for name in images], pa.large_string())
        return pa.table({PATH_COLUMN: paths, LABEL_COLUMN: labels, SPLIT_COLUMN: pa.array(splits, pa.large_string())})
    return pa.table({PATH_COLUMN: paths, LABEL_COLUMN: pa.array([_part(name, above) for name in images])})


def _has_parts(images: list[str], above: int, field: str) -> bool:
    """Whether the images lie in folders `train`, `test` and so on; those must hold all of the images, in classes."""
    others = [name for name in images if _part(name, above).lower() not in _PART_FOLDERS or name.count("/") < above + 2]
    parts = {_part(name, above).lower() for name in images} & _PART_FOLDERS.keys()
    if others and any(_PART_FOLDERS[name] == 0 for name in parts) and len(parts) > 1:
        # Without training images beside another part those words are taken for classes, and a mix is no mistake.
        message = (
            f"has folders {', '.join(sorted(parts))}, but {others[0][:200]!r} is in no class of theirs; "
            "sort all images as train/CLASS/NAME.jpg, or leave that one out"
        )
        raise invalid(field, message, reason=Reason.MIXED_FOLDERS)
    return not others


def _part(name: str, depth: int) -> str:
    """The folder at some depth of a path."""
    return name.split("/", depth + 1)[depth]


def _splits(folders: list[str], paths: list[str]) -> list[str]:
    parts = [_PARTS[_PART_FOLDERS[folder.lower()]] for folder in folders]
    if "validation" in parts:
        return parts
    return [
        "validation" if part == "train" and _uniform(path) < _VALIDATION_SHARE else part
        for part, path in zip(parts, paths, strict=True)
    ]


def _uniform(path: str) -> float:
    # By the path alone: images that are added move no other to another part.
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=8).digest()) / 2.0**64


def _shared_folders(names: list[str]) -> int:
    """How many folders lie above all of the images and say nothing, such as the archive's own."""
    above = 0
    while (
        names
        and all(name.count("/") > above + 1 for name in names)
        and len({_part(name, above) for name in names}) == 1
    ):
        above += 1
    return above


def _litter(name: str) -> bool:
    return name.startswith((".", "__MACOSX")) or "/." in name or "/__MACOSX" in name


def _not_text(name: str) -> bool:
    """Whether a file system's name holds bytes that are not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return True
    return False
