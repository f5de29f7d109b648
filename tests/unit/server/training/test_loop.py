"""The loop learns, reports what is true, and stops when told or when nothing improves."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from headstart_server.core.errors import TrainingFailedError
from headstart_server.data.parts import Part
from headstart_server.encoders.tuning import Tuning
from headstart_server.spec.model import CombinerSpec
from headstart_server.spec.training_sections import OptimizerSpec
from headstart_server.training.stepping import clip

from tests.support.training import Reports, Run, settings_of

OUTPUTS = ["category", "binary", "number", "set", "vector"]


@pytest.mark.parametrize("output", OUTPUTS)
def test_every_output_type_learns(output: str) -> None:
    run = Run(settings_of(epochs=30), output=output, learning_rate=5e-2)
    loop = run.loop()
    before = loop.evaluate(Part.TEST)["loss"]
    loop.run()
    assert loop.evaluate(Part.TEST)["loss"] < 0.7 * before
    assert [report.epoch for report in run.reporter.epochs] == list(range(1, 31))


def test_it_reaches_what_logistic_regression_reaches() -> None:
    from sklearn.linear_model import LogisticRegression

    run = Run(settings_of(epochs=60, evaluate_training_set=True), learning_rate=5e-2)
    loop = run.loop()
    report = loop.run()
    rows = loop.feed.parts[Part.TRAIN]
    columns = torch.stack([loop.feed.arrays["x"], loop.feed.arrays["y"]], 1)[rows].numpy()
    truth = loop.feed.targets["out"][rows].numpy()
    reference = LogisticRegression(C=100).fit(columns, truth).score(columns, truth)
    assert report.train["out.accuracy"] >= reference - 0.05


def test_the_same_seed_gives_the_same_losses_and_another_gives_others() -> None:
    def losses(seed: int) -> list[float]:
        run = Run(settings_of(seed=seed), combiner=CombinerSpec(num_fc_layers=1, output_size=8, dropout=0.3))
        run.loop().run()
        return [report.train["loss"] for report in run.reporter.epochs]

    assert losses(5) == losses(5) != losses(6)


def test_a_run_that_has_stopped_early_trains_no_more_of_its_steps() -> None:
    run = Run(settings_of(train_steps=10**9, early_stop=2), learning_rate=3.0, warmup=0)
    best = run.loop().run()
    assert len(run.reporter.epochs) == best.epoch + 2


def test_the_best_epochs_weights_are_in_the_model_at_the_end() -> None:
    run = Run(settings_of(epochs=12, validation_metric="out.accuracy"), learning_rate=0.5)
    loop = run.loop()
    best = loop.run()
    values = [(report.validation["out.accuracy"], -report.validation["loss"]) for report in run.reporter.epochs]
    assert best.epoch == values.index(max(values)) + 1
    assert loop.evaluate(Part.VALIDATION) == best.validation
    assert {report.validation_metric for report in run.reporter.epochs} == {"out.accuracy"}
    flags = [report.best for report in run.reporter.epochs]
    assert flags == [value > max(values[:index], default=(-1, 0)) for index, value in enumerate(values)]


def test_it_stops_early_when_nothing_improves() -> None:
    run = Run(settings_of(epochs=50, early_stop=3), learning_rate=3.0)
    best = run.loop().run()
    assert len(run.reporter.epochs) == best.epoch + 3 < 50


def test_without_early_stopping_all_epochs_run() -> None:
    run = Run(settings_of(epochs=8, early_stop=0), learning_rate=3.0)
    run.loop().run()
    assert len(run.reporter.epochs) == 8


@pytest.mark.parametrize("loss", [{}, {"balance_classes": True}])
@pytest.mark.parametrize(
    ("rows", "cut"),
    [
        (32, {"batch_size": 8, "accumulation": 4}),
        (32, {"batch_size": 32, "micro_batch_rows": 5}),
        (64, {"batch_size": 16, "accumulation": 100}),
        (64, {"batch_size": 10, "accumulation": 7}),  # the last batch has 4 rows, which count no more than others
        (50, {"batch_size": 10, "accumulation": 5, "micro_batch_rows": 4}),
    ],
)
def test_a_step_is_the_same_however_its_rows_are_cut(rows: int, cut: dict[str, int], loss: dict[str, Any]) -> None:
    def trained(**changes: Any) -> tuple[list[float], dict[str, torch.Tensor]]:
        run = Run(settings_of(epochs=2, **changes), optimizer=OptimizerSpec(type="sgd"), loss=loss)
        loop = run.loop()
        loop.run()
        return [report.train["loss"] for report in run.reporter.epochs], loop.model.learned_state()

    (whole_losses, whole), (losses, found) = trained(batch_size=rows), trained(**cut)
    assert losses == pytest.approx(whole_losses, abs=1e-6)
    assert all(torch.allclose(whole[name], found[name], atol=1e-6) for name in whole)


def test_the_running_aggregate_is_the_mean_over_rows() -> None:
    run = Run(settings_of(epochs=1, batch_size=24), learning_rate=1e-12)
    loop = run.loop()
    expected = loop.evaluate(Part.TRAIN)
    loop.run()
    running = run.reporter.epochs[0].train
    assert running["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert running["out.accuracy"] == pytest.approx(expected["out.accuracy"])


def test_the_training_set_is_evaluated_on_request() -> None:
    run = Run(settings_of(epochs=1, evaluate_training_set=True))
    loop = run.loop()
    loop.run()
    assert run.reporter.epochs[0].train == loop.evaluate(Part.TRAIN)


def test_metrics_do_not_depend_on_the_evaluation_batch() -> None:
    found = [Run(settings_of(eval_batch_size=size)).loop().evaluate(Part.TEST) for size in (1, 5, 1000)]
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[1] == pytest.approx(found[2], rel=1e-5)


def test_steps_are_reported_with_their_rate_and_time_left() -> None:
    run = Run(settings_of(epochs=2, report_seconds=0.0), warmup=0.5)
    run.loop().run()
    steps = run.reporter.steps
    assert [report.step for report in steps] == list(range(1, 9))
    assert {report.total_steps for report in steps} == {8}
    assert steps[-1].eta_seconds == 0
    assert all(report.rows_per_second > 0 for report in steps)
    assert max(report.learning_rate for report in steps) == pytest.approx(1e-2)


@pytest.mark.parametrize("reporting", [0.0, 1e9])
def test_a_loss_that_is_not_finite_is_named_with_what_to_do(reporting: float) -> None:
    run = Run(
        settings_of(report_seconds=reporting), learning_rate=1e38, output="number", optimizer=OptimizerSpec(type="sgd")
    )
    with pytest.raises(TrainingFailedError, match=r"lower trainer\.learning_rate") as caught:
        run.loop().run()
    assert caught.value.reason == "NON_FINITE_LOSS"
    assert caught.value.field == "trainer.learning_rate"


def test_the_run_can_be_stopped_between_any_two_steps() -> None:
    run = Run(settings_of(), reporter=Reports(stop_after=2))
    with pytest.raises(InterruptedError):
        run.loop().run()
    assert run.reporter.checks == 3


@pytest.mark.parametrize("kind", ["clipglobalnorm", "clipnorm", "clipvalue"])
def test_gradients_are_clipped_as_asked(kind: str) -> None:
    parameters = [torch.nn.Parameter(torch.zeros(3)) for _ in range(2)]
    for parameter in parameters:
        parameter.grad = torch.tensor([3.0, 0.0, 4.0])
    clip(parameters, kind, 2.0)
    gradients = [parameter.grad for parameter in parameters]
    assert gradients[0] is not None and gradients[1] is not None
    if kind == "clipvalue":
        assert gradients[0].tolist() == [2.0, 0.0, 2.0]
    elif kind == "clipnorm":
        assert gradients[0].norm().item() == pytest.approx(2.0, rel=1e-4)
    else:
        assert torch.cat([gradients[0], gradients[1]]).norm().item() == pytest.approx(2.0, rel=1e-4)


def test_a_single_leftover_row_does_not_upset_a_norm() -> None:
    for norm in ("batch", "ghost"):
        run = Run(settings_of(epochs=1, batch_size=9), combiner=CombinerSpec(norm=norm, virtual_batch_size=4))
        assert math.isfinite(run.loop().run().validation["loss"])


def test_a_frozen_encoder_is_left_as_it_was(tiny_bert: Path) -> None:
    run = Run(settings_of(epochs=1), text=tiny_bert, tuning=Tuning.FROZEN)
    loop = run.loop()
    encoder = loop.model.pretrained()["text"].encoder
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    loop.run()
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert not any(name.startswith("encoders.3.encoder") for name in loop.model.learned_state())


def test_a_trained_encoder_is_changed(tiny_bert: Path) -> None:
    run = Run(settings_of(epochs=1), text=tiny_bert)
    loop = run.loop()
    before = {name: value.clone() for name, value in loop.model.learned_state().items()}
    loop.run()
    after = loop.model.learned_state()
    assert any(
        name.startswith("encoders.3.encoder") and not torch.equal(value, after[name]) for name, value in before.items()
    )


def test_a_metric_that_the_validation_rows_do_not_define_is_told_once_and_replaced_by_the_loss() -> None:
    run = Run(settings_of(epochs=5, validation_metric="out.roc_auc", early_stop=2))
    best = run.loop().run()
    losses = [report.validation["loss"] for report in run.reporter.epochs]
    assert best.validation["loss"] == min(losses)
    assert run.reporter.warnings == ["VALIDATION_METRIC_UNDEFINED"]
