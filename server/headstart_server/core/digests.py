"""Digests of bytes and fingerprints of configurations."""

import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class _State(NamedTuple):
    """What tells that a file has been written."""

    size: int
    time: int
    """Of its last modification, in ns."""
    inode: int


def _state(path: Path) -> _State:
    stat = path.stat()
    return _State(stat.st_size, stat.st_mtime_ns, stat.st_ino)


class Digests:
    """Those of the files that were read last, with the state that each was read in. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._known: OrderedDict[str, tuple[_State, str]] = OrderedDict()

    def get(self, path: Path, state: _State) -> str | None:
        """The digest, if the file is in that state still."""
        with self._lock:
            known = self._known.get(str(path))
            return known[1] if known is not None and known[0] == state else None

    def note(self, path: Path, state: _State, digest: str) -> None:
        """Remembers a digest; that of the file that was read longest ago is forgotten."""
        with self._lock:
            self._known[str(path)] = state, digest
            self._known.move_to_end(str(path))
            if len(self._known) > self._most:
                self._known.popitem(last=False)

    def forget(self, path: str) -> None:
        """Forgets that of one file."""
        with self._lock:
            self._known.pop(path, None)

    def forget_below(self, start: str) -> None:
        """Forgets those of the files whose paths start so."""
        with self._lock:
            for path in [path for path in self._known if path.startswith(start)]:
                del self._known[path]


_DIGESTS = Digests(4_096)


def file_digest(path: Path, known: Digests = _DIGESTS) -> str:
    """SHA-256 of a file's bytes in hexadecimal; remembered while size, time and inode stay the same."""
    state = _state(path)
    digest = known.get(path, state)
    if digest is None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        known.note(path, state, digest)
    return digest


def digest_of_used(path: Path, mark: Callable[[Path], None], known: Digests = _DIGESTS) -> str:
    """As `file_digest`, of a file that `mark` then gives another time, which is no reason to read it again."""
    before, digest = _state(path), file_digest(path, known)
    mark(path)
    after = _state(path)
    if (before.size, before.inode) == (after.size, after.inode):
        known.note(path, after, digest)
    return digest


def forget_digests(folder: Path) -> None:
    """Forgets those of a folder's files, which are no more: what nobody asks for again holds no memory."""
    _DIGESTS.forget_below(f"{folder}{os.sep}")


def forget_digest(file: Path) -> None:
    """Forgets that of a file which is no more, or has another name now."""
    _DIGESTS.forget(str(file))


def fingerprint(description: Mapping[str, Any]) -> str:
    """Identity of a configuration: 32 hexadecimal characters of BLAKE2b over its canonical JSON."""
    # names of spaces and digests of descriptions are stored: any other form would match none of them
    text = json.dumps(description, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def files_digest(files: Mapping[str, Path]) -> str:
    """One digest over named files: equal for equal names and bytes, wherever they lie."""
    return fingerprint({name: file_digest(path) for name, path in files.items()})
