"""Atomic publishing of files and folders, and paths that stay below a root."""

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headstart_server.core.digests import forget_digest, forget_digests
from headstart_server.core.errors import StoreFullError, invalid
from headstart_server.core.reasons import Reason

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
TEMPORARY = ".tmp"
"""How the names of files end that are not published yet."""


@contextmanager
def disk_full_named(folder: Path) -> Iterator[None]:
    """Raises StoreFullError for whatever inside fails because the disk that holds `folder` is full."""
    try:
        yield
    except Exception as error:
        if _is_disk_full(error):
            raise StoreFullError(f"no space left on the disk that holds {folder.name}; free some") from error
        raise


@contextmanager
def published_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is fsynced and renamed into place, else removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # in the same folder, since a rename is atomic within one file system only
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{TEMPORARY}")
    try:
        with disk_full_named(path.parent):
            yield temporary
            # contents, then name, then its folder: a power failure leaves the old file or the new one, whole
            _fsync(temporary)
            temporary.replace(path)
            _fsync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def published_folder(path: Path, *, replaces: bool = False) -> Iterator[Path]:
    """Yields a temporary folder; on success it becomes `path`.

    Where that exists already it stays, unless the new one `replaces` it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{TEMPORARY}")
    temporary.mkdir()
    try:
        with disk_full_named(path.parent):
            yield temporary
            for file in (temporary, *temporary.rglob("*")):
                _fsync(file)
            try:
                # rename(2) replaces no folder with anything in it; a crash between the two leaves neither
                if replaces and path.exists():
                    remove_folder(path)
                temporary.rename(path)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            _fsync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def link_or_copy(path: Path, other: Path) -> None:
    """Gives a file another name, so that it is there if what follows fails; a copy where names cannot be added."""
    try:
        os.link(path, other)
    except OSError:  # another file system, or one without links
        shutil.copyfile(path, other)


def remove_folder(path: Path) -> None:
    """Deletes a folder, which nobody sees half of: it leaves its name at once. Raises FileNotFoundError."""
    leaving = path.with_name(f".{path.name}.{secrets.token_hex(6)}{TEMPORARY}")
    path.rename(leaving)
    forget_digests(path)
    shutil.rmtree(leaving)


def remove(path: Path) -> None:
    """Deletes a file, or a folder with all in it. Raises FileNotFoundError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        forget_digests(path)
    else:
        path.unlink()
        forget_digest(path)


def write_json(path: Path, value: Any) -> None:
    """Publishes a value as JSON."""
    with published_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Reads a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def resolve_below(root: Path, relative: str, field: str) -> Path:
    """The real path of `relative` below `root`; refuses absolute paths, `..` and symlinks that leave the root."""
    candidate = Path(relative)
    if not relative or "\0" in relative or candidate.is_absolute() or ".." in candidate.parts:
        raise invalid(
            field, f"{relative[:200]!r} must be a relative path without '..'", reason=Reason.PATH_OUTSIDE_ROOT
        )
    real_root = root.resolve()
    try:
        real = (root / candidate).resolve()
        real.exists()  # raises for names that no file system takes
    except (OSError, RuntimeError, UnicodeError) as error:  # RuntimeError: a loop of links, until Python 3.13
        raise invalid(field, f"{relative[:200]!r} cannot be resolved; check the name") from error
    if not real.is_relative_to(real_root):
        raise invalid(field, f"{relative[:200]!r} leaves the configured root", reason=Reason.PATH_OUTSIDE_ROOT)
    return real


def folder_size(path: Path) -> int:
    """Sum of the sizes of the files below `path`, in bytes."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _is_disk_full(error: Exception) -> bool:
    """Libraries written in Rust, safetensors among them, give the error's number in their message only."""
    if isinstance(error, OSError):
        return error.errno in _DISK_FULL
    return any(f"(os error {number})" in str(error) for number in _DISK_FULL)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
