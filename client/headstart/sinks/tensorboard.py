"""A folder of TensorBoard's: scalars that it overlays by split, the spec as hparams, warnings and states as texts."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headstart.sinks.event_file import EventFile
from headstart.sinks.points import Parameter, Point
from headstart.sinks.sink import Sink, job_id, required, seconds_of
from headstart.v1.training_pb2 import TrainJob, TrainJobEvent

SESSION_START = "_hparams_/session_start_info"
SESSION_END = "_hparams_/session_end_info"


class TensorBoard(Sink):
    """Writes event files below `directory/JOB_ID`: its own, and one per split, so that splits share a chart.

    A job that is watched again goes on in the same files: what they hold is not written twice. One process at a time.
    No list of hparams is written (an `Experiment`): TensorBoard would take the first job's for all jobs' of a folder.

    Raises:
        InvalidArgument: tensorboard is not installed.
    """

    title = "TensorBoard"

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        required("tensorboard.compat.proto.event_pb2", "tensorboard")
        self._hparams: Any = required("tensorboard.plugins.hparams.plugin_data_pb2", "tensorboard")
        self._hparams_metadata: Any = required("tensorboard.plugins.hparams.metadata", "tensorboard")
        self._protos: Any = required("tensorboard.compat.proto.summary_pb2", "tensorboard")
        self._tensors: Any = required("tensorboard.compat.proto.tensor_pb2", "tensorboard")
        self._statuses: Any = required("tensorboard.plugins.hparams.api_pb2", "tensorboard")
        self.directory = Path(directory)
        self._files: dict[str, EventFile] = {}

    @property
    def option(self) -> str:
        """Return the option that names the folder."""
        return f"--tensorboard {shlex.quote(str(self.directory))}"

    def check(self) -> None:
        """Make the folder, and see that files can be made in it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.directory):
            pass

    def open(self, job: TrainJob) -> None:
        """Open the job's own file."""
        self._job = job
        self._files = {}
        self._file().flush()

    def _file(self, split: str = "") -> EventFile:
        """Return the file of a split, or the job's own. Its name is the same whenever the job is watched."""
        if split not in self._files:
            created = self._job.create_time.seconds
            path = self.directory / job_id(self._job) / split / f"events.out.tfevents.{created:010}.headstart"
            self._files[split] = EventFile(path, self._job.create_time.ToNanoseconds() / 1e9)
        return self._files[split]

    def has_parameters(self) -> bool:
        """Tell whether the job's file has hparams."""
        return self._file().has(SESSION_START)

    def write(self, points: Sequence[Point], event: TrainJobEvent) -> None:
        """Write scalars: `train/loss` in the job's run, `epoch/label.accuracy` in that of its split."""
        time = seconds_of(event)
        for point in points:
            self._file(point.split).add(
                f"{point.group}/{point.name}", point.position, time, simple_value=float(point.value)
            )
        self._flush()

    write_best = write

    def write_parameters(self, parameters: Sequence[Parameter], event: TrainJobEvent) -> None:
        """Write hparams, once: TensorBoard keeps the first; and a table that has each value's origin, too."""
        start = self._hparams.SessionStartInfo(start_time_secs=self._job.create_time.ToNanoseconds() / 1e9)
        for parameter in parameters:
            value = start.hparams[parameter.path]
            if isinstance(parameter.value, bool):
                value.bool_value = parameter.value
            elif isinstance(parameter.value, int | float):
                value.number_value = parameter.value
            else:
                value.string_value = parameter.text
        if not self._file().has(SESSION_START):
            self._write_hparams(SESSION_START, event, session_start_info=start)
        rows = [(item.path, item.text, item.origin, item.reason) for item in parameters]
        cells = [("path", "value", "origin", "reason"), ("---",) * 4, *rows]
        self.write_text("spec", "\n".join(map(_table_row, cells)), event)

    def write_text(self, tag: str, text: str, event: TrainJobEvent) -> None:
        """Write a text at the event's number in the job's log."""
        metadata = self._protos.SummaryMetadata(
            plugin_data=self._protos.SummaryMetadata.PluginData(plugin_name="text"),
            data_class=self._protos.DATA_CLASS_TENSOR,
        )
        tensor = self._tensors.TensorProto(dtype=7, string_val=[text.encode()])  # DT_STRING
        self._file().add(tag, event.sequence, seconds_of(event), metadata=metadata, tensor=tensor)
        self._flush()

    def end(self, state: TrainJob.State, event: TrainJobEvent) -> None:
        """Write the status of the hparams' session."""
        succeeded = state == TrainJob.STATE_SUCCEEDED
        status = self._statuses.STATUS_SUCCESS if succeeded else self._statuses.STATUS_FAILURE
        end = self._hparams.SessionEndInfo(status=status, end_time_secs=seconds_of(event))
        self._write_hparams(SESSION_END, event, session_end_info=end)
        self._flush()

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def abandon(self) -> None:
        """Close the files as they are."""
        for file in self._files.values():
            file.abandon()

    def _write_hparams(self, tag: str, event: TrainJobEvent, **content: Any) -> None:
        data = self._hparams.HParamsPluginData(**content)
        metadata = self._hparams_metadata.create_summary_metadata(data)
        tensor = self._hparams_metadata.NULL_TENSOR
        self._file().add(tag, 0, seconds_of(event), metadata=metadata, tensor=tensor)

    def _flush(self) -> None:
        for file in self._files.values():
            file.flush()


def _table_row(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in cells)} |"
