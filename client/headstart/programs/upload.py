"""Upload a file unless the server has its bytes, so that a training run sends them once in its life."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from headstart.errors import NotFound
from headstart.programs.retry import Patience, RetryPolicy, persistently
from headstart.v1.dataset_pb2 import Dataset, DatasetHeader, GetDatasetRequest, UploadDatasetRequest
from headstart.wire.methods import GET_DATASET, UPLOAD_DATASET
from headstart.wire.steps import Program, call, compute

CHUNK_BYTES = 1 << 20

Progress = Callable[[int, int], None]
"""Called with bytes sent and bytes in all."""


def upload(
    path: Path,
    policy: RetryPolicy,
    format: Dataset.Format = Dataset.FORMAT_UNSPECIFIED,
    progress: Progress | None = None,
) -> Program[Dataset]:
    """Return the data set that holds the file's bytes, sending them only where the server lacks them.

    Raises:
        OSError: the file cannot be read.
    """
    digest = yield from compute(lambda: sha256_of(path))
    header = DatasetHeader(display_name=path.name, format=format, sha256=digest)

    def attempt(patience: Patience) -> Program[Dataset]:
        known = yield from _find(digest)
        patience.reached()
        return known or (yield from _send(path, header, progress))

    return (yield from persistently(attempt, policy))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _find(digest: str) -> Program[Dataset | None]:
    try:
        return (yield from call(GET_DATASET, GetDatasetRequest(name=f"datasets/sha256:{digest}")))
    except NotFound:
        return None


def _send(path: Path, header: DatasetHeader, progress: Progress | None) -> Program[Dataset]:
    with path.open("rb") as file:
        size = path.stat().st_size

        def parts() -> Iterator[UploadDatasetRequest]:
            yield UploadDatasetRequest(header=header)
            while chunk := file.read(CHUNK_BYTES):
                yield UploadDatasetRequest(chunk=chunk)
                if progress is not None:
                    progress(file.tell(), size)

        return (yield from call(UPLOAD_DATASET, parts()))
