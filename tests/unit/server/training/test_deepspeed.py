"""DeepSpeed's workers train what one process trains, and go on from each other's checkpoints: `make test-ray`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from headstart_server.model.world import World
from headstart_server.spec.training_sections import OptimizerSpec
from headstart_server.storage.folders import SharedFolders
from headstart_server.training.parallel.base import Sharing

from tests.support.together import Together
from tests.support.training import Reports, Run, settings_of
from tests.support.trainings import Trained, require_alike, runs

pytest.importorskip("deepspeed", reason="DeepSpeed is not installed: pip install 'headstart[deepspeed]'")


def _train(world: World, name: str, folder: Path, stage: int) -> tuple[Trained, int]:
    sharing = Sharing("deepspeed", stage) if stage else Sharing("ddp")
    run = runs(folder)[name]
    run.reporter = Reports()
    loop = run.loop(world, sharing)
    loop.run()
    losses = [(report.train["loss"], report.validation["loss"], report.test["loss"]) for report in run.reporter.epochs]
    held = sum(getattr(each, "ds_tensor", each).numel() for each in loop.model.parameters())
    return Trained(losses, dict(loop.parallel.wholes(loop.parallel.snapshot())), held), held


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("name", ["head, uneven batches", "momentum", "batch norm", "trained encoder"])
def test_two_train_what_one_trains(pair: Together, bert: Path, name: str, stage: int) -> None:
    expected, whole = _train(World(), name, bert, 0)
    found = pair(_train, name, bert, stage)
    require_alike([trained for trained, _ in found], expected)
    for _, held in found:
        assert held == whole if stage < 3 else held < 0.6 * whole


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("name", ["accumulation and clipping", "trained encoder, in several passes"])
def test_steps_of_several_passes(pair: Together, bert: Path, name: str, stage: int) -> None:
    require_alike([trained for trained, _ in pair(_train, name, bert, stage)], _train(World(), name, bert, 0)[0])


def _interrupted(world: World, root: Path, stage: int, epochs: int, text: Path) -> Trained:
    settings = settings_of(epochs=epochs, checkpoints=SharedFolders(root), batch_size=16)
    momentum = OptimizerSpec(type="sgd", momentum=0.9)
    run = Run(settings, total_epochs=4, text=text, optimizer=momentum, learning_rate=1e-3)
    loop = run.loop(world, Sharing("deepspeed", stage) if stage else Sharing("ddp"))
    loop.run()
    losses = [(report.train["loss"], report.validation["loss"], report.test["loss"]) for report in run.reporter.epochs]
    return Trained(losses, dict(loop.parallel.wholes(loop.parallel.snapshot())), 0)


@pytest.mark.parametrize(("first", "then"), [(2, 2), (3, 3), (2, 3), (3, 2), (0, 3), (2, 0)])
def test_a_run_goes_on_from_a_checkpoint(
    tmp_path: Path,
    pair: Together,
    bert: Path,
    first: int,
    then: int,
) -> None:
    unbroken = _interrupted(World(), tmp_path / "unbroken", 0, 4, bert)
    pair(_interrupted, tmp_path / "broken", first, 2, bert)
    found = pair(_interrupted, tmp_path / "broken", then, 4, bert)
    require_alike(found, Trained(unbroken.losses[2:], unbroken.parameters, 0))


def test_what_is_saved_needs_no_deepspeed(tmp_path: Path, pair: Together, bert: Path) -> None:
    pair(_interrupted, tmp_path, 3, 2, bert)
    resumed = _interrupted(World(), tmp_path, 0, 4, bert)
    unbroken = _interrupted(World(), tmp_path / "unbroken", 0, 4, bert)
    torch.testing.assert_close(resumed.parameters, unbroken.parameters, rtol=0, atol=1e-5)
