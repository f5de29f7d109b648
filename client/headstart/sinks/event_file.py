"""One of TensorBoard's event files, appended to so that nothing is in it twice, whoever wrote its beginning.

The format is TensorFlow's: records of a length, its checksum, a serialized Event, its checksum. Records are written at
once instead of by the package's own queue and thread, which tell of a full disk a while later.
"""

from __future__ import annotations

import contextlib
import io
import struct
from pathlib import Path
from typing import Any

from headstart.sinks.sink import required

_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_VERSION = "brain.Event:2"


class EventFile:
    """An event file of one run. `path` is made with its folder; a record that was cut off at its end is removed.

    Raises:
        InvalidArgument: tensorboard is not installed.
        OSError: it cannot be read or written.
    """

    def __init__(self, path: Path, start_time: float) -> None:
        self._event: Any = required("tensorboard.compat.proto.event_pb2", "tensorboard").Event
        self._summary: Any = required("tensorboard.compat.proto.summary_pb2", "tensorboard").Summary
        self._last: dict[str, int] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = self._read(path) if path.exists() else 0
        self._file = path.open("ab", buffering=0)
        if self._file.tell() > whole:
            self._file.truncate(whole)
        self._waiting = io.BytesIO()
        writer = required("tensorboard.summary.writer.record_writer", "tensorboard").RecordWriter
        self._records: Any = writer(self._waiting)
        if not whole:
            self._records.write(self._event(wall_time=start_time, file_version=_VERSION).SerializeToString())

    def has(self, tag: str) -> bool:
        """Tell whether there is a value of a tag."""
        return tag in self._last

    def add(self, tag: str, step: int, time: float, **value: Any) -> None:
        """Add a value (fields of Summary.Value), unless its tag has one at this step or a later one."""
        if step <= self._last.get(tag, -1):
            return
        self._last[tag] = step
        summary = self._summary(value=[self._summary.Value(tag=tag, **value)])
        self._records.write(self._event(wall_time=time, step=step, summary=summary).SerializeToString())

    def flush(self) -> None:
        """Append what was added."""
        data = memoryview(self._waiting.getvalue())
        while data:
            data = data[self._file.write(data) :]
        self._waiting.seek(0)
        self._waiting.truncate()

    def close(self) -> None:
        """Append what was added, and close the file."""
        try:
            self.flush()
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Close the file without what waits, after a failure."""
        with contextlib.suppress(OSError):  # the failure that led here is told
            self._file.close()

    def _read(self, path: Path) -> int:
        """Note the last step of each tag; return where the whole records end."""
        data = memoryview(path.read_bytes())
        position = 0
        while (end := self._end_of_record(data, position)) <= len(data):
            start = position + _LENGTH.size + _CHECKSUM.size
            event = self._event.FromString(data[start : end - _CHECKSUM.size].tobytes())
            for value in event.summary.value:
                self._last[value.tag] = max(event.step, self._last.get(value.tag, -1))
            position = end
        return position

    def _end_of_record(self, data: memoryview, position: int) -> int:
        """Return where a record ends; beyond the data where it is cut off, or was never written (zeros)."""
        header = data[position : position + _LENGTH.size].tobytes()
        checksum = data[position + _LENGTH.size : position + _LENGTH.size + _CHECKSUM.size].tobytes()
        crc = required("tensorboard.compat.tensorflow_stub.pywrap_tensorflow", "tensorboard").masked_crc32c
        if len(checksum) < _CHECKSUM.size or _CHECKSUM.unpack(checksum)[0] != crc(header):
            return len(data) + 1
        return position + _LENGTH.size + _CHECKSUM.size + int(_LENGTH.unpack(header)[0]) + _CHECKSUM.size
