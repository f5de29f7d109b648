"""Shared folders: models, artifacts and the like, published whole and by name, here and for every other machine.

Each lies below one local folder. Where there is a depot, it is there first: files below `files/{name}/{token}/`, then
`names/{name}.json`, which lists them and makes them a folder. What a killed publisher left has no such list. A machine
that needs a folder fetches it, once.
"""

import json
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headstart_server.core.errors import DataLossError
from headstart_server.core.files import disk_full_named, published_folder, remove_folder
from headstart_server.storage.depot import Depot

_KNOWN_SECONDS = 5.0
"""How long a folder that was there is taken to be there still."""
_ABANDONED_SECONDS = 24 * 3600.0


class SharedFolders:
    """Folders by name. Names are ids or digests: no slash, no leading dot."""

    def __init__(self, root: Path, depot: Depot | None = None) -> None:
        self.root, self._depot = root, depot
        self._known: dict[str, float] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Of every folder, ascending."""
        if self._depot is None:
            return sorted(path.name for path in self.root.glob("[!.]*") if path.is_dir())
        return sorted(name.removeprefix("names/").removesuffix(".json") for name in self._depot.files("names"))

    def __contains__(self, name: str) -> bool:
        if self._depot is None:
            return (self.root / name).is_dir()
        try:
            self._listed(name)
        except FileNotFoundError:
            return False
        return True

    def path(self, name: str) -> Path:
        """The folder on this machine's disk; raises FileNotFoundError, or DataLossError where files of it are gone."""
        folder = self.root / name
        if self._depot is None:
            if not folder.is_dir():
                raise FileNotFoundError(folder)
            return folder
        if not (folder.is_dir() and self._lately_there(name)):
            listed = self._listed(name)
            if not folder.is_dir():
                self._fetch(name, listed)
        return folder

    def read(self, name: str, file: str) -> bytes:
        """One file of a folder, without fetching the others; raises FileNotFoundError."""
        if self._depot is None or ((self.root / name).is_dir() and self._lately_there(name)):
            return (self.root / name / file).read_bytes()
        token, files = self._listed(name)
        if file not in files:
            raise FileNotFoundError(f"{name}/{file}")
        return self._depot.read(f"files/{name}/{token}/{file}")

    @contextmanager
    def publish(self, name: str) -> Iterator[Path]:
        """Yields a temporary folder; on success it is `name` everywhere, unless that is there already."""
        with published_folder(self.root / name) as temporary:
            yield temporary
            if self._depot is not None:
                self._upload(name, temporary)

    def remove(self, name: str) -> None:
        """Removes a folder, for everybody and at once; raises FileNotFoundError."""
        if self._depot is not None:
            self._known.pop(name, None)
            self._listed(name)
            self._depot.remove(f"names/{name}.json")
            self._depot.remove(*self._depot.files(f"files/{name}"))
            shutil.rmtree(self.root / name, ignore_errors=True)
            return
        remove_folder(self.root / name)

    def tidy(self, now: float) -> int:
        """Removes from the depot what killed publishers left a day ago, and from here what others removed there.

        Returns how many files went from the depot. `now` is in seconds since the epoch.
        """
        if self._depot is None:
            return 0
        names = set(self.names())
        living = {f"{name}/{self._listed(name)[0]}" for name in names}
        left = [
            file
            for file, stored in self._depot.files("files").items()
            if "/".join(file.split("/")[1:3]) not in living and now - stored.modified > _ABANDONED_SECONDS
        ]
        self._depot.remove(*left)
        for folder in self.root.glob("[!.]*"):
            if folder.name not in names and now - folder.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        return len(left)

    def _upload(self, name: str, folder: Path) -> None:
        assert self._depot is not None
        token = secrets.token_hex(6)
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        for file, path in files.items():
            self._depot.publish(path, f"files/{name}/{token}/{file}")
        listed = {"token": token, "files": {file: path.stat().st_size for file, path in files.items()}}
        self._depot.write(f"names/{name}.json", json.dumps(listed).encode())
        self._known[name] = time.monotonic()

    def _fetch(self, name: str, listed: tuple[str, dict[str, int]]) -> None:
        """Raises DataLossError where a file is gone or has another size, FileNotFoundError where the folder went."""
        assert self._depot is not None
        token, files = listed
        with self._lock, disk_full_named(self.root), published_folder(self.root / name) as temporary:
            for file, size in files.items():
                try:
                    self._depot.fetch(f"files/{name}/{token}/{file}", temporary / file)
                except FileNotFoundError:
                    self._listed(name)  # raises where it was removed just now
                    raise DataLossError(f"{name}/{file} is gone from the shared storage") from None
                if (temporary / file).stat().st_size != size:
                    raise DataLossError(f"{name}/{file} in the shared storage has not the size that was published")

    def _lately_there(self, name: str) -> bool:
        return time.monotonic() - self._known.get(name, float("-inf")) < _KNOWN_SECONDS

    def _listed(self, name: str) -> tuple[str, dict[str, int]]:
        """(token, files with their sizes); raises FileNotFoundError."""
        assert self._depot is not None
        found = json.loads(self._depot.read(f"names/{name}.json"))
        self._known[name] = time.monotonic()
        return found["token"], found["files"]
