"""The embedding pass in several processes gives what it gives in one, each row encoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from headstart_server.core.errors import (
    CancelledError,
    FailedPreconditionError,
    InvalidInputError,
    TrainingFailedError,
)
from headstart_server.data.parts import Part
from headstart_server.encoding.encode_pool import LEAST_ROWS, MOST_ROWS, EncodeResult, EncodeTask, pieces
from headstart_server.engines.encode_worker import EncodeWorker
from headstart_server.engines.envelopes import JobEnvelope
from headstart_server.engines.job_context import job_context_of
from headstart_server.engines.preparing import Prepared, fill_store, gathered_inputs, prepare_job, stored_inputs
from headstart_server.engines.runtime_context import RuntimeContext, runtime_of

from tests.support import reviews
from tests.support.envelopes import job_of
from tests.support.image_jobs import RecordingListener
from tests.support.images import broken_jpeg, png
from tests.support.tiny_models import save_bert
from tests.support.tiny_vision import save_vit


@dataclass
class Turns:
    """An encode pool of workers that take turns in this process; remembers what each was given."""

    envelope: JobEnvelope
    size: int = 2
    given: list[int] = field(default_factory=list)
    damage: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]] = lambda rows: rows

    def work(self, task: EncodeTask, rows: npt.NDArray[np.int64], check: Callable[[], None]) -> Iterator[EncodeResult]:
        members = [EncodeWorker(self.envelope, task, use_gpu=False, cores=1) for _ in range(self.size)]
        for number, piece in enumerate(pieces(rows, self.size)):
            check()
            self.given += piece.tolist()
            yield members[number % self.size](self.damage(piece), f"actor {number % self.size}")


def prepared_of(envelope: JobEnvelope, recorded: RecordingListener, **options: Any) -> tuple[Prepared, RuntimeContext]:
    runtime = runtime_of(envelope.runtime)
    job = job_context_of(envelope, runtime.storage)
    return prepare_job(job, runtime, recorded, **options), runtime


@pytest.fixture
def reviewed(tmp_path: Path) -> Path:
    save_bert(tmp_path / "models" / "tiny-bert")
    return reviews.write_csv(tmp_path / "reviews.csv", [*reviews.make_rows(400), *reviews.make_rows(40)])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve images, of which two are one file, and two damaged behind their headers."""
    save_vit(tmp_path / "models" / "tiny-vit")
    files = [png(seed) for seed in range(9)] + [png(0), broken_jpeg(1), broken_jpeg(2)]
    lines = ["image,label,split"]
    for number, file in enumerate(files):
        (tmp_path / f"{number}.png").write_bytes(file)
        lines.append(f"{number}.png,{'ab'[number % 2]},{0 if number < 8 or number > 9 else 1}")
    (tmp_path / "photos.csv").write_text("\n".join(lines))
    return tmp_path / "photos.csv"


def photo_spec(policy: str, **preprocessing: Any) -> dict[str, Any]:
    encoder = {"type": "auto_transformer", "pretrained_model_name_or_path": "tiny-vit"}
    image = {"name": "image", "type": "image", "encoder": encoder}
    return {
        "input_features": [{**image, "preprocessing": {"bad_image_policy": policy, **preprocessing}}],
        "output_features": [{"name": "label", "type": "category"}],
        "preprocessing": {"split": {"type": "fixed", "column": "split"}},
    }


def equal_inputs(one: Prepared, other: Prepared, own: RuntimeContext, others: RuntimeContext) -> None:
    """Both have the same rows in the same parts, and the same embeddings of them."""
    assert np.array_equal(one.plan.data.parts, other.plan.data.parts)
    left, right = gathered_inputs(one, own), gathered_inputs(other, others)
    for name, item in left.items():
        np.testing.assert_allclose(item.embeddings.numpy(), right[name].embeddings.numpy(), atol=1e-5)
        views, theirs = item.views, right[name].views
        assert (views is None) == (theirs is None)
        if views is not None and theirs is not None:
            np.testing.assert_allclose(views.values.numpy(), theirs.values.numpy(), atol=1e-5)


def test_a_pool_encodes_each_text_once_and_shares_the_work_evenly(tmp_path: Path, reviewed: Path) -> None:
    job, recorded = job_of(tmp_path / "together", reviewed, reviews.spec()), RecordingListener()
    prepared, runtime = prepared_of(job, recorded)
    encode_pool = Turns(job)
    survey = fill_store(prepared, runtime, recorded, encode_pool)
    last = recorded.progress[-1][1]
    assert (last.total, last.encoded, last.repeated, last.found) == (440, 400, 40, 0)
    assert len(set(encode_pool.given)) == len(encode_pool.given) == 400
    assert [worker["rows"] for worker in last.workers] == [208, 192]
    member, _ = prepared_of(job, RecordingListener(), survey=survey)
    alone, own = prepared_of(job_of(tmp_path / "alone", reviewed, reviews.spec()), recorded)
    stored_inputs(alone, own, RecordingListener())
    equal_inputs(member, alone, runtime, own)
    again = Turns(job)
    fill_store(prepared, runtime, recorded, again)
    assert again.given == []
    assert recorded.progress[-1][1].found == 440


def test_a_pool_reads_test_rows_again_as_predict_does(tmp_path: Path, reviewed: Path) -> None:
    spec = reviews.spec()
    spec["input_features"][0]["preprocessing"] = {"embedding_precision": "bf16"}
    job, recorded = job_of(tmp_path / "together", reviewed, spec), RecordingListener()
    prepared, runtime = prepared_of(job, recorded)
    encode_pool, rows = Turns(job), prepared.plan.data.rows(Part.TEST)
    survey = fill_store(prepared, runtime, recorded, encode_pool)
    last = recorded.progress[-1][1]
    assert (recorded.progress[-1][0], last.test, last.total) == ("review (test, fp32)", True, len(rows))
    assert set(encode_pool.given[400:]) <= set(rows.tolist())
    member, _ = prepared_of(job, RecordingListener(), survey=survey)
    served = gathered_inputs(member, runtime)["review"].served
    spec["input_features"][0]["preprocessing"] = {"embedding_precision": "fp32"}
    exact, own = prepared_of(job_of(tmp_path / "exact", reviewed, spec), RecordingListener())
    expected = stored_inputs(exact, own, RecordingListener())["review"]
    assert served is not None
    assert expected.served is None
    np.testing.assert_allclose(served.values.numpy(), expected.embeddings.numpy()[rows], atol=1e-5)
    assert served.positions[rows].tolist() == list(range(len(rows)))


@pytest.mark.parametrize("rows, told", [(100, False), (7, True)])
def test_test_rows_beyond_a_bound_are_taken_as_stored_and_told(
    tmp_path: Path, reviewed: Path, monkeypatch: pytest.MonkeyPatch, rows: int, told: bool
) -> None:
    monkeypatch.setattr("headstart_server.planning.passes.MOST_TEST_ROWS", rows)
    spec = reviews.spec()
    spec["input_features"][0]["preprocessing"] = {"embedding_precision": "bf16"}
    recorded = RecordingListener()
    prepared, runtime = prepared_of(job_of(tmp_path / "state", reviewed, spec), recorded)
    served = stored_inputs(prepared, runtime, recorded)["review"].served
    total = len(prepared.plan.data.rows(Part.TEST))
    assert served is not None
    assert len(served.values) == min(rows, total)
    told_of = [message for reason, message in recorded.warnings if reason == "TEST_METRICS_APPROXIMATE"]
    assert [f"{rows} of {total} test rows" in message for message in told_of] == [True] * told


@pytest.mark.parametrize("policy", ["drop", "default"])
@pytest.mark.parametrize("views", [0, 2])
def test_what_a_pool_finds_unusable_is_settled_as_by_one_process(
    tmp_path: Path, photos: Path, policy: str, views: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart_server.encoding.encode_pool.LEAST_ROWS", 3)
    spec = photo_spec(policy, **({"cached_views": views} if views else {}))
    if views:
        spec["input_features"][0]["augmentation"] = [{"type": "random_horizontal_flip"}]
    recorded, lone = RecordingListener(), RecordingListener()
    job = job_of(tmp_path / "together", photos, spec)
    prepared, runtime = prepared_of(job, recorded)
    survey = fill_store(prepared, runtime, recorded, Turns(job))
    member, _ = prepared_of(job, RecordingListener(), survey=survey)
    alone, own = prepared_of(job_of(tmp_path / "alone", photos, spec), lone)
    stored_inputs(alone, own, lone)
    assert member.plan.trainer.batch_size == alone.plan.trainer.batch_size
    assert recorded.warnings == lone.warnings
    assert len(recorded.warnings) == 1
    assert max(progress.encoded for _, progress in recorded.progress) == 9
    equal_inputs(member, alone, runtime, own)


def test_bad_images_end_a_job_as_in_one_process(tmp_path: Path, photos: Path) -> None:
    job, recorded = job_of(tmp_path / "together", photos, photo_spec("fail")), RecordingListener()
    prepared, runtime = prepared_of(job, recorded)
    with pytest.raises(InvalidInputError, match=r"row 11 of dataset.*row 12 of dataset"):
        fill_store(prepared, runtime, recorded, Turns(job))


def test_a_pool_that_has_read_other_rows_is_found_out(tmp_path: Path, reviewed: Path) -> None:
    job, recorded = job_of(tmp_path / "together", reviewed, reviews.spec()), RecordingListener()
    prepared, runtime = prepared_of(job, recorded)
    others = Turns(job, damage=lambda rows: np.minimum(rows, 100))
    with pytest.raises(TrainingFailedError, match=r"see the same files") as caught:
        fill_store(prepared, runtime, recorded, others)
    assert caught.value.reason == "WORKERS_DISAGREE"


def test_a_cancelled_pass_stops_between_pieces_and_keeps_what_is_done(tmp_path: Path, reviewed: Path) -> None:
    class Leaving(RecordingListener):
        def check(self) -> None:
            if len(encode_pool.given) >= 2 * LEAST_ROWS:
                raise CancelledError("stop")

    job, recorded = job_of(tmp_path / "together", reviewed, reviews.spec()), Leaving()
    encode_pool = Turns(job)
    prepared, runtime = prepared_of(job, recorded)
    with pytest.raises(CancelledError):
        fill_store(prepared, runtime, recorded, encode_pool)
    prepared, runtime = prepared_of(job, RecordingListener())
    rest = Turns(job)
    fill_store(prepared, runtime, RecordingListener(), rest)
    assert len(rest.given) == 400 - len(encode_pool.given)


@pytest.mark.parametrize(("rows", "processes", "expected"), [(0, 4, []), (10, 4, [10]), (200, 2, [64, 64, 64, 8])])
def test_few_rows_make_few_pieces(rows: int, processes: int, expected: list[int]) -> None:
    assert [len(piece) for piece in pieces(np.arange(rows), processes)] == expected


def test_many_rows_make_pieces_of_bounded_size_for_everybody() -> None:
    found = pieces(np.arange(1_000_000), 4)
    assert max(map(len, found)) <= MOST_ROWS
    assert len(found) >= 4 * 8
    assert np.array_equal(np.concatenate(found), np.arange(1_000_000))


def test_a_machine_with_another_version_is_refused(tmp_path: Path, reviewed: Path) -> None:
    envelope = job_of(tmp_path / "state", reviewed, reviews.spec())
    envelope = replace(envelope, runtime=replace(envelope.runtime, version="0.0.0-other"))
    with pytest.raises(FailedPreconditionError, match=r"the server 0\.0\.0-other; install the server's") as caught:
        runtime_of(envelope.runtime)
    assert caught.value.reason == "VERSIONS_DIFFER"


def test_a_machine_whose_gpu_torch_cannot_use_is_named(
    tmp_path: Path, reviewed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    envelope = job_of(tmp_path / "state", reviewed, reviews.spec())
    with pytest.raises(FailedPreconditionError, match="was given a GPU that torch cannot use there") as caught:
        runtime_of(envelope.runtime, use_gpu=True)
    assert (caught.value.reason, caught.value.field) == ("NO_GPU", "backend.trainer.use_gpu")
    assert runtime_of(envelope.runtime).device.type == "cpu"
