"""Several processes train what one process trains: the same losses, the same parameters, for the same global batch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from headstart_server.core.errors import CancelledError, TrainingFailedError
from headstart_server.data.parts import Part
from headstart_server.model.ecd import ECD
from headstart_server.model.world import World
from headstart_server.storage.folders import SharedFolders
from headstart_server.storage.object_store import object_store_at
from headstart_server.training.parallel.base import Alone, Sharing
from headstart_server.training.reports import EpochReport, TrainingEvent

from tests.support.heads import neural_head
from tests.support.together import Together
from tests.support.training import Reports, Run, settings_of
from tests.support.trainings import Trained, require_alike, runs


def _train(world: World, run: Run, strategy: str | Sharing) -> Trained:
    run = replace(run, reporter=Reports())
    sharing = Sharing(strategy) if isinstance(strategy, str) else strategy
    loop = run.loop(world, sharing)
    loop.run()
    losses = [(report.train["loss"], report.validation["loss"], report.test["loss"]) for report in run.reporter.epochs]
    parameters: list[Any] = list(loop.model.parameters())
    held = sum((each.to_local() if sharing.strategy == "fsdp" else each).numel() for each in parameters)
    return Trained(losses, dict(loop.parallel.wholes(loop.parallel.snapshot())), held)


@pytest.fixture(scope="module")
def four() -> Iterator[Together]:
    with Together(4) as processes:
        yield processes


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
@pytest.mark.parametrize("name", runs(Path()))
def test_two_train_what_one_trains(pair: Together, bert: Path, strategy: str, name: str) -> None:
    run = runs(bert)[name]
    require_alike(pair(_train, run, strategy), _train(World(), run, "ddp"))


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
@pytest.mark.parametrize(
    "name",
    ["balanced classes", "in several passes", "batch norm, fewer rows than workers", "ghost norm", "trained encoder"],
)
def test_four_train_what_one_trains(four: Together, bert: Path, strategy: str, name: str) -> None:
    run = runs(bert)[name]
    require_alike(four(_train, run, strategy), _train(World(), run, "ddp"))


@pytest.mark.parametrize("name", ["in several passes", "trained encoder, in several passes"])
def test_fewer_workers_than_asked_for_keep_no_whole_gradients(pair: Together, bert: Path, name: str) -> None:
    run = runs(bert)[name]
    require_alike(pair(_train, run, Sharing("fsdp", in_passes=True)), _train(World(), run, "ddp"))


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_activations_that_are_computed_twice_change_nothing(pair: Together, bert: Path, strategy: str) -> None:
    run = runs(bert)["trained encoder"]
    require_alike(pair(_train, run, Sharing(strategy, recompute=True)), _train(World(), run, "ddp"))


def test_blocks_that_compute_in_bf16_keep_their_parameters_in_float32(pair: Together, bert: Path) -> None:
    run = replace(runs(bert)["trained encoder"], precision="bf16")
    expected = _train(World(), replace(run, precision="fp32"), "ddp")
    for trained in pair(_train, run, Sharing("fsdp", half=True)):
        torch.testing.assert_close(torch.tensor(trained.losses), torch.tensor(expected.losses), rtol=0, atol=2e-2)
        assert {value.dtype for value in trained.parameters.values() if value.is_floating_point()} == {torch.float32}


def test_sharded_parameters_take_one_part_of_the_memory_in_each_process(
    pair: Together, four: Together, bert: Path
) -> None:
    run = runs(bert)["trained encoder"]
    whole = _train(World(), run, "ddp").held
    for processes, size in ((pair, 2), (four, 4)):
        for replicated, sharded in zip(processes(_train, run, "ddp"), processes(_train, run, "fsdp"), strict=True):
            assert replicated.held == whole
            assert sharded.held == pytest.approx(whole / size, rel=0.05)


class _Spoiler(Reports):
    """Changes a parameter when the first epoch has ended."""

    model: ECD | None = None

    def report(self, event: TrainingEvent) -> None:
        super().report(event)
        if self.model is not None and isinstance(event, EpochReport):
            neural_head(self.model).decoder("out").projection.bias.data += 1e-3


def _disagree(world: World, strategy: str, late: bool) -> str:
    spoiler = _Spoiler()
    loop = Run(settings_of(epochs=2, checkpoints=None), reporter=spoiler).loop(world, Sharing(strategy))
    if world.rank == 1:
        spoiler.model = loop.model if late else None
    if world.rank == 1 and not late:
        next(loop.model.parameters()).data += 1e-3
    with pytest.raises(TrainingFailedError) as failed:
        loop.run()
    assert failed.value.reason == "WORKERS_DISAGREE"
    return failed.value.message


def test_a_worker_with_other_parameters_fails_the_job_and_is_named(pair: Together, four: Together) -> None:
    for message in pair(_disagree, "ddp", False):
        assert message.startswith("after the first step, rank 1 of 2 workers held other parameters")
    for message in four(_disagree, "ddp", True):
        assert message.startswith("at the end of epoch 2, rank 1 of 4 workers held other parameters")


class _Cancelling(Reports):
    def check(self) -> None:
        self.checks += 1
        if self.checks > 5:
            raise CancelledError("enough")


def _cancel(world: World) -> tuple[int, int]:
    run = Run(settings_of(epochs=50), reporter=_Cancelling() if world.leads else Reports())
    loop = run.loop(world)
    with pytest.raises(CancelledError):
        loop.run()
    return loop.progress.epoch, loop.progress.step


def test_all_processes_stop_when_the_first_is_told_to(pair: Together) -> None:
    assert pair(_cancel) == [(0, 4), (0, 4)]


def _settle(world: World, bert: Path) -> list[float]:
    model = Run(settings_of(), text=bert).model()
    norm: Any = torch.nn.BatchNorm1d(1)
    model.pretrained()["text"].encoder.norm = norm
    norm.running_mean.fill_(world.rank)
    Alone(model, world).settle()
    return [float(norm.running_mean), float(norm.running_var)]


def test_running_statistics_of_an_encoder_are_everybodys_mean(pair: Together, bert: Path) -> None:
    assert pair(_settle, bert) == [[0.5, 1.0]] * 2


def _evaluate(world: World) -> tuple[list[float], int]:
    loop = Run(settings_of(eval_batch_size=7), output="number").loop(world)
    logits, targets = loop.evaluator.outputs_of(Part.TEST)
    assert len(logits["out"]) == len(targets["out"])
    return sorted(targets["out"].tolist()), len(loop.feed.parts[Part.TEST])


def test_evaluation_repeats_no_row_and_leaves_none_out(four: Together) -> None:
    run = Run(settings_of(), output="number")
    expected = sorted(run.feed().targets["out"][run.feed().parts[Part.TEST]].tolist())
    assert four(_evaluate) == [(expected, len(expected))] * 4


def _interrupted(world: World, root: Path, strategy: str, epochs: int) -> Trained:
    run = Run(settings_of(epochs=epochs, checkpoints=SharedFolders(root), batch_size=16), total_epochs=4)
    return _train(world, run, strategy)


def test_a_run_goes_on_with_another_number_of_workers(tmp_path: Path, pair: Together, four: Together) -> None:
    unbroken = _interrupted(World(), tmp_path / "unbroken", "ddp", 4)
    expected = replace(unbroken, losses=unbroken.losses[2:])

    def alone(_: Any, root: Path, strategy: str, epochs: int) -> list[Trained]:
        return [_interrupted(World(), root, strategy, epochs)]

    ways: list[Any] = [
        ((pair, "ddp"), (alone, "ddp")),
        ((pair, "fsdp"), (four, "fsdp")),
        ((alone, "ddp"), (pair, "fsdp")),
    ]
    for number, ((first, by), (then, by_then)) in enumerate(ways):
        first(_interrupted, tmp_path / str(number), by, 2)
        require_alike(then(_interrupted, tmp_path / str(number), by_then, 4), expected)


def _through_an_object_store(world: World, root: Path, strategy: str, epochs: int) -> Trained:
    """Each process has a disk of its own, as machines have."""
    folders = SharedFolders(
        root / f"disk-{world.size}-{world.rank}", object_store_at(str(root / "object_store"), "root")
    )
    run = Run(settings_of(epochs=epochs, checkpoints=folders, batch_size=16), total_epochs=4)
    trained = _train(world, run, strategy)
    if strategy == "fsdp" and epochs == 2:
        files = [file.rpartition("/")[2] for file in object_store_at(str(root / "object_store"), "root").files("files")]
        shards = [f"shard-{rank + 1:05d}-model-00001-of-00001.safetensors" for rank in range(world.size)]
        assert sorted(files) == ["progress.json", *shards]
    return trained


def test_processes_with_disks_of_their_own_write_one_checkpoint(tmp_path: Path, pair: Together, four: Together) -> None:
    unbroken = _interrupted(World(), tmp_path / "unbroken", "ddp", 4)
    expected = replace(unbroken, losses=unbroken.losses[2:])
    pair(_through_an_object_store, tmp_path, "fsdp", 2)
    shutil.copytree(tmp_path / "object_store", tmp_path / "alone" / "object_store")
    require_alike(four(_through_an_object_store, tmp_path, "fsdp", 4), expected)
    require_alike([_through_an_object_store(World(), tmp_path / "alone", "ddp", 4)], expected)


def _apart(world: World, root: Path) -> None:
    _interrupted(World(), root / str(world.rank), "ddp", 2 + world.rank)
    with (
        pytest.raises(RuntimeError, match="rank 1 reads another checkpoint than rank 0")
        if world.rank
        else nullcontext()
    ):
        loop = Run(settings_of(checkpoints=SharedFolders(root / str(world.rank))), total_epochs=4).loop(world)
        loop.resume()


def test_processes_that_read_different_checkpoints_do_not_train_together(tmp_path: Path, pair: Together) -> None:
    pair(_apart, tmp_path)
