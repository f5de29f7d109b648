"""Folders in an object store: their files, and a list of them, written last, that makes them a folder."""

import json
from pathlib import Path

from headstart_server.core.errors import DataLossError
from headstart_server.storage.object_store import ObjectStore

Files = dict[str, int]
"""Sizes in bytes by path within a folder."""


class ListedFolders:
    """Each has its files below `files/{name}/{token}/` and its list at `names/{name}.json`. Raises StorageError."""

    def __init__(self, object_store: ObjectStore) -> None:
        self._object_store = object_store

    def names(self) -> set[str]:
        """Of all folders."""
        return {name.removeprefix("names/").removesuffix(".json") for name in self._object_store.files("names")}

    def listed(self, name: str) -> tuple[str, Files]:
        """(token, files); raises FileNotFoundError, or DataLossError where that list is damaged."""
        try:
            found = json.loads(self._object_store.read(f"names/{name}.json"))
            return str(found["token"]), {str(file): int(size) for file, size in found["files"].items()}
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise DataLossError(f"{name} is damaged in the shared storage: its list of files is unreadable") from error

    def list(self, name: str, token: str, files: Files) -> None:
        """Makes uploaded files a folder."""
        self._object_store.write(f"names/{name}.json", json.dumps({"token": token, "files": files}).encode())

    def upload(self, name: str, token: str, folder: Path) -> Files:
        """Publishes the files of a local folder, which are none until they are listed."""
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        for file, path in files.items():
            self._object_store.publish(path, f"files/{name}/{token}/{file}")
        return {file: path.stat().st_size for file, path in files.items()}

    def read(self, name: str, token: str, file: str) -> bytes:
        """One file; raises FileNotFoundError."""
        return self._object_store.read(f"files/{name}/{token}/{file}")

    def fetch(self, name: str, token: str, file: str, target: Path) -> None:
        """Publishes one file to the local disk; raises FileNotFoundError."""
        self._object_store.fetch(f"files/{name}/{token}/{file}", target)

    def unlist(self, name: str) -> None:
        """Makes a folder none, for everybody and at once."""
        self._object_store.remove(f"names/{name}.json")

    def remove_files(self, name: str) -> None:
        """Removes what lies below a name."""
        self._object_store.remove(*self._object_store.files(f"files/{name}"))

    def remove_unlisted(self, before: float) -> int:
        """Removes files that no list has, published before a moment; returns how many went."""
        living, damaged = set(), set()
        for name in self.names():
            try:
                living.add(f"{name}/{self.listed(name)[0]}")
            except DataLossError:  # nobody knows which of its files count
                damaged.add(name)
        # by age, since what is being uploaded has no list yet
        left = [
            file
            for file, stored in self._object_store.files("files").items()
            if "/".join(file.split("/")[1:3]) not in living
            and file.split("/")[1] not in damaged
            and stored.modified < before
        ]
        self._object_store.remove(*left)
        return len(left)
