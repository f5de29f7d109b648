"""Verifies that a model's files are those that were published: damage is an error, not a strange answer."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from headstart_server.core.digests import file_digest
from headstart_server.core.errors import DataLossError, NotFoundError


def verify_files(folder: Path, digests: Mapping[str, str], owner: str) -> None:
    """Compares files below `folder` with their digests; raises DataLossError naming `owner` and the file.

    A file is read once per process, and again when its size or time changes.
    """
    for name, digest in digests.items():
        found = _digest(folder / name)
        if found != digest:
            raise damaged(owner, f"{name} is {'gone' if found is None else 'not what was published'}")


def damaged(owner: str, what: str) -> DataLossError:
    """The error of a model or an encoder that cannot be trusted any more."""
    return DataLossError(f"{owner} is damaged: {what}; restore it from a backup, or delete it and train again")


@contextmanager
def deletion_named(folder: Path, use: str) -> Iterator[None]:
    """Whatever fails inside is NotFoundError where the model has been deleted meanwhile, its folder gone with it.

    `use` says what wanted to read it.
    """
    try:
        yield
    except Exception as error:
        if folder.is_dir():
            raise
        raise NotFoundError(
            f"models/{folder.name} was deleted before its {use} could read it", field="model"
        ) from error


def _digest(path: Path) -> str | None:
    try:
        return file_digest(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
