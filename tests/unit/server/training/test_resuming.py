"""A run that was interrupted goes on from its checkpoint, in an epoch or between two, as if nothing had happened."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from headstart_server.spec.model import CombinerSpec
from headstart_server.spec.training_sections import OptimizerSpec
from headstart_server.storage.folders import SharedFolders
from headstart_server.training.penalty import Penalty
from headstart_server.training.plateau import PlateauRule
from headstart_server.training.reports import EpochReport

from tests.support.training import Reports, Run, settings_of


def _untimed(report: EpochReport) -> EpochReport:
    return replace(
        report, train_seconds=0, evaluate_seconds=0, rows_per_second=0, data_wait_seconds=0, compute_seconds=0
    )


RESUMED: list[dict[str, Any]] = [
    {"combiner": CombinerSpec(num_fc_layers=1, output_size=8, dropout=0.3, norm="ghost")},
    *({"optimizer": OptimizerSpec(type=kind)} for kind in ("adamw", "adam", "adafactor", "nadam", "radam")),
    *({"optimizer": OptimizerSpec(type=kind)} for kind in ("adagrad", "adadelta", "adamax", "rmsprop", "asgd")),
    {"optimizer": OptimizerSpec(type="sgd", momentum=0.9, nesterov=True)},
    {"optimizer": OptimizerSpec(type="sgd")},
    {"optimizer": OptimizerSpec(type="adam", amsgrad=True)},
    {"precision": "bf16"},
    {"output": "number"},
]


@pytest.mark.parametrize(
    ("changes", "stop_after"), [*((changes, 9) for changes in RESUMED), *((RESUMED[0], stop) for stop in (0, 7, 8))]
)
def test_a_resumed_run_gives_identical_losses(tmp_path: Path, changes: dict[str, Any], stop_after: int) -> None:
    """Interrupted in the middle of an epoch of four steps, the run goes on from the last whole one."""
    whole = Run(settings_of(epochs=3), **changes)
    expected = _untimed(whole.loop().run())
    first = Run(
        settings_of(epochs=3, checkpoints=SharedFolders(tmp_path)), reporter=Reports(stop_after=stop_after), **changes
    )
    with pytest.raises(InterruptedError):
        first.loop().run()
    torch.manual_seed(999)
    second = Run(settings_of(epochs=3, checkpoints=SharedFolders(tmp_path)), **changes)
    loop = second.loop()
    assert _untimed(loop.run()) == expected
    seen = [*first.reporter.epochs, *second.reporter.epochs]
    assert list(map(_untimed, seen)) == list(map(_untimed, whole.reporter.epochs))
    assert second.reporter.warnings == (["RESUMED"] if first.reporter.epochs else [])
    assert second.reporter.past == first.reporter.epochs


_PLATEAU = PlateauRule(3, 0, 0.5, "out.accuracy", "validation")


@pytest.mark.parametrize("stop_after", [4, 11, 20, 40])
@pytest.mark.parametrize(
    "changes",
    [
        {"steps_per_checkpoint": 3, "plateau": _PLATEAU},
        {"checkpoints_per_epoch": 2, "train_steps": 11, "penalty": Penalty(l1=0.01)},
        {"checkpoints_per_epoch": 4, "shuffle": False, "accumulation": 2, "plateau": _PLATEAU},
    ],
)
def test_a_run_that_goes_on_within_an_epoch_gives_identical_losses(
    tmp_path: Path, changes: dict[str, Any], stop_after: int
) -> None:
    """Interrupted at any step, the run goes on from the last evaluation, with the same rows and rates."""
    combiner = CombinerSpec(num_fc_layers=1, output_size=8, dropout=0.3)
    whole = Run(settings_of(**changes), combiner=combiner)
    expected = _untimed(whole.loop().run())
    kept = settings_of(checkpoints=SharedFolders(tmp_path), **changes)
    first = Run(kept, combiner=combiner, reporter=Reports(stop_after=stop_after))
    with pytest.raises(InterruptedError):
        first.loop().run()
    torch.manual_seed(999)
    second = Run(kept, combiner=combiner)
    assert _untimed(second.loop().run()) == expected
    assert second.reporter.past == first.reporter.epochs
    seen = [*first.reporter.epochs, *second.reporter.epochs]
    assert list(map(_untimed, seen)) == list(map(_untimed, whole.reporter.epochs))
    assert [report.evaluation for report in seen] == list(range(1, len(seen) + 1))
    again = Run(kept, combiner=combiner)
    assert _untimed(again.loop().run()) == expected and again.reporter.epochs == []


def test_a_run_goes_on_within_an_epoch_though_its_batches_are_others_now(tmp_path: Path) -> None:
    before = settings_of(epochs=2, batch_size=8, steps_per_checkpoint=3, checkpoints=SharedFolders(tmp_path))
    with pytest.raises(InterruptedError):
        Run(before, reporter=Reports(stop_after=37)).loop().run()
    after = Run(replace(before, batch_size=16))
    after.loop().run()
    assert [(report.epoch, report.step) for report in after.reporter.past] == [(1, 3), (1, 6), (1, 8), (2, 11)]
    assert [(report.epoch, report.step) for report in after.reporter.epochs] == [(2, 7), (2, 8)]


def test_a_checkpoint_keeps_the_last_reports(tmp_path: Path) -> None:
    first = Run(settings_of(epochs=3, checkpoints=SharedFolders(tmp_path), past_reports=2), total_epochs=4)
    first.loop().run()
    second = Run(settings_of(epochs=4, checkpoints=SharedFolders(tmp_path)))
    second.loop().run()
    assert second.reporter.past == first.reporter.epochs[1:]


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_a_resumed_fine_tuning_gives_identical_losses(
    tmp_path: Path, tiny_models: dict[str, Path], family: str
) -> None:
    changes: dict[str, Any] = {"text": tiny_models[family], "learning_rate": 1e-3}
    whole = Run(settings_of(epochs=2), **changes)
    whole.loop().run()
    first = Run(settings_of(epochs=1, checkpoints=SharedFolders(tmp_path)), total_epochs=2, **changes)
    first.loop().run()
    second = Run(settings_of(epochs=2, checkpoints=SharedFolders(tmp_path)), **changes)
    second.loop().run()
    assert [report.epoch for report in second.reporter.epochs] == [2]
    assert _untimed(second.reporter.epochs[0]) == _untimed(whole.reporter.epochs[1])


@pytest.mark.parametrize(("before", "after"), [(16, 32), (32, 16)])
def test_the_schedule_of_a_run_that_goes_on_with_other_batches_ends_where_it_would(
    tmp_path: Path, before: int, after: int
) -> None:
    unbroken = Run(settings_of(epochs=4, batch_size=after))
    unbroken.loop().run()
    Run(settings_of(epochs=2, batch_size=before, checkpoints=SharedFolders(tmp_path)), total_epochs=4).loop().run()
    resumed = Run(settings_of(epochs=4, batch_size=after, checkpoints=SharedFolders(tmp_path)))
    resumed.loop().run()
    found, expected = ([each.learning_rate for each in run.reporter.epochs] for run in (resumed, unbroken))
    assert found == expected[2:]


def test_a_finished_run_resumed_trains_no_more_and_gives_the_same(tmp_path: Path) -> None:
    first = Run(settings_of(checkpoints=SharedFolders(tmp_path))).loop()
    expected = first.run()
    again = Run(settings_of(checkpoints=SharedFolders(tmp_path)))
    loop = again.loop()
    assert loop.run() == expected
    assert again.reporter.epochs == []
    state = loop.model.learned_state()
    assert all(torch.equal(value, state[name]) for name, value in first.model.learned_state().items())
