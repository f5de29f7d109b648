"""Digests of bytes and fingerprints of configurations."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes in hexadecimal; remembered while size, time and inode stay the same."""
    stat = path.stat()
    return _file_digest(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=4096)
def _file_digest(path: Path, _size: int, _mtime_ns: int, _inode: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(description: Mapping[str, Any]) -> str:
    """Identity of a configuration: 32 hexadecimal characters of BLAKE2b over its canonical JSON."""
    # names of spaces and digests of descriptions are stored: any other form would match none of them
    text = json.dumps(description, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def files_digest(files: Mapping[str, Path]) -> str:
    """One digest over named files: equal for equal names and bytes, wherever they lie."""
    return fingerprint({name: file_digest(path) for name, path in files.items()})
