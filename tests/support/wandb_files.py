"""Read the file in which W&B keeps an offline run: records of its protos in the format of LevelDB's log.

wandb has no public reader of it; this one knows the format that `wandb sync` reads.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

BLOCK = 32768
HEADER = struct.Struct("<IHB")
FULL, LAST = 1, 4


def records(path: Path) -> Iterator[Any]:
    """Yield the records of a `.wandb` file."""
    data = path.read_bytes()
    position, parts = 7, b""
    while position + HEADER.size <= len(data):
        left = BLOCK - position % BLOCK
        if left < HEADER.size:
            position += left
            continue
        _, length, kind = HEADER.unpack_from(data, position)
        position += HEADER.size
        parts += data[position : position + length]
        position += length
        if kind in (FULL, LAST):
            yield wandb_internal_pb2.Record.FromString(parts)
            parts = b""


class OfflineRun:
    """What an offline run holds, as W&B would show it."""

    def __init__(self, folder: Path) -> None:
        (path,) = folder.glob("wandb/offline-run-*/*.wandb")
        self.history: list[dict[str, Any]] = []
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.axes: dict[str, str] = {}
        self.run: Any = None
        self.preempting = False
        self.exit_code: int | None = None
        for record in records(path):
            match record.WhichOneof("record_type"):
                case "run":
                    self.run = record.run
                case "history":
                    self.history.append(_values(record.history.item))
                case "config":
                    self.config |= _values(record.config.update)
                case "summary":
                    self.summary |= _values(record.summary.update)
                case "metric":
                    self.axes[record.metric.name] = record.metric.step_metric
                case "preempting":
                    self.preempting = True
                case "exit":
                    self.exit_code = record.exit.exit_code


def _values(items: Any) -> dict[str, Any]:
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}
