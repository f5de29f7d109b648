"""The trainer section, resolved by the path that training takes."""

from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.planning import trainer as trainer_module
from headstart_server.planning.resolution import Origin, Resolution
from headstart_server.planning.trainer import TrainerPlan, plan_trainer, seed_of
from headstart_server.spec.parse import parse_values, parse_yaml


@pytest.fixture(autouse=True)
def fast_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "fast_precision", lambda _: "bf16")


def _plan(
    rows: int = 1000,
    *,
    runs: bool = False,
    trains: bool = False,
    outputs: list[dict[str, Any]] | None = None,
    **trainer: Any,
) -> tuple[TrainerPlan, Resolution]:
    spec = parse_values(
        {
            "input_features": [{"name": "t", "type": "text"}],
            "output_features": outputs or [{"name": "label", "type": "category"}],
            "trainer": trainer,
        }
    )
    resolution = Resolution.of(spec)
    plan = plan_trainer(spec, resolution, rows, "cpu", encoder_runs=runs, encoder_trains=trains)
    return plan, resolution


def test_given_values_are_taken() -> None:
    plan, resolution = _plan(
        epochs=2,
        batch_size=8,
        eval_batch_size=9,
        learning_rate=0.5,
        learning_rate_scheduler={"warmup_fraction": 0.3, "decay": "exponential", "decay_rate": 0.7},
        gradient_accumulation_steps=3,
        gradient_clipping={"clipvalue": 0.1},
        evaluate_training_set=True,
        early_stop=7,
        random_seed=0,
        checkpoint=False,
    )
    assert (plan.epochs, plan.batch_size, plan.eval_batch_size, plan.learning_rate) == (2, 8, 9, 0.5)
    assert (plan.schedule.warmup_fraction, plan.schedule.decay, plan.schedule.decay_rate, plan.accumulation) == (
        0.3,
        "exponential",
        0.7,
        3,
    )
    assert (plan.clipping, plan.evaluate_training_set, plan.early_stop) == (("clipvalue", 0.1), True, 7)
    assert (plan.seed, plan.checkpoint, plan.head_learning_rate) == (0, False, 0.5)
    assert plan.batch_size_given
    given = [value for value in resolution.resolved.values() if value.origin is Origin.GIVEN]
    assert {"trainer.epochs", "trainer.early_stop", "trainer.random_seed"} <= {value.path for value in given}


@pytest.mark.parametrize(("given", "expected"), [(None, 5), (0, 0), (-1, 0), (-7, 0), (3, 3)])
def test_nothing_or_less_means_no_early_stopping(given: int | None, expected: int) -> None:
    trainer: dict[str, Any] = {} if given is None else {"early_stop": given}
    assert _plan(**trainer)[0].early_stop == expected


def test_defaults_follow_the_path() -> None:
    stored, _ = _plan()
    frozen, _ = _plan(runs=True)
    trainable, _ = _plan(runs=True, trains=True)
    assert stored.epochs > frozen.epochs == trainable.epochs
    assert stored.learning_rate > trainable.learning_rate
    assert trainable.head_learning_rate > trainable.learning_rate
    assert (stored.clipping, frozen.clipping, trainable.clipping) == (None, None, ("clipglobalnorm", 1.0))
    assert (stored.schedule.warmup_fraction, trainable.schedule.warmup_fraction) == (0.0, 0.1)


def test_a_batch_is_never_larger_than_the_data() -> None:
    assert _plan(5, batch_size=1000)[0].batch_size == 5
    assert _plan(5)[0].batch_size == 5


def test_the_resolved_spec_says_what_the_plan_says() -> None:
    plan, resolution = _plan(runs=True, trains=True)
    trainer = resolution.spec().trainer
    assert trainer.epochs == plan.epochs
    assert trainer.batch_size == plan.batch_size
    assert trainer.learning_rate == plan.learning_rate
    assert trainer.random_seed == plan.seed == seed_of(resolution.spec())
    assert trainer.gradient_clipping.clipglobalnorm == 1.0


def test_mixed_precision_is_used_where_an_encoder_runs_and_it_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _plan(use_mixed_precision=True)[0].precision == "fp32"
    assert _plan(runs=True)[0].precision == "fp32"
    assert _plan(runs=True, use_mixed_precision=True)[0].precision == "bf16"
    monkeypatch.setattr(trainer_module, "fast_precision", lambda _: "fp32")
    plan, resolution = _plan(runs=True, use_mixed_precision=True)
    assert plan.precision == "fp32"
    assert [reason for reason, _ in plan.warnings] == ["MIXED_PRECISION_NOT_FASTER"]
    assert resolution.resolved["trainer.use_mixed_precision"].value is False


def test_mixed_precision_on_stored_embeddings_is_resolved_to_what_is_done() -> None:
    resolved = _plan(use_mixed_precision=True)[1].resolved["trainer.use_mixed_precision"]
    assert (resolved.value, resolved.origin) == (False, Origin.RULE)
    assert "only a head trains" in resolved.reason


def test_a_decay_rate_is_resolved_where_there_is_one() -> None:
    path = "trainer.learning_rate_scheduler.decay_rate"
    assert _plan(learning_rate_scheduler={"decay": "exponential"})[1].resolved[path].value == 0.9
    assert path not in _plan()[1].resolved


def test_compiling_needs_an_encoder_and_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    compiler = tmp_path / "clang++"
    compiler.write_text("")
    compiler.chmod(0o755)
    assert _plan(runs=True, compile=True)[0].compile
    assert not _plan(compile=True)[0].compile
    compiler.unlink()
    plan, resolution = _plan(runs=True, compile=True)
    assert not plan.compile
    assert [reason for reason, _ in plan.warnings] == ["NO_COMPILER"]
    assert resolution.resolved["trainer.compile"].value is False


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("loss", "loss"),
        ("accuracy", "label.accuracy"),
        ("label.f1_macro", "label.f1_macro"),
        ("label.loss", "label.loss"),
    ],
)
def test_a_metric_may_be_named_in_short(given: str, expected: str) -> None:
    assert _plan(validation_metric=given)[0].validation_metric == expected


@pytest.mark.parametrize("given", ["acuracy", "roc_auc", "other.accuracy", ""])
def test_an_unknown_metric_is_refused_with_those_there_are(given: str) -> None:
    with pytest.raises(InvalidInputError, match=r"label\.accuracy") as caught:
        _plan(validation_metric=given)
    assert caught.value.field == "trainer.validation_metric"


def test_a_short_name_that_two_outputs_have_is_refused() -> None:
    outputs = [{"name": "a", "type": "category"}, {"name": "b", "type": "category"}]
    with pytest.raises(InvalidInputError, match=r"a\.accuracy"):
        _plan(outputs=outputs, validation_metric="accuracy")


def test_fine_tuned_classifiers_are_chosen_by_accuracy() -> None:
    assert _plan()[0].validation_metric == "loss"
    assert _plan(runs=True, trains=True)[0].validation_metric == "label.accuracy"
    number = [{"name": "y", "type": "number"}]
    assert _plan(runs=True, trains=True, outputs=number)[0].validation_metric == "loss"


def test_each_note_on_a_files_spelling_is_a_warning() -> None:
    spec = parse_yaml(
        "model_type: ecd\ninput_features: [{name: a, type: numerical}]\noutput_features: [{name: b, type: category}]"
    )
    plan = plan_trainer(spec, Resolution.of(spec), 100, "cpu", encoder_runs=False, encoder_trains=False)
    assert plan.warnings == (("SPELLING", "input_features[0].type: 'numerical' read as 'number'"),)


@pytest.mark.parametrize("given", [{}, {"learning_rate": 0.04}])
def test_a_least_rate_is_below_the_peak_wherever_that_comes_from(given: dict[str, Any]) -> None:
    scheduler = {"decay": "cosine", "eta_min": 0.05}
    with pytest.raises(InvalidInputError, match="must be below") as caught:
        _plan(learning_rate_scheduler=scheduler, **given)
    assert caught.value.field == "trainer.learning_rate_scheduler.eta_min"
