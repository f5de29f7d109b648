"""What machines share, each kind in its place."""

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from headstart_server.core.layout import Layout
from headstart_server.core.pruning import Kept
from headstart_server.storage.folders import SharedFolders
from headstart_server.storage.job_file import JobFile
from headstart_server.storage.object_store import FolderObjectStore, ObjectStore, object_store_at

FORMAT = 1
_MARK = "headstart.json"
_ABANDONED_SECONDS = 24 * 3600.0


class Storage:
    """The state directory of one machine as one tenant has it, and the storage that machines share, if they do."""

    def __init__(self, layout: Layout, url: str = "", opened: ObjectStore | None = None) -> None:
        self.layout, self.url = layout, url
        self.object_store: ObjectStore | None = object_store_at(url, "storage_url") if url and not opened else opened

    @property
    def in_bucket(self) -> bool:
        """Whether what machines share lies in a bucket, where writes are paid for, counted and may be kept for good."""
        return self.object_store is not None and not isinstance(self.object_store, FolderObjectStore)

    def mark(self) -> None:
        """Leaves a mark in the shared storage, which shows that it can be written to; raises StorageError."""
        if self.object_store is not None:
            self.object_store.write(_MARK, json.dumps({"format": FORMAT}).encode())

    def look(self) -> None:
        """Looks at the mark in the shared storage, which shows that it can be reached; raises StorageError."""
        if self.object_store is None:
            return
        try:
            self.object_store.about(_MARK)
        except FileNotFoundError:
            self.mark()

    @cached_property
    def datasets(self) -> SharedFolders:
        """Uploaded files."""
        return SharedFolders(self.layout.datasets, self._own("datasets"))

    @cached_property
    def encoders(self) -> SharedFolders:
        """Frozen encoders of published models, by digest."""
        return SharedFolders(self.layout.encoders, self._below("encoders"))

    @cached_property
    def models(self) -> SharedFolders:
        """Published models."""
        return SharedFolders(self.layout.models, self._own("models"))

    @cached_property
    def artifacts(self) -> SharedFolders:
        """Exported models."""
        return SharedFolders(self.layout.artifacts, self._own("artifacts"))

    @property
    def embeddings(self) -> ObjectStore | None:
        """The embedding store of all machines, if they share one; below the layout's folder is what this one has."""
        return self._below("embeddings") if self.layout.shared_content else self._own("embeddings")

    def of(self, tenant: str) -> "Storage":
        """The same storage as another tenant has it."""
        return Storage(self.layout.of(tenant), self.url, self.object_store)

    def everyone(self) -> "list[Storage]":
        """As each tenant has it that has a folder here, the default tenant first."""
        return [self.of(layout.tenant) for layout in self.layout.everyone()]

    def checkpoints(self, job: str) -> SharedFolders:
        """Of one job."""
        return SharedFolders(self.layout.job(job) / "checkpoints", self._below(f"jobs/{job}/checkpoints"))

    def job_file(self, job: str, name: str) -> JobFile:
        """A small file of one job that another machine needs to go on with it."""
        return JobFile(self.layout.job(job) / "scratch" / name, self._below(f"jobs/{job}/scratch"))

    def fetched(self, name: str) -> Path:
        """A file of the shared storage at its place on this machine's disk; raises FileNotFoundError."""
        path = self.layout.root / name
        if not path.exists() and self.object_store is not None:
            self.object_store.fetch(name, path)
        return path

    def forget_job(self, job: str) -> None:
        """Removes what a job has left in the shared storage."""
        object_store = self._below(f"jobs/{job}")
        if object_store is not None:
            object_store.remove(*object_store.files())

    def forget_model(self, model: str) -> None:
        """Removes a model that its job did not come to tell of, if there is one."""
        with suppress(FileNotFoundError):
            self.models.remove(model)

    def tidy(self, now: float) -> int:
        """Removes what killed publishers of any tenant left; returns how many files went."""
        left = 0 if self.object_store is None else self.object_store.remove_unpublished(now - _ABANDONED_SECONDS)
        # what killed publishers of checkpoints left goes with their job (`forget_job`)
        return left + sum(folders.tidy(now) for folders in self._everyones())

    def forget_removed(self) -> None:
        """Removes copies here of what others have removed there."""
        for folders in self._everyones():
            folders.forget_removed()

    def copies(self) -> Iterator[Kept]:
        """What this machine has of what lies in the shared storage, shards apart."""
        return (copy for folders in self._everyones() for copy in folders.copies())

    def _everyones(self) -> list[SharedFolders]:
        """The published folders of every tenant that has a folder here."""
        everyone = self.everyone()
        return [self.encoders, *(each for one in everyone for each in (one.datasets, one.models, one.artifacts))]

    def _own(self, kind: str) -> ObjectStore | None:
        return self._below(f"{self.layout.prefix}{kind}")

    def _below(self, prefix: str) -> ObjectStore | None:
        return None if self.object_store is None else self.object_store.below(prefix)
