"""Pretrained inputs: weights, pooling, limit, precision and whether stored, each with its origin."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.parts import Part
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.encoders.sources import ModelSources
from headstart_server.planning import pretrained as pretrained_module
from headstart_server.planning.inputs import plan_inputs
from headstart_server.planning.job_plan import check_spec, plan_job
from headstart_server.planning.passes import planned_passes
from headstart_server.planning.resolution import Origin, Resolution
from headstart_server.planning.text_inputs import TextPlan
from headstart_server.spec.defaults import apply_defaults
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import parse_values, parse_yaml

from tests.support.stores import embedding_of, keys_of
from tests.support.tables import sources_of
from tests.support.tiny_models import HIDDEN, POSITIONS


@pytest.fixture(autouse=True)
def fast_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained_module, "fast_precision", lambda _: "bf16")


@pytest.fixture
def sources(tiny_bert: Path, tmp_path: Path) -> ModelSources:
    shutil.copytree(tiny_bert, tmp_path / "tiny")
    return ModelSources(tmp_path)


def _spec(
    encoder: dict[str, Any] | None = None, preprocessing: dict[str, Any] | None = None, **changes: Any
) -> TrainSpec:
    encoder = {"pretrained_model_name_or_path": "tiny", **(encoder or {})}
    feature = {"name": "t", "type": "text", "encoder": encoder, "preprocessing": preprocessing or {}}
    values = {"input_features": [feature], "output_features": [{"name": "y", "type": "category"}], **changes}
    return TrainSpec.model_validate(values)


def _plan(sources: ModelSources, spec: TrainSpec) -> tuple[TextPlan, Resolution]:
    resolution = Resolution.of(spec)
    plan = plan_inputs(apply_defaults(spec), sources, resolution, "cpu")["t"]
    assert isinstance(plan, TextPlan)
    return plan, resolution


def _refused(sources: ModelSources, spec: TrainSpec) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        _plan(sources, spec)
    return caught.value


def test_a_frozen_encoder_is_stored_by_default(sources: ModelSources) -> None:
    plan, resolution = _plan(sources, _spec())
    assert (plan.tuning.trains, plan.cached, plan.use_pretrained) == (False, True, True)
    assert (plan.reduction, plan.dimension, plan.precision) == ("mean", HIDDEN, "bf16")
    assert plan.preparation.max_length == POSITIONS
    origins = {value.path.rsplit(".", 1)[-1]: value.origin for value in resolution.resolved.values()}
    assert origins["cache_encoder_embeddings"] is Origin.RULE
    assert origins["embedding_precision"] is Origin.MEASURED
    assert origins["pretrained_model_name_or_path"] is Origin.GIVEN
    assert resolution.spec().input_features[0].preprocessing.max_sequence_length == POSITIONS


def test_a_trainable_encoder_is_not_stored(sources: ModelSources) -> None:
    plan, _ = _plan(sources, _spec({"trainable": True}))
    assert (plan.cached, plan.precision) == (False, "fp32")
    error = _refused(sources, _spec({"trainable": True}, {"cache_encoder_embeddings": True}))
    assert error.field == "input_features[0].preprocessing.cache_encoder_embeddings"


def test_random_weights_are_trained(sources: ModelSources) -> None:
    plan, resolution = _plan(sources, _spec({"use_pretrained": False}))
    assert (plan.tuning.trains, plan.cached, plan.use_pretrained) == (True, False, False)
    assert resolution.resolved["input_features[0].encoder.trainable"].reason


def test_a_frozen_encoder_may_go_unstored(sources: ModelSources) -> None:
    plan, _ = _plan(sources, _spec(preprocessing={"cache_encoder_embeddings": False}))
    assert (plan.tuning.trains, plan.cached, plan.precision) == (False, False, "fp32")


def test_the_class_token_of_a_model_that_reads_left_to_right_is_refused_when_it_is_planned(
    tiny_models: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(tiny_models["gpt2"], tmp_path / "causal")
    spec = _spec({"pretrained_model_name_or_path": "causal", "reduce_output": "cls"})
    error = _refused(ModelSources(tmp_path), spec)
    assert error.field == "input_features[0].encoder.reduce_output"
    assert "has seen nothing of the text; use last or mean" in str(error)


def test_whatever_changes_an_embedding_changes_its_space(sources: ModelSources, tmp_path: Path) -> None:
    plain = _plan(sources, _spec())[0].space.identifier
    assert _plan(sources, _spec())[0].space.identifier == plain
    changed = [
        _spec({"reduce_output": "cls"}),
        _spec(preprocessing={"max_sequence_length": 8}),
        _spec(preprocessing={"embedding_precision": "fp32"}),
    ]
    spaces = {_plan(sources, spec)[0].space.identifier for spec in changed}
    assert len(spaces | {plain}) == 4
    shutil.copytree(tmp_path / "tiny", tmp_path / "renamed")
    assert _plan(sources, _spec({"pretrained_model_name_or_path": "renamed"}))[0].space.identifier == plain


@pytest.mark.parametrize(
    ("encoder", "preprocessing", "field", "words"),
    [
        ({"type": "robberta"}, {}, "encoder.type", "did you mean 'roberta'"),
        ({"type": "roberta"}, {}, "encoder.pretrained_model_name_or_path", "is a bert model"),
        ({"pretrained_model_name_or_path": "tinny"}, {}, "encoder.pretrained_model_name_or_path", "'tiny'"),
        ({"pretrained_model_name_or_path": None}, {}, "encoder.pretrained_model_name_or_path", "is missing"),
        ({"pretrained_model_name_or_path": "../x"}, {}, "encoder.pretrained_model_name_or_path", "without '..'"),
        ({}, {"max_sequence_length": POSITIONS + 1}, "preprocessing.max_sequence_length", f"the {POSITIONS} tokens"),
        (
            {},
            {"cache_encoder_embeddings": False, "embedding_precision": "fp16"},
            "preprocessing.embedding_precision",
            "set trainer.use_mixed_precision",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_path(
    sources: ModelSources, encoder: dict[str, Any], preprocessing: dict[str, Any], field: str, words: str
) -> None:
    error = _refused(sources, _spec(encoder, preprocessing))
    assert error.field == f"input_features[0].{field}"
    assert words in str(error)


def test_mistakes_of_all_inputs_are_told_at_once(sources: ModelSources) -> None:
    features = [
        {"name": "t", "type": "text", "encoder": {"pretrained_model_name_or_path": "none"}},
        {"name": "n", "type": "number", "encoder": {"type": "onehot"}},
    ]
    error = _refused(sources, _spec(input_features=features))
    assert [item.field for item in error.violations] == [
        "input_features[0].encoder.pretrained_model_name_or_path",
        "input_features[1].encoder.type",
    ]


def test_defaults_of_a_type_count(sources: ModelSources) -> None:
    spec = _spec(defaults={"text": {"encoder": {"reduce_output": "max", "trainable": True}}})
    plan, _ = _plan(sources, spec)
    assert (plan.reduction, plan.tuning.trains) == ("max", True)


ROWS = 40


def test_a_plan_says_what_a_job_would_do(sources: ModelSources, tmp_path: Path) -> None:
    texts = [f"film {number % 10}" for number in range(ROWS)]
    looked = plan_job(_spec(), sources_of(t=texts, y=["a", "b"] * (ROWS // 2)), sources, "cpu")
    assert sum(looked.rows(part) for part in (Part.TRAIN, Part.VALIDATION, Part.TEST)) == ROWS
    store = EmbeddingStore(tmp_path / "store")
    space = store.space(looked.inputs["t"].space)
    known = keys_of(["film 0", "film 1"])
    space.add(known, embedding_of(known, HIDDEN))
    progress = planned_passes(looked, store)[0].progress
    assert (progress.total, progress.found, progress.repeated, progress.encoded) == (ROWS, 8, 24, 8)
    assert looked.resolution.spec().trainer.batch_size is not None


def test_a_spec_is_checked_before_its_data_is_known(sources: ModelSources) -> None:
    check_spec(_spec(), sources, "cpu")
    with pytest.raises(InvalidInputError) as caught:
        check_spec(_spec(trainer={"validation_metric": "nonsense"}), sources, "cpu")
    assert caught.value.field == "trainer.validation_metric"


@pytest.mark.parametrize("encoder", [{}, {"trainable": True}])
def test_a_resolved_spec_can_be_sent_again(sources: ModelSources, encoder: dict[str, Any]) -> None:
    tables = sources_of(t=["a b", "c d"] * 20, y=["p", "q"] * 20)
    resolved = plan_job(_spec(encoder), tables, sources, "cpu").resolution.spec()
    assert parse_values(resolved.compact()) == resolved


def _sampled(sampling: dict[str, Any], **changes: Any) -> TrainSpec:
    return TrainSpec.model_validate({**_spec(**changes).compact(), "preprocessing": sampling})


@pytest.mark.parametrize(
    "trainer",
    [
        {"train_steps": 7, "steps_per_checkpoint": 2},
        {"checkpoints_per_epoch": 3, "regularization_lambda": 0.1, "should_shuffle": False},
        {"learning_rate_scheduler": {"decay": "cosine"}},
        {"learning_rate_scheduler": {"decay": "cosine", "t_0": 3, "eta_min": 1e-4, "warmup_evaluations": 1.5}},
        {"learning_rate_scheduler": {"decay": "exponential", "reduce_on_plateau": 2, "reduce_eval_metric": "accuracy"}},
    ],
    ids=str,
)
def test_a_spec_with_settings_of_its_own_is_resolved_to_one_that_can_be_sent_again(
    sources: ModelSources, trainer: dict[str, Any]
) -> None:
    tables = sources_of(t=["a b", "c d"] * 20, y=["p", "q", "p", "p"] * 10)
    for sampling in ({}, {"oversample_minority": 1.0}, {"undersample_majority": 1.0, "sample_ratio": 0.9}):
        spec = _sampled(sampling, trainer=trainer)
        resolved = plan_job(spec, tables, sources, "cpu").resolution.spec()
        assert parse_values(resolved.compact()) == resolved
        assert plan_job(resolved, tables, sources, "cpu").resolution.spec() == resolved
        assert (resolved.trainer.epochs is None) == ("train_steps" in trainer)


def test_a_plan_tells_of_rows_that_are_drawn_again_or_left_out(sources: ModelSources) -> None:
    tables = sources_of(t=["a b", "c d"] * 50, y=["p", "q", "p", "p"] * 25, part=["train"] * 80 + ["validation"] * 20)
    split = {"split": {"type": "fixed", "column": "part"}}
    more, fewer = (
        plan_job(_sampled({**split, key: 1.0}), tables, sources, "cpu")
        for key in ("oversample_minority", "undersample_majority")
    )
    assert (more.rows(Part.TRAIN), fewer.rows(Part.TRAIN)) == (120, 40)
    assert (more.rows(Part.VALIDATION), fewer.rows(Part.VALIDATION)) == (20, 20)
    reasons = [
        looked.resolution.resolved[f"preprocessing.{key}"].reason
        for looked, key in ((more, "oversample_minority"), (fewer, "undersample_majority"))
    ]
    assert reasons == [
        "40 of an epoch's 120 rows are rows of rarer labels drawn again",
        "40 training rows of more frequent labels are left out",
    ]


def test_weights_of_unknown_labels_are_found_before_a_job_exists(sources: ModelSources) -> None:
    tables = sources_of(t=["a b", "c d"] * 20, y=["p", "q"] * 20)
    output = {"name": "y", "type": "category", "loss": {"class_weights": {"r": 2.0}}}
    with pytest.raises(InvalidInputError) as caught:
        plan_job(_spec(output_features=[output]), tables, sources, "cpu")
    assert caught.value.field == "output_features[0].loss.class_weights"


def test_tied_inputs_read_one_space(sources: ModelSources) -> None:
    values = {
        "input_features": [
            {"name": "t", "type": "text", "encoder": {"pretrained_model_name_or_path": "tiny", "reduce_output": "max"}},
            {"name": "u", "type": "text", "tied": "t"},
        ],
        "output_features": [{"name": "y", "type": "category"}],
    }
    spec = parse_yaml(json.dumps(values))
    plans = plan_inputs(apply_defaults(spec), sources, Resolution.of(spec), "cpu")
    assert plans["u"].space == plans["t"].space


def test_a_plan_tells_what_was_read_otherwise(sources: ModelSources) -> None:
    spec = parse_yaml(json.dumps({**_spec().compact(), "training": {"epochs": 2}}))
    tables = sources_of(t=["good", "bad"] * 30, y=["a", "b"] * 30)
    assert plan_job(spec, tables, sources, "cpu").notes[0] == ("SPELLING", "training: read as trainer")
