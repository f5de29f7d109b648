"""Every mistake in a spec comes back with its path, what was given and what would be right."""

from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.spec.ludwig.unsupported_keys import KEYS as REFUSED
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import parse_values, parse_yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.support.specs import MINIMAL, spec_input, spec_output, spec_with, violations_of


def test_the_design_pages_example_is_accepted() -> None:
    spec = parse_yaml(
        """
        input_features:
          - name: review
            type: text
            encoder: {type: auto_transformer, pretrained_model_name_or_path: bert-base-uncased, trainable: false}
            preprocessing: {cache_encoder_embeddings: true, max_sequence_length: 256}
          - {name: price, type: number}
        output_features:
          - {name: label, type: category}
        combiner: {type: concat, norm: ghost}
        trainer:
          epochs: 5
          batch_size: auto
          learning_rate: auto
          learning_rate_scaling: sqrt
          learning_rate_scheduler: {warmup_fraction: 0.2, decay: linear}
          optimizer: {type: adamw}
          use_mixed_precision: true
          compile: true
          evaluate_training_set: false
        backend: {type: local}
        defaults: {text: {encoder: {type: bert}}}
        """
    )
    assert spec.trainer.batch_size is None
    assert spec.trainer.learning_rate_scheduler.warmup_fraction == 0.2
    assert spec.defaults["text"].encoder.type == "bert"


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        (spec_with(trainer={"epoch": 3}), "trainer.epoch", ["did you mean 'epochs'", "Known keys"]),
        (spec_input(encoder={"trainabel": True}), "input_features[0].encoder.trainabel", ["'trainable'"]),
        (spec_with(combiner={"type": "concta"}), "combiner.type", ["concta", "'concat'"]),
        (spec_with(trainer={"epochs": "five"}), "trainer.epochs", ["'five'", "integer"]),
        (spec_with(trainer={"epochs": 2.5}), "trainer.epochs", ["2.5"]),
        (spec_with(trainer={"epochs": True}), "trainer.epochs", ["True"]),
        (spec_with(trainer={"epochs": 0}), "trainer.epochs", ["greater than or equal to 1"]),
        (spec_with(trainer={"learning_rate": float("nan")}), "trainer.learning_rate", ["nan"]),
        (spec_with(trainer={"learning_rate": float("inf")}), "trainer.learning_rate", ["inf"]),
        (spec_with(trainer=[1]), "trainer", ["must be a mapping"]),
        (spec_with(input_features={"name": "x"}), "input_features", ["must be a list"]),
        (spec_with(input_features=["x"]), "input_features[0]", ["must be a mapping"]),
        (spec_with(input_features=[]), "input_features", ["is empty"]),
        ({"input_features": MINIMAL["input_features"]}, "output_features", ["is empty"]),
        (spec_with(defaults={"txt": {}}), "defaults.txt", ["did you mean 'text'"]),
        (spec_input(type="txet"), "input_features[0].type", ["'txet'", "did you mean 'text'"]),
        (spec_input(type=""), "input_features[0].type", ["nothing"]),
        (spec_input(name=" "), "input_features[0].name", ["is missing"]),
        (spec_output(type="text"), "output_features[0].type", ["'text'", "category, binary"]),
        (spec_output(name="review"), "output_features[0].name", ["'review' is taken by input_features[0]"]),
        (spec_output(column="review"), "input_features[0].column", ["its own answer"]),
        (spec_output(loss={"type": "huber"}), "output_features[0].loss.type", ["'huber' is not for category"]),
        (spec_output(encoder={"type": "bert"}), "output_features[0].encoder", ["belongs to input features"]),
        (spec_input(top_k=2), "input_features[0].top_k", ["belongs to output features"]),
        (spec_input(loss={"weight": 2.0}), "input_features[0].loss", ["belongs to output features"]),
        (
            spec_output(loss={"class_weights": {"a": 1.0}, "balance_classes": True}),
            "output_features[0].loss.balance_classes",
            ["excludes class_weights"],
        ),
        (
            spec_output(type="binary", loss={"class_weights": {"a": 1.0}}),
            "output_features[0].loss.class_weights",
            ["category outputs"],
        ),
        (
            spec_output(loss={"positive_class_weight": 2.0}),
            "output_features[0].loss.positive_class_weight",
            ["binary outputs"],
        ),
        (
            spec_input(encoder={"trainable": True}, preprocessing={"cache_encoder_embeddings": True}),
            "input_features[0].preprocessing.cache_encoder_embeddings",
            ["every step would make the stored embeddings wrong"],
        ),
        (
            spec_with(
                defaults={"text": {"encoder": {"trainable": True}}},
                input_features=[
                    {"name": "review", "type": "text", "preprocessing": {"cache_encoder_embeddings": True}}
                ],
            ),
            "input_features[0].preprocessing.cache_encoder_embeddings",
            ["every step would make the stored embeddings wrong"],
        ),
        (
            spec_input(type="number", preprocessing={"cache_encoder_embeddings": True}),
            "input_features[0].preprocessing.cache_encoder_embeddings",
            ["number encoders"],
        ),
        (
            spec_input(encoder={"use_pretrained": False, "trainable": False}),
            "input_features[0].encoder.trainable",
            ["frozen random encoder"],
        ),
        (spec_with(trainer={"optimizer": {"betas": [0.9]}}), "trainer.optimizer.betas", ["two numbers"]),
        (
            spec_with(trainer={"gradient_clipping": {"clipvalue": 1.0, "clipnorm": 1.0}}),
            "trainer.gradient_clipping",
            ["one of"],
        ),
        (
            spec_with(backend={"type": "ray", "trainer": {"resources_per_worker": {"CPU": 0}}}),
            "backend.trainer.resources_per_worker.CPU",
            ["0 must be above 0"],
        ),
        (
            spec_with(preprocessing={"split": {"probabilities": [0.5, 0.5]}}),
            "preprocessing.split.probabilities",
            ["three parts"],
        ),
        (
            spec_with(preprocessing={"split": {"probabilities": [0.5, 0.2, 0.2]}}),
            "preprocessing.split.probabilities",
            ["sum to 1"],
        ),
        (
            spec_with(preprocessing={"split": {"probabilities": [0.0, 0.5, 0.5]}}),
            "preprocessing.split.probabilities",
            ["training rows above 0"],
        ),
        (spec_with(preprocessing={"split": {"type": "hash"}}), "preprocessing.split.column", ["'hash' needs"]),
        (spec_with(preprocessing={"split": {"column": "x"}}), "preprocessing.split.column", ["no use"]),
    ],
)
def test_a_mistake_is_named_with_its_path_and_its_fix(values: dict[str, Any], field: str, words: list[str]) -> None:
    found = {violation.field: violation.message for violation in violations_of(values)}
    assert field in found
    for word in words:
        assert word in found[field]


def test_all_mistakes_are_told_at_once() -> None:
    fields = {violation.field for violation in violations_of(spec_with(trainer={"epoch": 1, "seed": 2}, combinr={}))}
    assert fields == {"trainer.epoch", "trainer.seed", "combinr"}


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_what_ludwig_has_and_headstart_lacks_is_said_with_a_way_out(key: str) -> None:
    [violation] = violations_of(spec_with(trainer={key: 1}))
    assert violation.field == f"trainer.{key}"
    assert REFUSED[key] in violation.message


def test_an_adapter_of_which_nothing_is_said_is_one() -> None:
    for written in ({}, {"type": "auto"}, "lora"):
        values = {
            "input_features": [{"name": "a", "type": "text", "encoder": {"adapter": written}}],
            "output_features": [{"name": "y", "type": "category"}],
        }
        [feature] = parse_values(values).compact()["input_features"]
        assert feature["encoder"] == {"adapter": {"type": "lora"}}


def test_no_key_is_both_unsupported_and_known() -> None:
    def keys(schema: Any) -> set[str]:
        if isinstance(schema, dict):
            own = set(schema.get("properties", {}))
            return own.union(*map(keys, schema.values())) if schema else own
        return set().union(*map(keys, schema)) if isinstance(schema, list) else set()

    assert not keys(TrainSpec.model_json_schema()) & set(REFUSED)


def test_auto_means_unset_wherever_a_value_may_be_automatic() -> None:
    assert parse_values(spec_with(trainer={"epochs": "auto", "batch_size": "auto"}, combiner="auto")) == parse_values(
        MINIMAL
    )


def test_a_column_may_be_called_auto() -> None:
    spec = parse_values(
        spec_with(
            input_features=[{"name": "auto", "type": "category"}, {"name": "x", "type": "text", "column": "auto"}],
            output_features=[{"name": "y", "type": "binary", "preprocessing": {"fallback_true_label": "auto"}}],
            preprocessing={"split": {"type": "hash", "column": "auto"}},
        )
    )
    assert [feature.source for feature in spec.input_features] == ["auto", "auto"]
    assert spec.output_features[0].preprocessing.fallback_true_label == "auto"
    assert spec.preprocessing.split.column == "auto"


def test_a_column_can_be_read_twice_under_two_names() -> None:
    features = [
        {"name": "short", "type": "text", "column": "review"},
        {"name": "long", "type": "text", "column": "review"},
    ]
    assert [item.source for item in parse_values(spec_with(input_features=features)).input_features] == ["review"] * 2


def test_augmentation_may_be_given_as_a_switch() -> None:
    assert parse_values(spec_input(augmentation=False)).input_features[0].augmentation == []
    [violation] = violations_of(spec_input(augmentation=True))
    assert violation.field == "input_features[0].augmentation"
    assert "for image inputs, not text" in violation.message


KEYS = (
    "input_features output_features name type encoder trainer epochs combiner preprocessing split "
    "defaults text loss class_weights optimizer betas probabilities augmentation"
)
PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("auto")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(KEYS.split()),
                st.text(max_size=4),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*TrainSpec.model_fields, "x"]), PLAIN, max_size=5))
def test_arbitrary_values_are_parsed_or_refused(values: dict[str, Any]) -> None:
    try:
        spec = parse_values(values)
    except InvalidInputError:
        return
    assert parse_values(spec.compact()) == spec


def test_a_compact_spec_parses_to_the_same_spec() -> None:
    values = spec_with(
        trainer={"epochs": 3, "optimizer": {"betas": [0.9, 0.99]}, "early_stop": 0, "checkpoint": False},
        defaults={"number": {"preprocessing": {"normalization": "minmax"}}},
    )
    spec = parse_values(values)
    assert parse_values(spec.compact()) == spec
    assert spec.compact()["trainer"] == values["trainer"]
