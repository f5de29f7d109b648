"""TensorBoard reads back what was written: points once, splits in one chart, hparams of all jobs in one table."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from headstart.sinks import TensorBoard
from headstart.sinks.recorder import Recorder
from headstart.v1 import training_pb2 as pb

from tests.support.event_files import HParams, accumulated, texts
from tests.support.sink_jobs import CREATED, JOB, play, resolved, stepped, timed, whole_job

FULL = Path("/dev/full")


def _points(run: Path, tag: str) -> list[tuple[int, Any]]:
    return [(item.step, pytest.approx(item.value)) for item in accumulated(run).Scalars(tag)]


def _content(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    play(TensorBoard(tmp_path / "runs"), whole_job())
    return tmp_path / "runs"


def test_steps_are_scalars_at_the_times_of_their_events(written: Path) -> None:
    *known, last = accumulated(written / "j1").Scalars("train/loss")
    assert [(item.step, item.wall_time) for item in known] == [
        (5, CREATED + 7.25),
        (10, CREATED + 8.25),
        (16, CREATED + 11.25),
    ]
    assert (last.step, math.isnan(last.value)) == (20, True)


def test_splits_are_runs_that_share_the_tags_of_their_charts(written: Path) -> None:
    tag = "epoch/label.accuracy"
    assert _points(written / "j1/validation", tag) == [(1, 0.7), (2, 0.9), (3, 0.8)]
    assert _points(written / "j1/train", tag) == [(1, 0.75), (2, 0.95), (3, 0.85)]
    assert _points(written / "j1/test", tag) == [(1, 0.65), (2, 0.85), (3, 0.75)]


def test_encoding_and_warnings_are_in_the_jobs_own_run(written: Path) -> None:
    assert _points(written / "j1", "encode/review/rows_encoded") == [(50, 50), (100, 100)]
    assert texts(written / "j1", "warning/ROWS_DROPPED") == [(10, "3 rows\nwere left out"), (16, "1 more")]
    assert [text for _, text in texts(written / "j1", "state")] == ["queued", "succeeded"]
    assert texts(written / "j1", "model")[0][1] == "models/m1"
    assert accumulated(written / "j1").PluginTagToContent("text").keys() >= {"spec", "model"}


def test_the_spec_is_a_table_with_origins(written: Path) -> None:
    ((_, table),) = texts(written / "j1", "spec")
    assert "| path | value | origin | reason |" in table
    assert r"| trainer.batch_size | 64 | measured | fastest \| of three |" in table


def test_hparams_have_the_measured_values_the_best_metrics_and_the_end(written: Path) -> None:
    page = HParams(written, ("", "best/validation/label.accuracy"), ("validation", "epoch/label.accuracy"))
    assert page.values["j1"]["trainer.batch_size"] == 64
    assert page.values["j1"]["trainer.compile"] is True
    assert page.values["j1"]["input_features[0].encoder.type"] == "bert"
    session = page.sessions["j1"]
    assert (session.status, session.start_time_secs, session.end_time_secs) == (1, CREATED, CREATED + 19.25)
    assert page.metrics["j1"][":best/validation/label.accuracy"] == pytest.approx(0.91)
    assert page.metrics["j1"]["validation:epoch/label.accuracy"] == pytest.approx(0.8)


def test_hparams_of_jobs_with_other_specs_are_columns_beside_each_other(written: Path) -> None:
    other = pb.TrainJob()
    other.CopyFrom(JOB)
    other.name = "trainJobs/j2"
    event = resolved(8)
    event.spec_resolved.values[1].path = "input_features[0].encoder.model_variant"
    play(TensorBoard(written), timed([event, stepped(5, 0.9)]), other)
    page = HParams(written)
    assert page.columns >= {"input_features[0].encoder.type", "input_features[0].encoder.model_variant"}
    assert page.values["j2"]["trainer.batch_size"] == 8


@pytest.mark.parametrize("end", [pb.TrainJob.STATE_FAILED, pb.TrainJob.STATE_CANCELLED])
def test_a_job_that_ends_badly_has_failed_among_the_hparams(tmp_path: Path, end: pb.TrainJob.State) -> None:
    play(TensorBoard(tmp_path), whole_job(end))
    assert HParams(tmp_path).sessions["j1"].status == 2


@pytest.mark.parametrize("cut", [0, 1, 5, 9, 14, 18, 19])
def test_following_twice_leaves_the_files_of_following_once(written: Path, tmp_path: Path, cut: int) -> None:
    events = whole_job()
    again = TensorBoard(tmp_path / "again")
    play(again, events[:cut])
    play(again, events)
    assert _content(again.directory) == _content(written)


def test_following_the_rest_of_a_job_writes_its_spec_only_where_it_is_missing(written: Path, tmp_path: Path) -> None:
    job = pb.TrainJob()
    job.CopyFrom(JOB)
    job.resolved_values.extend(resolved(64).spec_resolved.values)
    whole = _content(written)
    play(TensorBoard(written), whole_job()[9:], job)
    assert _content(written) == whole
    play(TensorBoard(tmp_path / "late"), whole_job()[9:], job)
    assert HParams(tmp_path / "late").values["j1"]["trainer.batch_size"] == 64


@pytest.mark.parametrize("tail", [None, b"\0" * 40, b"\x18\0\0"], ids=["cut", "zeros", "header"])
def test_a_record_that_was_cut_off_is_written_again(written: Path, tail: bytes | None) -> None:
    whole = _content(written)
    for path in written.rglob("events.*"):
        path.write_bytes(path.read_bytes()[:-7] if tail is None else path.read_bytes() + tail)
    play(TensorBoard(written), whole_job())
    assert _content(written) == whole


class Reluctant(io.FileIO):
    """Takes ten bytes at a time, as a disk that is nearly full may."""

    def write(self, data: Any) -> int:
        """Write some of it."""
        return int(super().write(data[:10]))


def test_a_disk_that_takes_less_than_it_is_given_loses_nothing(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", lambda path, mode, buffering: Reluctant(path, mode.replace("b", "")))
        play(TensorBoard(tmp_path / "again"), whole_job())
    assert _content(tmp_path / "again") == _content(written)


@pytest.mark.skipif(not FULL.exists(), reason="this system has no disk that is always full")
def test_a_full_disk_is_told_by_the_first_event_that_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "open", lambda path, mode, buffering: io.FileIO(FULL, "a"))
    recorder = Recorder([TensorBoard(tmp_path)])
    recorder.begin(JOB)
    assert "No space left" in str(recorder.failures[0])


def test_neither_torch_nor_tensorflow_nor_numpy_is_imported_by_the_client(tmp_path: Path) -> None:
    program = (
        "import sys, headstart.sinks, headstart.client\n"
        "assert not {'numpy', 'tensorboard'} & set(sys.modules)\n"
        f"headstart.sinks.TensorBoard({str(tmp_path)!r})\n"
        "assert not {'torch', 'tensorflow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
