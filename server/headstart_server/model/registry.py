"""Published models: bundles by id."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from headstart_server.core.bounded import BoundedCache
from headstart_server.core.errors import DataLossError, NotFoundError, StoreFullError, UnavailableError
from headstart_server.core.names import is_id
from headstart_server.model.bundle import Bundle, described_bundle, load_bundle
from headstart_server.model.integrity import damaged
from headstart_server.storage.folders import SharedFolders
from headstart_server.storage.listing import SoundResources

_REMEMBERED = 20_000
_ASKED_AT_ONCE = 500
_SILENT_SECONDS = 5.0
"""For which nobody is asked again who could not tell."""
Unpublished = Callable[[Collection[str]], Collection[str]]
"""Those of some models whose jobs have not succeeded; raises UnavailableError where nobody can tell."""


@dataclass(frozen=True)
class ModelSummary:
    """What lists are filtered by, as it was when the model was published."""

    display_name: str
    job: str
    create_time: str
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> Self:
        """Of a bundle's details; those of earlier versions have neither description nor labels."""
        return cls(
            details["display_name"],
            details["job"],
            details["create_time"],
            details.get("description", ""),
            details.get("labels", {}),
        )


class ModelRegistry:
    """All bundles, this machine's and others'.

    Args:
        folders: Where they are.
        unpublished: Which of them are not there for anybody: what a worker publishes is a model once its job has
            succeeded. While nobody can tell, all that are there are shown.
    """

    def __init__(self, folders: SharedFolders, unpublished: Unpublished = lambda models: ()) -> None:
        self._folders, self._unpublished = folders, unpublished
        self._published: BoundedCache[str, None] = BoundedCache(_REMEMBERED)
        """Those that stay so."""
        self._silent_until = 0.0
        self._sound = SoundResources("models")
        self._summaries: BoundedCache[str, ModelSummary] = BoundedCache(_REMEMBERED)

    def get(self, identifier: str) -> Bundle:
        """One model; raises NotFoundError, or DataLossError if it is damaged."""
        if not self._shown([identifier], known=False):
            raise _missing(identifier)
        try:
            try:
                found = load_bundle(self._folders.path(identifier))
            except DataLossError:
                # where machines share a storage, it may be this one's copy alone that is damaged
                if not self._folders.forget_copy(identifier):
                    raise
                found = load_bundle(self._folders.path(identifier))
        except DataLossError:
            # files that are missing because somebody deletes the model meanwhile are no damage
            if identifier in self._folders:
                raise
            raise _missing(identifier) from None
        except FileNotFoundError:
            if identifier in self._folders:
                raise damaged(f"models/{identifier}", "bundle.json is gone") from None
            raise _missing(identifier) from None
        self._shown([identifier])
        return found

    def all(self, before: str = "") -> Iterator[Bundle]:
        """Every sound model, newest first, of those before an id where it is given; each is read when it is taken.

        Those that are not on this machine are not fetched, only described.
        """
        return self._sound.read(self._names(before), self._described, whole=not before)

    def those(self, names: Iterable[str]) -> Iterator[Bundle]:
        """As `all`, of some models."""
        return self._sound.read(self._shown(list(names)), self._described, whole=False)

    def summaries(self, before: str = "") -> Iterator[tuple[str, ModelSummary]]:
        """(id, summary) of the models that `all` gives, without their other files; each is remembered."""
        names = self._names(before)
        if not before:  # other servers delete models, too
            known = set(names)
            self._summaries.keep(known)
            self._published.keep(known)
        return self._sound.read(names, self._summarised, whole=False)

    def _names(self, before: str) -> list[str]:
        # names come ascending, and ids sort by time
        return self._shown([name for name in reversed(self._folders.names()) if not before or name < before])

    def _shown(self, names: Sequence[str], *, known: bool = True) -> list[str]:
        """Without those that are not published. The others are remembered where it is `known` that they are there."""
        asked = [name for name in names if name not in self._published and is_id(name)]
        hidden = set[str]()
        if time.monotonic() < self._silent_until:  # to ask may take as long as it did when nobody answered
            return list(names)
        try:
            for start in range(0, len(asked), _ASKED_AT_ONCE):
                some = asked[start : start + _ASKED_AT_ONCE]
                hidden.update(self._unpublished(some))
                for name in some if known else ():
                    if name not in hidden:
                        self._published.get(name, lambda: None)
        except (UnavailableError, StoreFullError):
            # the models are there, and those that were published just now are few
            self._silent_until = time.monotonic() + _SILENT_SECONDS
        return [name for name in names if name not in hidden]

    def _summarised(self, name: str) -> tuple[str, ModelSummary]:
        def read() -> ModelSummary:
            try:
                description = self._folders.read(name, "bundle.json")
            except FileNotFoundError:
                raise _missing(name) from None
            return ModelSummary.of(described_bundle(self._folders.root / name, description).details)

        return name, self._summaries.get(name, read)

    def _described(self, name: str) -> Bundle:
        """A model, its files verified where they are here."""
        if (self._folders.root / name).is_dir():
            return self.get(name)
        try:
            return described_bundle(self._folders.root / name, self._folders.read(name, "bundle.json"))
        except FileNotFoundError:
            raise _missing(name) from None

    def identifiers(self) -> set[str]:
        """Ids of all that have a bundle, whether they can be read or not."""
        return set(self._folders.names())

    def size_bytes(self, bundle: Bundle) -> int:
        """Of all files of a model; 0 where it was deleted just now."""
        try:
            return self._folders.size_bytes(bundle.folder.name)
        except FileNotFoundError:
            return 0

    def delete(self, identifier: str) -> None:
        """Deletes a model, damaged or not; raises NotFoundError."""
        if not self._shown([identifier]):
            raise _missing(identifier)
        try:
            self._folders.remove(identifier)
        except FileNotFoundError:
            raise _missing(identifier) from None
        finally:
            self._summaries.forget(identifier)
            self._published.forget(identifier)


def _missing(identifier: str) -> NotFoundError:
    return NotFoundError(f"models/{identifier} does not exist; ListModels lists those that do", field="name")
