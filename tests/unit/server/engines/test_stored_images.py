"""Stored embeddings of images: each file once, none that is not the file's own, whatever turns out to be unusable."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from headstart_server.core.errors import CancelledError, InvalidInputError
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.images.files import FolderFiles
from headstart_server.data.images.reader import default_crop
from headstart_server.data.parts import Part
from headstart_server.data.tables import Sources
from headstart_server.encoders.tuning import Tuning
from headstart_server.encoding import images as image_encoding
from headstart_server.encoding.images import ImageRows
from headstart_server.encoding.rows import PassContext
from headstart_server.training.feed import Feed
from torch import Tensor

from tests.support.image_jobs import ImageJob, embedding_of, plan_of, sources_of_images
from tests.support.images import SMALL, augmentation, broken_jpeg, png, reader, scanned

DEFAULT = embedding_of(default_crop(SMALL))


def _expected(file: bytes) -> list[float]:
    return embedding_of(reader([file]).crop(0, None))


def _close(found: Tensor, expected: list[list[float]]) -> bool:
    return torch.allclose(found.double(), torch.tensor(expected).double(), atol=1e-5)


def test_each_file_is_encoded_once_and_a_second_job_encodes_nothing(tmp_path: Path) -> None:
    files = [png(0), png(1), png(0), None, png(2)]
    sources = sources_of_images("ttvet", {"image": files})
    job, plan = ImageJob(tmp_path, sources), plan_of()
    found = job.stored(plan)
    assert _close(found.embeddings, [DEFAULT if file is None else _expected(file) for file in files])
    assert sum(plan.encoded) == 4
    assert (job.last().encoded, job.last().repeated, job.last().seen) == (4, 1, 5)
    again, second = plan_of(), ImageJob(tmp_path, sources_of_images("tvt", {"image": [png(2), None, png(1)]}))
    assert _close(second.stored(again).embeddings, [_expected(png(2)), DEFAULT, _expected(png(1))])
    assert again.encoded == []
    assert (second.last().found, second.last().encoded) == (3, 0)


@pytest.mark.parametrize("steps", [(), ("random_rotate",)])
def test_a_row_that_somebody_waits_for_is_embedded_as_all_are(tmp_path: Path, steps: tuple[str, ...]) -> None:
    files = [png(0), png(1, 30, 40), None]
    job, plan = ImageJob(tmp_path, sources_of_images("ttv", {"image": files})), plan_of()
    plan = replace(plan, augmentation=augmentation(*steps) if steps else None)
    rows = ImageRows.of_data(job.data, job.data.inputs[0], PassContext(torch.device("cpu"), tmp_path, ImageLimits()))
    encoder = rows.encoder_pass(plan).load()
    expected = [DEFAULT if file is None else _expected(file) for file in files]
    for row in range(3):
        assert _close(torch.from_numpy(rows.embedding(plan, encoder, row)), [expected[row]])


def test_all_bad_images_are_named_at_the_end_and_what_was_encoded_is_kept(tmp_path: Path) -> None:
    bad = broken_jpeg()
    files = [png(0), bad, png(1), bad, broken_jpeg(1), png(2)]
    job, plan = ImageJob(tmp_path, sources_of_images("tttvte", {"image": files})), plan_of()
    keys = job.data.images["image"].keys.copy()
    with pytest.raises(InvalidInputError) as caught:
        job.stored(plan)
    assert [violation.message.split(":")[0] for violation in caught.value.violations] == [
        f"column 'image', row {row} of dataset" for row in (2, 4, 5)
    ]
    assert caught.value.reason == "BAD_IMAGE"
    assert job.has(plan, keys) == [True, False, True, False, False, True]
    assert job.last().encoded == 3


@pytest.mark.parametrize("policy", ["drop", "default"])
def test_bad_images_are_left_out_or_replaced_and_never_stored(policy: str, tmp_path: Path) -> None:
    bad = broken_jpeg()
    files = [png(0), bad, png(1), bad, png(2), png(1)]
    for encoded in (4, 0):
        job, plan = ImageJob(tmp_path, sources_of_images("tttvve", {"image": files}), policy=policy), plan_of()
        keys = job.data.images["image"].keys.copy()
        found = job.stored(plan)
        assert _close(found.embeddings, [DEFAULT if file == bad else _expected(file) for file in files])
        assert (job.data.parts == Part.DROPPED).tolist() == [file == bad and policy == "drop" for file in files]
        assert not any(job.has(plan, keys[[1, 3]]))
        assert sum(plan.encoded) == encoded
        [(reason, message)] = job.recorded.warnings
        assert reason == "BAD_IMAGES"
        assert "2 images cannot be used" in message
        assert "row 2 of dataset" in message
        assert "row 4 of dataset" in message
        last = job.last()
        assert last.found + last.repeated + last.encoded + last.shared == last.seen


def test_the_default_image_is_not_what_rows_left_out_hold(tmp_path: Path) -> None:
    """They share its key, as nobody looks at them."""
    files = [png(0), png(1), None, png(2)]
    job = ImageJob(tmp_path, sources_of_images("-tvt", {"image": files}))
    assert _close(job.stored(plan_of()).embeddings[1:], [_expected(png(1)), DEFAULT, _expected(png(2))])
    job = ImageJob(tmp_path, sources_of_images("tvt", {"image": [None, png(1), png(2)]}))
    assert _close(job.stored(plan_of()).embeddings[:1], [DEFAULT])
    job = ImageJob(tmp_path / "bad", sources_of_images("-tvt", {"image": [broken_jpeg(), *files[1:]]}))
    assert _close(job.stored(plan_of()).embeddings[2:3], [DEFAULT])


def test_a_row_that_one_input_leaves_out_is_left_out_of_the_other(tmp_path: Path) -> None:
    left = [png(0), broken_jpeg(0), png(1), png(2)]
    right = [png(3), broken_jpeg(1), png(4), broken_jpeg(2)]
    files = {"left": [*left, png(5)], "right": [*right, png(6)]}
    job = ImageJob(tmp_path, sources_of_images("tttvv", files), ("left", "right"), "drop")
    assert _close(job.stored(plan_of("left")).embeddings[[0, 2]], [_expected(png(0)), _expected(png(1))])
    found = job.stored(plan_of("right")).embeddings
    assert _close(found[[0, 2, 4]], [_expected(png(3)), _expected(png(4)), _expected(png(6))])
    assert (job.data.parts == Part.DROPPED).tolist() == [False, True, False, True, False]
    assert ["row 4" in message and "row 2" not in message for _, message in job.recorded.warnings] == [False, True]


def test_two_inputs_of_one_encoder_share_what_is_stored(tmp_path: Path) -> None:
    files = {"left": [png(0), png(1), png(2)], "right": [png(2), png(3), png(1)]}
    job = ImageJob(tmp_path, sources_of_images("ttv", files), ("left", "right"))
    plans = plan_of("left"), plan_of("right")
    found = [job.stored(plan).embeddings for plan in plans]
    assert sum(plans[0].encoded) == 4, "the two share the encoder, too"
    assert plans[1].encoded == []
    assert torch.equal(found[0][2], found[1][0])


def test_views_are_of_training_rows_and_depend_on_content(tmp_path: Path) -> None:
    files = [png(0), png(1), png(0), png(2), None]
    crop = augmentation("random_resized_crop")
    plan, job = plan_of(views=3, augmentation=crop), ImageJob(tmp_path, sources_of_images("tvtet", {"image": files}))
    found = job.stored(plan)
    assert _close(found.embeddings, [DEFAULT if file is None else _expected(file) for file in files])
    assert found.views is not None
    assert found.views.positions.tolist() == [0, -1, 1, -1, 2]
    other = replace(reader([png(9), png(0)], "random_resized_crop", seed=plan.seed), by_content=True)
    expected = [[embedding_of(other.crop(1, view))] * 2 + [DEFAULT] for view in range(3)]
    assert _close(found.views.values, [row for view in expected for row in view])
    assert [job.last(f"image (view {view})").encoded for view in (1, 2, 3)] == [2, 2, 2]
    again = plan_of(views=4, augmentation=crop)
    ImageJob(tmp_path, sources_of_images("ttv", {"image": [png(0), None, png(1)]})).stored(again)
    assert sum(again.encoded) == 2, "only the fourth view is new"


def test_views_of_another_seed_or_augmentation_are_others(tmp_path: Path) -> None:
    flip, crop = augmentation("random_horizontal_flip"), augmentation("random_resized_crop")
    plans = [plan_of(views=2, augmentation=crop), plan_of(views=2, augmentation=flip)]
    plans.append(replace(plans[0], seed=4))
    spaces = {plan.view_spaces[view].identifier for plan in plans for view in (0, 1)} | {
        plan.space.identifier for plan in plans
    }
    assert len(spaces) == 7


def test_evaluation_sees_clean_images_and_training_a_view_of_each(tmp_path: Path) -> None:
    files = [png(seed) for seed in range(8)]
    plan = plan_of(views=4, augmentation=augmentation("random_resized_crop"))
    found = ImageJob(tmp_path, sources_of_images("ttttttve", {"image": files})).stored(plan)
    assert found.views is not None
    rows = torch.arange(6)
    parts = {Part.TRAIN: rows, Part.VALIDATION: torch.tensor([6]), Part.TEST: torch.tensor([7])}
    feed = Feed({"image": found.embeddings}, {}, {}, parts, torch.device("cpu"), views={"image": found.views})
    for part in parts:
        [(asked, batch, _)] = feed.stream([parts[part]])
        images = batch["image"]
        assert isinstance(images, Tensor) and torch.equal(images, found.embeddings[asked])
    seen: dict[int, set[int]] = {row: set() for row in range(6)}
    for epoch in range(1, 40):
        [(_, batch, _)] = feed.stream([rows], epoch)
        images = batch["image"]
        assert isinstance(images, Tensor)
        for row, value in enumerate(images):
            of_row = found.views.values[row::6]
            [view] = (of_row == value).all(1).nonzero().flatten().tolist()
            seen[row].add(view)
    assert all(views == {0, 1, 2, 3} for views in seen.values())


def _folder_job(root: Path, policy: str) -> ImageJob:
    sources = sources_of_images("ttv", {}, image=["0.png", "1.png", "2.png"])
    table = replace(sources.tables[0], files=FolderFiles((root / "files",)))
    return ImageJob(root, Sources((table,), ("dataset",)), policy=policy)


def test_a_file_that_changes_meanwhile_is_not_stored_as_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for row in range(3):
        (tmp_path / f"files/{row}.png").write_bytes(png(row))
    job, plan = _folder_job(tmp_path, "fail"), plan_of()
    (tmp_path / "files/1.png").write_bytes(png(9))
    with pytest.raises(InvalidInputError, match="changed since the job began"):
        job.stored(plan)
    assert job.has(plan, scanned([png(1), png(9), png(0)]).keys) == [False, False, True]


def test_a_file_that_goes_bad_before_its_views_are_made_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for row in range(3):
        (tmp_path / f"files/{row}.png").write_bytes(png(row))
    _folder_job(tmp_path, "drop").stored(plan_of())
    job = _folder_job(tmp_path, "drop")
    (tmp_path / "files/1.png").unlink()
    found = job.stored(plan_of(views=2, augmentation=augmentation("random_rotate")))
    assert job.data.rows(Part.TRAIN).tolist() == [0]
    assert found.views is not None
    assert len(found.views.values) == 2
    assert torch.isfinite(found.views.values).all()


@pytest.mark.parametrize("policy", ["fail", "drop", "default"])
def test_images_that_are_read_in_every_epoch_are_decoded_once_before(policy: str, tmp_path: Path) -> None:
    bad = broken_jpeg()
    files = {"left": [png(0), bad, png(1), bad], "right": [png(2), png(3), bad, png(4)]}
    job = ImageJob(tmp_path, sources_of_images("ttvt", files), ("left", "right"), policy)
    plans: dict[str, Any] = {name: plan_of(name, cached=False, tuning=Tuning.FULL) for name in files}
    if policy == "fail":
        with pytest.raises(InvalidInputError, match=r"row 2 of dataset.*row 4 of dataset"):
            job.inputs.check_rows(plans)
        return
    if policy == "drop":
        with pytest.raises(InvalidInputError, match="no validation row"):
            job.inputs.check_rows(plans)
        return
    job.inputs.check_rows(plans)
    assert [job.data.images["left"].read(row) is None for row in range(4)] == [False, True, False, True]
    assert [job.data.images["right"].read(row) is None for row in range(4)] == [False, False, True, False]
    assert job.recorded.checks > 0


def test_waiting_is_part_of_the_time_and_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more rows than one load, so that later reports have waited for several."""
    monkeypatch.setattr(image_encoding, "LOADED_IMAGES", 8)
    job = ImageJob(tmp_path, sources_of_images("t" * 40 + "v", {"image": [png(seed) for seed in range(41)]}))
    job.stored(plan_of())
    assert all(progress.waited <= progress.seconds for _, progress in job.recorded.progress)
    assert job.last().waited > 0


def test_a_cancelled_pass_keeps_what_it_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_encoding, "LOADED_IMAGES", 8)
    files = [png(seed) for seed in range(64)]
    job, plan = ImageJob(tmp_path, sources_of_images("t" * 63 + "v", {"image": files})), plan_of()
    keys = job.data.images["image"].keys
    job.recorded.most_checks = 6
    with pytest.raises(CancelledError):
        job.stored(plan)
    kept = sum(job.has(plan, keys))
    assert 0 < kept < 64
    again = plan_of()
    ImageJob(tmp_path, sources_of_images("t" * 63 + "v", {"image": files})).stored(again)
    assert sum(again.encoded) == 64 - kept


def test_files_that_many_rows_hold_are_all_found_bad(tmp_path: Path) -> None:
    bad = [broken_jpeg(seed) for seed in range(3)]
    images = reader([*bad, *bad[:2], png(0), None]).images
    images.bad.update({0: "zero", 2: "two"})
    images.spread_bad()
    assert images.bad == {0: "zero", 2: "two", 3: "zero"}
    assert np.array_equal(images.keys[0], images.keys[3])
