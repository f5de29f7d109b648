"""Upload a file unless the server has its bytes, so that a training run sends them once in its life."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from headstart.errors import HeadstartError, NotFound, OutOfRange, Unimplemented
from headstart.files.content import Content, FileContent, chunks_from, digest_of
from headstart.files.endings import ARCHIVES, TABLES
from headstart.files.packing import folder_content
from headstart.programs.retry import Patience, RetryPolicy, persistently
from headstart.v1.dataset_pb2 import (
    Dataset,
    DatasetHeader,
    GetDatasetRequest,
    GetUploadRequest,
    UploadDatasetRequest,
)
from headstart.wire.methods import GET_DATASET, GET_UPLOAD, UPLOAD_DATASET
from headstart.wire.steps import Program, call, compute

Progress = Callable[[int, int], None]
"""Called with bytes sent and bytes in all."""


def upload(
    content: Content,
    policy: RetryPolicy,
    format: Dataset.Format = Dataset.FORMAT_UNSPECIFIED,
    progress: Progress | None = None,
) -> Program[Dataset]:
    """Return the data set that holds the content's bytes, sending them only where the server lacks them.

    After a broken call the rest is sent, from where the server has them.

    Raises:
        OSError: a file cannot be read.
    """
    digest = yield from compute(lambda: digest_of(content))
    header = DatasetHeader(display_name=content.name, format=format, sha256=digest, upload_id=uuid.uuid4().hex)
    furthest = 0

    def attempt(patience: Patience) -> Program[Dataset]:
        nonlocal furthest
        # Asked before each attempt: what a dropped one sent may have arrived all the same.
        known = yield from _find(digest, format_ending(content.name, format))
        patience.reached()
        if known is not None:
            return known
        arrived = (yield from _arrived(header.upload_id)) if patience.failed else 0
        if arrived > furthest:
            patience.progress()
        furthest = max(furthest, arrived)
        return (yield from _sent(content, header, arrived, progress))

    return (yield from persistently(attempt, policy))


def upload_path(
    path: Path,
    policy: RetryPolicy,
    format: Dataset.Format = Dataset.FORMAT_UNSPECIFIED,
    progress: Progress | None = None,
) -> Program[Dataset]:
    """Upload a file as it is, or a folder's tables and images as an archive."""
    content = yield from compute(lambda: folder_content(path) if path.is_dir() else FileContent(path))
    return (yield from upload(content, policy, format, progress))


def format_ending(name: str, format: Dataset.Format) -> str:
    """Return what ends the name of a data set by digest: its format, as far as it can be told from here."""
    if format:
        return "." + Dataset.Format.Name(format).removeprefix("FORMAT_").lower()
    known = (ending for ending in (*TABLES, *ARCHIVES) if name.lower().endswith(ending))
    return max(known, key=len, default="")


def _find(digest: str, ending: str) -> Program[Dataset | None]:
    try:
        return (yield from call(GET_DATASET, GetDatasetRequest(name=f"datasets/sha256:{digest}{ending}")))
    except NotFound:
        return None


def _arrived(upload_id: str) -> Program[int]:
    """Return how many bytes the server has of an upload; 0 where it keeps none."""
    try:
        return (yield from call(GET_UPLOAD, GetUploadRequest(upload_id=upload_id))).committed_bytes
    except (NotFound, Unimplemented):
        return 0


def _sent(content: Content, header: DatasetHeader, offset: int, progress: Progress | None) -> Program[Dataset]:
    """Send what the server lacks; all of it where it turns out to have less, as another server may have."""
    try:
        return (yield from _send(_Parts(content, header, offset, progress)))
    except OutOfRange:
        if not offset:
            raise
    return (yield from _send(_Parts(content, header, 0, progress)))


class _Parts:
    """The messages of one upload. gRPC takes them on a thread of its own, so an error of a file's is kept for later."""

    def __init__(self, content: Content, header: DatasetHeader, offset: int, progress: Progress | None) -> None:
        self._content, self._header, self._offset, self._progress = content, DatasetHeader(), offset, progress
        self._header.CopyFrom(header)
        self._header.offset = offset
        self._error: Exception | None = None
        self._ended = False

    def __iter__(self) -> Iterator[UploadDatasetRequest]:
        yield UploadDatasetRequest(header=self._header)
        sent = self._offset
        try:
            size = self._content.size
            for chunk in chunks_from(self._content, sent):
                yield UploadDatasetRequest(chunk=chunk)
                sent += len(chunk)
                if self._progress is not None and not self._ended:
                    self._progress(sent, size)
        except Exception as error:  # noqa: BLE001  (raised again by `check`)
            self._error = error

    def check(self) -> None:
        """Raise what kept the content from being read to its end. Nothing is told from now on."""
        self._ended = True  # gRPC's thread may still take a message of a call that has failed
        if self._error is not None:
            raise self._error from None


def _send(parts: _Parts) -> Program[Dataset]:
    try:
        dataset = yield from call(UPLOAD_DATASET, iter(parts))
    except HeadstartError:
        # The content's own error comes first: it is what ended the call.
        parts.check()
        raise
    parts.check()
    return dataset
