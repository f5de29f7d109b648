"""Published models: bundles by id."""

from collections.abc import Iterator
from pathlib import Path

import structlog

from headstart_server.core.errors import DataLossError, NotFoundError
from headstart_server.core.files import remove_folder
from headstart_server.model.bundle import Bundle, load_bundle

_log = structlog.get_logger()


class ModelRegistry:
    """All bundles below one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, identifier: str) -> Bundle:
        """One model; raises NotFoundError, or DataLossError if it is damaged."""
        try:
            return load_bundle(self._root / identifier)
        except FileNotFoundError:
            raise _missing(identifier) from None

    def all(self) -> Iterator[Bundle]:
        """Every model, newest first."""
        for folder in sorted(self._root.glob("[!.]*"), reverse=True):
            try:
                yield load_bundle(folder)
            except (OSError, ValueError, LookupError, DataLossError) as error:
                _log.warning("unreadable model", model=folder.name, error=str(error))

    def delete(self, identifier: str) -> None:
        """Deletes a model, damaged or not; raises NotFoundError."""
        try:
            remove_folder(self._root / identifier)
        except FileNotFoundError:
            raise _missing(identifier) from None


def _missing(identifier: str) -> NotFoundError:
    return NotFoundError(f"models/{identifier} does not exist; ListModels lists those that do", field="name")
