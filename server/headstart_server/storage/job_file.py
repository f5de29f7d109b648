"""Small files of a job that another machine needs to go on with it."""

from contextlib import suppress
from pathlib import Path

from headstart_server.core.files import disk_full_named, published_file
from headstart_server.storage.object_store import ObjectStore


class JobFile:
    """A text of a job, on this machine and, where machines share a storage, there. Raises StorageError.

    Args:
        path: On this machine.
        object_store: What machines share of the job.
    """

    def __init__(self, path: Path, object_store: ObjectStore | None) -> None:
        self._path, self._object_store = path, object_store

    def texts(self) -> list[str]:
        """What is there of it: this machine's, and the shared one, of which either may be the later."""
        found = [self._path.read_text(encoding="utf-8")] if self._path.is_file() else []
        if self._object_store is not None:
            with suppress(FileNotFoundError):
                found.append(self._object_store.read(self._path.name).decode())
        return found

    def write(self, text: str) -> None:
        """Publishes a text."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with published_file(self._path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        self.share()

    def append(self, text: str) -> None:
        """Adds to the text on this machine; `share` tells the others."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with disk_full_named(self._path.parent), self._path.open("a", encoding="utf-8") as file:
            file.write(text)

    def share(self) -> None:
        """Publishes what is on this machine for the others."""
        if self._object_store is not None and self._path.is_file():
            self._object_store.write(self._path.name, self._path.read_bytes())
