"""The embedding pass in several processes gives what it gives in one, each row encoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
from headstart_server.data.splits import Part
from headstart_server.engines.arrival import assignment_of, workplace_of
from headstart_server.engines.crew import LEAST_ROWS, MOST_ROWS, CrewMember, Done, Errand, pieces
from headstart_server.engines.preparing import Prepared, fill_store, gathered_inputs, prepare_job, stored_inputs
from headstart_server.engines.workplace import Workplace

from tests.support import reviews
from tests.support.arriving import job_of
from tests.support.image_jobs import Heard
from tests.support.images import broken_jpeg, png
from tests.support.tiny_models import save_bert
from tests.support.tiny_vision import save_vit


@dataclass
class Turns:
    """A crew of members that take turns in this process; remembers what each was given."""

    job: dict[str, Any]
    size: int = 2
    given: list[int] = field(default_factory=list)
    damage: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]] = lambda rows: rows

    def work(self, errand: Errand, rows: npt.NDArray[np.int64], check: Callable[[], None]) -> Iterator[Done]:
        members = [CrewMember(self.job, errand, use_gpu=False, cores=1) for _ in range(self.size)]
        for number, piece in enumerate(pieces(rows, self.size)):
            check()
            self.given += piece.tolist()
            yield members[number % self.size](self.damage(piece), f"actor {number % self.size}")


def prepared_of(job: dict[str, Any], heard: Heard, **options: Any) -> tuple[Prepared, Workplace]:
    workplace = workplace_of(job)
    assignment = assignment_of(job, workplace.storage)
    return prepare_job(assignment, workplace, heard, **options), workplace


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


def equal_inputs(one: Prepared, other: Prepared, own: Workplace, others: Workplace) -> None:
    """Both have the same rows in the same parts, and the same embeddings of them."""
    assert np.array_equal(one.data.parts, other.data.parts)
    left, right = gathered_inputs(one, own), gathered_inputs(other, others)
    for name, item in left.items():
        np.testing.assert_allclose(item.embeddings.numpy(), right[name].embeddings.numpy(), atol=1e-5)
        assert (item.views is None) == (right[name].views is None)
        if item.views is not None:
            np.testing.assert_allclose(item.views.values.numpy(), right[name].views.values.numpy(), atol=1e-5)


def test_a_crew_encodes_each_text_once_and_shares_the_work_evenly(tmp_path: Path, reviewed: Path) -> None:
    job, heard = job_of(tmp_path / "together", reviewed, reviews.spec()), Heard()
    prepared, workplace = prepared_of(job, heard)
    crew = Turns(job)
    survey = fill_store(prepared, workplace, heard, crew)
    last = heard.progress[-1][1]
    assert (last.total, last.encoded, last.repeated, last.found) == (440, 400, 40, 0)
    assert len(set(crew.given)) == len(crew.given) == 400
    assert [worker["rows"] for worker in last.workers] == [208, 192]
    member, _ = prepared_of(job, Heard(), survey=survey)
    alone, own = prepared_of(job_of(tmp_path / "alone", reviewed, reviews.spec()), heard)
    stored_inputs(alone, own, Heard())
    equal_inputs(member, alone, workplace, own)
    again = Turns(job)
    fill_store(prepared, workplace, heard, again)
    assert again.given == []
    assert heard.progress[-1][1].found == 440


def test_a_crew_reads_test_rows_again_as_predict_does(tmp_path: Path, reviewed: Path) -> None:
    spec = reviews.spec()
    spec["input_features"][0]["preprocessing"] = {"embedding_precision": "bf16"}
    job, heard = job_of(tmp_path / "together", reviewed, spec), Heard()
    prepared, workplace = prepared_of(job, heard)
    crew, rows = Turns(job), prepared.data.rows(Part.TEST)
    survey = fill_store(prepared, workplace, heard, crew)
    last = heard.progress[-1][1]
    assert (heard.progress[-1][0], last.test, last.total) == ("review (test, fp32)", True, len(rows))
    assert set(crew.given[400:]) <= set(rows.tolist())
    member, _ = prepared_of(job, Heard(), survey=survey)
    served = gathered_inputs(member, workplace)["review"].served
    spec["input_features"][0]["preprocessing"] = {"embedding_precision": "fp32"}
    exact, own = prepared_of(job_of(tmp_path / "exact", reviewed, spec), Heard())
    expected = stored_inputs(exact, own, Heard())["review"]
    assert served is not None
    assert expected.served is None
    np.testing.assert_allclose(served.values.numpy(), expected.embeddings.numpy()[rows], atol=1e-5)
    assert served.positions[rows].tolist() == list(range(len(rows)))


@pytest.mark.parametrize("rows, told", [(100, False), (7, True)])
def test_test_rows_beyond_a_bound_are_taken_as_stored_and_told(
    tmp_path: Path, reviewed: Path, monkeypatch: pytest.MonkeyPatch, rows: int, told: bool
) -> None:
    monkeypatch.setattr("headstart_server.planning.preview.MOST_TEST_ROWS", rows)
    spec = reviews.spec()
    spec["input_features"][0]["preprocessing"] = {"embedding_precision": "bf16"}
    heard = Heard()
    prepared, workplace = prepared_of(job_of(tmp_path / "state", reviewed, spec), heard)
    served = stored_inputs(prepared, workplace, heard)["review"].served
    total = len(prepared.data.rows(Part.TEST))
    assert served is not None
    assert len(served.values) == min(rows, total)
    told_of = [message for reason, message in heard.warnings if reason == "TEST_METRICS_APPROXIMATE"]
    assert [f"{rows} of {total} test rows" in message for message in told_of] == [True] * told


@pytest.mark.parametrize("policy", ["drop", "default"])
@pytest.mark.parametrize("views", [0, 2])
def test_what_a_crew_finds_unusable_is_settled_as_by_one_process(
    tmp_path: Path, photos: Path, policy: str, views: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart_server.engines.crew.LEAST_ROWS", 3)
    spec = photo_spec(policy, **({"cached_views": views} if views else {}))
    if views:
        spec["input_features"][0]["augmentation"] = [{"type": "random_horizontal_flip"}]
    heard, lone = Heard(), Heard()
    job = job_of(tmp_path / "together", photos, spec)
    prepared, workplace = prepared_of(job, heard)
    survey = fill_store(prepared, workplace, heard, Turns(job))
    member, _ = prepared_of(job, Heard(), survey=survey)
    alone, own = prepared_of(job_of(tmp_path / "alone", photos, spec), lone)
    stored_inputs(alone, own, lone)
    assert member.trainer.batch_size == alone.trainer.batch_size
    assert heard.warnings == lone.warnings
    assert len(heard.warnings) == 1
    assert max(progress.encoded for _, progress in heard.progress) == 9
    equal_inputs(member, alone, workplace, own)


def test_bad_images_end_a_job_as_in_one_process(tmp_path: Path, photos: Path) -> None:
    job, heard = job_of(tmp_path / "together", photos, photo_spec("fail")), Heard()
    prepared, workplace = prepared_of(job, heard)
    with pytest.raises(InvalidInputError, match=r"row 11 of dataset.*row 12 of dataset"):
        fill_store(prepared, workplace, heard, Turns(job))


def test_a_crew_that_has_read_other_rows_is_found_out(tmp_path: Path, reviewed: Path) -> None:
    job, heard = job_of(tmp_path / "together", reviewed, reviews.spec()), Heard()
    prepared, workplace = prepared_of(job, heard)
    others = Turns(job, damage=lambda rows: np.minimum(rows, 100))
    with pytest.raises(TrainingFailedError, match=r"see the same files") as caught:
        fill_store(prepared, workplace, heard, others)
    assert caught.value.reason == "WORKERS_DISAGREE"


def test_a_cancelled_pass_stops_between_pieces_and_keeps_what_is_done(tmp_path: Path, reviewed: Path) -> None:
    job, heard = job_of(tmp_path / "together", reviewed, reviews.spec()), Heard()
    prepared, workplace = prepared_of(job, heard)
    crew = Turns(job)

    def check() -> None:
        if len(crew.given) >= 2 * LEAST_ROWS:
            raise CancelledError("stop")

    heard.check = check  # type: ignore[method-assign]
    with pytest.raises(CancelledError):
        fill_store(prepared, workplace, heard, crew)
    prepared, workplace = prepared_of(job, Heard())
    rest = Turns(job)
    fill_store(prepared, workplace, Heard(), rest)
    assert len(rest.given) == 400 - len(crew.given)


@pytest.mark.parametrize(("rows", "processes", "expected"), [(0, 4, []), (10, 4, [10]), (200, 2, [64, 64, 64, 8])])
def test_few_rows_make_few_pieces(rows: int, processes: int, expected: list[int]) -> None:
    assert [len(piece) for piece in pieces(np.arange(rows), processes)] == expected


def test_many_rows_make_pieces_of_bounded_size_for_everybody() -> None:
    found = pieces(np.arange(1_000_000), 4)
    assert max(map(len, found)) <= MOST_ROWS
    assert len(found) >= 4 * 8
    assert np.array_equal(np.concatenate(found), np.arange(1_000_000))


def test_a_machine_with_another_version_is_refused(tmp_path: Path, reviewed: Path) -> None:
    job = {**job_of(tmp_path / "state", reviewed, reviews.spec()), "version": "0.0.0-other"}
    with pytest.raises(FailedPreconditionError, match=r"the server 0\.0\.0-other; install the server's") as caught:
        workplace_of(job)
    assert caught.value.reason == "VERSIONS_DIFFER"


def test_a_machine_whose_gpu_torch_cannot_use_is_named(
    tmp_path: Path, reviewed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    job = job_of(tmp_path / "state", reviewed, reviews.spec())
    with pytest.raises(FailedPreconditionError, match="was given a GPU that torch cannot use there") as caught:
        workplace_of(job, use_gpu=True)
    assert (caught.value.reason, caught.value.field) == ("NO_GPU", "backend.trainer.use_gpu")
    assert workplace_of(job).device.type == "cpu"
