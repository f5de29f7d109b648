"""Images arrive in order and the same, whoever loads them; nobody who loads stays behind."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from headstart_server.core.errors import TrainingFailedError
from headstart_server.data.images.loader import ImageLoader, LoadedImages, workers_for
from headstart_server.data.images.reader import default_crop

from tests.support.images import SMALL, broken_jpeg, png, reader

ROWS = 24
EVERYTHING = ("random_horizontal_flip", "random_rotate", "random_blur", "random_resized_crop", "color_jitter")
BATCHES = [[3, 1], [0, 2, 4], [5], list(range(6, ROWS)), [23, 23]]

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


@pytest.fixture
def images() -> Iterator[ImageLoader]:
    """Two processes over augmented images of one input."""
    loader = ImageLoader({"image": reader([png(seed) for seed in range(ROWS)], *EVERYTHING)}, 2)
    yield loader
    loader.close()


def _processes() -> list[int]:
    """That load images for this one, which starts no others."""
    return [process.pid for process in multiprocessing.active_children() if process.pid is not None]


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _all_gone(pids: list[int], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if all(map(_gone, pids)):
            return True
        time.sleep(0.05)
    return False


def _crops(batches: Iterator[LoadedImages]) -> list[torch.Tensor]:
    return [batch.crops["image"] for batch in batches]


@pytest.mark.parametrize("epoch", [None, 1])
def test_images_are_the_same_for_any_number_of_processes(epoch: int | None) -> None:
    """With two threads here, as one has while training, and one there."""
    found, before = [], torch.get_num_threads()
    torch.set_num_threads(2)
    for workers in (0, 1, 4):
        loader = ImageLoader({"image": reader([png(seed) for seed in range(ROWS)], *EVERYTHING)}, workers)
        try:
            found.append(list(loader.stream(BATCHES, epoch)))
        finally:
            loader.close()
    torch.set_num_threads(before)
    assert [batch.rows for batch in found[0]] == BATCHES
    for other in found[1:]:
        assert [batch.rows for batch in other] == BATCHES
        assert all(
            torch.equal(one.crops["image"], two.crops["image"]) for one, two in zip(found[0], other, strict=True)
        )


def test_processes_stay_between_epochs_and_end_on_close(images: ImageLoader) -> None:
    first = _crops(images.stream(BATCHES, 1))
    pids = _processes()
    second = _crops(images.stream(BATCHES, 2))
    assert _processes() == pids
    assert not any(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    again = _crops(images.stream(BATCHES, 1))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    images.close()
    assert _all_gone(pids)
    assert all(torch.equal(one, two) for one, two in zip(first, _crops(images.stream(BATCHES, 1)), strict=True))


def test_a_pass_that_is_left_early_does_not_run_into_the_next(images: ImageLoader) -> None:
    left = images.stream([[row] for row in range(ROWS)], 1)
    assert next(left).rows == [0]
    assert [batch.rows for batch in images.stream(BATCHES, None)] == BATCHES
    left = images.stream([[row] for row in range(ROWS)], 1)
    next(left)
    pids = _processes()
    images.close()
    assert _all_gone(pids)


def test_loading_ahead_leaves_the_trainings_random_numbers_alone(images: ImageLoader) -> None:
    state = torch.get_rng_state()
    for epoch in (None, 1, 2):
        list(images.stream(BATCHES, epoch))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_asked_for_only_a_few_ahead(workers: int) -> None:
    asked = []

    def batches() -> Iterator[list[int]]:
        for row in range(1_000):
            asked.append(row)
            yield [row % ROWS]

    loader = ImageLoader({"image": reader([png(seed) for seed in range(ROWS)])}, workers)
    try:
        stream = loader.stream(batches(), None)
        for _ in range(20):
            next(stream)
        assert len(asked) <= 20 + 2 * workers + 1
    finally:
        loader.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_images_are_named_by_row_and_the_others_come(workers: int) -> None:
    left = [png(0), broken_jpeg(), None, png(1)]
    right = [png(2), png(3), png(4), broken_jpeg(1)]
    loader = ImageLoader({"left": reader(left), "right": reader(right)}, workers)
    try:
        good, none = loader.stream([[0, 1, 2, 3], [1, 3]], None)
    finally:
        loader.close()
    assert good.rows == [0, 2]
    assert [len(good.crops["left"]), len(good.crops["right"])] == [2, 2]
    assert torch.equal(good.crops["left"][1], default_crop(SMALL))
    assert list(good.bad["left"]) == [1]
    assert list(good.bad["right"]) == [3]
    assert "truncated" in good.bad["left"][1]
    assert (none.rows, none.crops) == ([], {})


def test_a_process_that_dies_is_an_error_that_says_so(images: ImageLoader) -> None:
    stream = images.stream([[row % ROWS] for row in range(1_000)], 1)
    next(stream)
    for pid in _processes():
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(TrainingFailedError, match="out of memory") as caught:
        list(stream)
    assert caught.value.reason == "OUT_OF_MEMORY"
    assert [batch.rows for batch in images.stream(BATCHES, None)] == BATCHES


PARENT = """
import multiprocessing, sys, time
from headstart_server.data.images.loader import ImageLoader
from tests.support.images import png, reader

if __name__ != "__main__":
    open(sys.argv[1], "w").close()  # a process that loads images has no need to read this file

else:
    images = ImageLoader({"image": reader([png(seed) for seed in range(8)])}, 2)
    stream = images.stream([[row % 8] for row in range(1000)], None)
    next(stream)
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)
    time.sleep(60)
"""


def test_a_process_that_dies_before_its_crops_are_fetched_is_the_same_error(images: ImageLoader) -> None:
    """They lie in its memory, and are asked of it."""
    stream = images.stream([[row % ROWS] for row in range(1_000)], 1)
    next(stream)
    pids = _processes()
    time.sleep(0.5)  # until it has loaded ahead
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert _all_gone(pids)
    with pytest.raises(TrainingFailedError, match="out of memory"):
        list(stream)


def test_nobody_outlives_the_process_that_images_are_loaded_for(tmp_path: Path) -> None:
    script, imported = tmp_path / "parent.py", tmp_path / "imported"
    script.write_text(PARENT, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", script, imported],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()
        assert _all_gone(pids)
    assert not imported.exists()


@pytest.mark.parametrize(("free", "started"), [(1 << 40, True), (16 << 10, False)])
def test_little_shared_memory_means_no_processes(free: int, started: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    loader = ImageLoader({"image": reader([png(seed) for seed in range(ROWS)])}, 1)
    try:
        assert [batch.rows for batch in loader.stream(BATCHES, None)] == BATCHES
        assert bool(_processes()) == started
    finally:
        loader.close()


def test_few_images_are_loaded_without_processes_and_many_by_half_of_the_cores() -> None:
    assert workers_for(100, 8) == 0
    for cores, workers in ((1, 1), (2, 1), (8, 4), (200, 16)):
        assert workers_for(100_000, cores) == workers


def test_a_pass_over_nothing_is_empty(images: ImageLoader) -> None:
    assert list(images.stream([], None)) == []
