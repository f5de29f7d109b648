"""Shared folders: models, artifacts and the like, published whole and by name, here and for every other machine.

Each lies below one local folder. Where there is an object store, it is there first: files below
`files/{name}/{token}/`, then `names/{name}.json`, which lists them and makes them a folder. What a killed publisher
left has no such list. A machine that needs a folder fetches it, and notes which one it is a copy of, in `.{name}.token`
beside it. Folders without such a note are from a time before the object store; they stay, and count.
"""

import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Protocol

from headstart_server.core.errors import DataLossError, StorageError
from headstart_server.core.files import (
    TEMPORARY,
    disk_full_named,
    folder_size,
    published_folder,
    remove_folder,
)
from headstart_server.core.locks import wait_exclusive
from headstart_server.core.pruning import Kept
from headstart_server.storage.copies import Copies
from headstart_server.storage.listed_folders import Files, ListedFolders
from headstart_server.storage.object_store import ObjectStore

_ABANDONED_SECONDS = 24 * 3600.0


class Team(Protocol):
    """Processes that publish a folder together: all call the same methods in the same order."""

    @property
    def leads(self) -> bool:
        """Whether this is the first of them."""

    def broadcast_object(self, value: Any) -> Any:
        """What the first has, as everybody receives it."""

    def all_gather_object(self, value: Any) -> list[Any]:
        """What everybody has, once everybody has come here."""


class SharedFolders:
    """Folders by name. Names are ids or digests: no slash, no leading dot."""

    known_seconds = 5.0  # for so long a folder that was there is taken to be there still

    def __init__(self, root: Path, object_store: ObjectStore | None = None) -> None:
        self.root = root
        self._shared = ListedFolders(object_store) if object_store is not None else None
        self._copies, self._away_until = Copies(root), 0.0
        self._known: dict[str, float] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Of every folder, ascending."""
        if self._shared is None:
            return sorted(self._copies.names())
        return sorted(self._shared.names() | {name for name in self._copies.names() if not self._copies.token(name)})

    def __contains__(self, name: str) -> bool:
        if self._own(name):
            return (self.root / name).is_dir()
        try:
            self._listed(name)
        except FileNotFoundError:
            return False
        except DataLossError:  # it is there, though nobody can read it
            return True
        return True

    def path(self, name: str) -> Path:
        """The folder on this machine's disk; raises FileNotFoundError, or DataLossError where files of it are gone.

        While the object store is away a copy is as good as what nobody can reach: whether it is there still is asked
        when the store is back. Raises StorageError where there is no copy.
        """
        folder = self.root / name
        if self._own(name):
            if not folder.is_dir():
                raise FileNotFoundError(folder)
        elif not (folder.is_dir() and self._lately_there(name)):
            if not (folder.is_dir() and time.monotonic() < self._away_until):
                self._renew_copy(name)
            self._copies.used(name)
        return folder

    def forget_copy(self, name: str) -> bool:
        """Removes this machine's copy, which turned out to be damaged; returns whether the object store has another."""
        if self._own(name):
            return False
        self._drop(name)
        return name in self

    def read(self, name: str, file: str) -> bytes:
        """One file of a folder, without fetching the others; raises FileNotFoundError."""
        if self._own(name) or ((self.root / name).is_dir() and self._lately_there(name)):
            return (self.root / name / file).read_bytes()
        assert self._shared is not None
        token, files = self._listed(name)
        if file not in files:
            raise FileNotFoundError(f"{name}/{file}")
        return self._shared.read(name, token, file)

    def size_bytes(self, name: str) -> int:
        """Of all files of a folder, wherever it is; raises FileNotFoundError."""
        if self._own(name):
            return folder_size(self.root / name)
        return sum(self._listed(name)[1].values())

    @contextmanager
    def publish(self, name: str) -> Iterator[Path]:
        """Yields a temporary folder; on success it is `name` everywhere.

        A folder of that name stays on a disk that nobody shares, and makes way in an object store.
        """
        with published_folder(self.root / name) as temporary:
            yield temporary
            if self._shared is not None:
                token = secrets.token_hex(6)
                # with its list it is there for everybody; what follows concerns the copy on this machine
                self._shared.list(name, token, self._shared.upload(name, token, temporary))
                # an older copy would keep the name; and the note comes before the folder has it, since a folder without
                # one counts as this machine's own
                self._drop(name)
                self._copies.note(name, token)

    @contextmanager
    def renew(self, name: str) -> Iterator[Path]:
        """As `publish`, but a folder of that name makes way wherever it is: for one that turned out to be damaged."""
        if self._shared is not None and not self._own(name):
            with self.publish(name) as folder:
                yield folder
            return
        with published_folder(self.root / name, replaces=True) as temporary:
            yield temporary

    @contextmanager
    def publish_together(self, name: str, team: Team) -> Iterator[Path]:
        """As `publish`, by several processes: each puts its own files into a folder, which may be everybody's.

        It is published once all have; no machine keeps a copy of what lies in an object store.
        """
        if self._shared is None:
            with published_folder(self.root / name) if team.leads else nullcontext(Path()) as temporary:
                yield Path(team.broadcast_object(str(temporary)))
                # the first renames the folder only when everybody has written
                team.all_gather_object(None)
            return
        token = team.broadcast_object(secrets.token_hex(6))
        self.root.mkdir(parents=True, exist_ok=True)
        with disk_full_named(self.root), tempfile.TemporaryDirectory(TEMPORARY, f".{name}.", self.root) as own:
            yield Path(own)
            parts = team.all_gather_object(self._shared.upload(name, token, Path(own)))
        # the list is written last, by one, and only where everybody's files are there: a folder is whole or not at all
        if team.leads:
            self._shared.list(name, token, {file: size for files in parts for file, size in files.items()})

    def abandon(self, name: str) -> None:
        """Removes what a publisher of this name, which was killed, left on this machine's disk."""
        for temporary in self.root.glob(f".{name}.*{TEMPORARY}"):
            shutil.rmtree(temporary, ignore_errors=True)

    def remove(self, name: str) -> None:
        """Removes a folder, for everybody and at once; raises FileNotFoundError."""
        if self._own(name):
            remove_folder(self.root / name)
            return
        assert self._shared is not None
        with suppress(DataLossError):  # its files go all the same
            self._listed(name)
        # the list goes first: without it the folder is gone for everybody, and what is left is swept after a day
        self._shared.unlist(name)
        self._drop(name)
        self._shared.remove_files(name)

    def tidy(self, now: float) -> int:
        """Removes from the object store what killed publishers left a day ago, and from here what others removed there.

        Returns how many files went from the object store. `now` is in seconds since the epoch.
        """
        if self._shared is None:
            return 0
        left = self._shared.remove_unlisted(now - _ABANDONED_SECONDS)
        self.forget_removed()
        return left

    def forget_removed(self) -> None:
        """Removes copies here of what others removed from the object store."""
        # looked for before the names are: whatever has a copy by now was listed there before
        copies = [copy for copy in self._copies.names() if self._copies.token(copy)]
        names = self._shared.names() if copies and self._shared is not None else set()
        for copy in copies:
            if copy not in names:
                self._drop(copy)

    def copies(self) -> Iterator[Kept]:
        """What is here of what lies in the object store: it is fetched again when it is wanted."""
        return self._copies.kept() if self._shared is not None else iter(())

    def _renew_copy(self, name: str) -> None:
        folder = self.root / name
        try:
            token, files = self._listed(name)
        except StorageError:
            if not folder.is_dir():
                raise
            # to ask may have taken as long as it does when nobody answers
            self._away_until = time.monotonic() + self.known_seconds
            return
        # another token: the name was published again since
        if not folder.is_dir() or self._copies.token(name) != token:
            self._fetch(name, token, files)

    def _own(self, name: str) -> bool:
        """Whether a folder is this machine's alone."""
        return self._shared is None or ((self.root / name).is_dir() and not self._copies.token(name))

    def _drop(self, name: str) -> None:
        """Removes the copy here."""
        self._known.pop(name, None)
        self._copies.drop(name)

    def _fetch(self, name: str, token: str, files: Files) -> None:
        """Raises DataLossError where a file is gone or has another size, FileNotFoundError where the folder went."""
        assert self._shared is not None
        with self._lock, self._alone(name):
            if (self.root / name).is_dir() and self._copies.token(name) == token:  # another process did
                return
            self._fetch_alone(name, token, files)

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """While no other process of this machine is here for the same folder."""
        self.root.mkdir(parents=True, exist_ok=True)
        # never unlinked: two processes could then each lock a file of that name
        with (self.root / f".{name}.lock").open("ab") as lock:
            wait_exclusive(lock.fileno())
            yield

    def _fetch_alone(self, name: str, token: str, files: Files) -> None:
        assert self._shared is not None
        with disk_full_named(self.root), published_folder(self.root / name) as temporary:
            for file, size in files.items():
                try:
                    self._shared.fetch(name, token, file, temporary / file)
                except FileNotFoundError:
                    self._listed(name)  # raises where it was removed just now
                    raise DataLossError(f"{name}/{file} is gone from the shared storage") from None
                if (temporary / file).stat().st_size != size:
                    raise DataLossError(f"{name}/{file} in the shared storage has not the size that was published")
            # the note before the folder, as in `publish`
            if self._copies.token(name) != token:
                self._drop(name)
                self._copies.note(name, token)

    def _lately_there(self, name: str) -> bool:
        return time.monotonic() - self._known.get(name, float("-inf")) < self.known_seconds

    def _listed(self, name: str) -> tuple[str, Files]:
        """(token, files with their sizes); raises FileNotFoundError, or DataLossError where that list is damaged."""
        assert self._shared is not None
        found = self._shared.listed(name)
        self._known[name] = time.monotonic()
        return found
