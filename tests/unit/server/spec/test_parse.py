"""Every mistake in a spec comes back with its path, what was given and what would be right."""

from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError, Violation
from headstart_server.spec.lacking import LACKING
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import parse_values, parse_yaml
from hypothesis import given
from hypothesis import strategies as st

MINIMAL: dict[str, Any] = {
    "input_features": [{"name": "review", "type": "text"}],
    "output_features": [{"name": "label", "type": "category"}],
}


def _with(**changes: Any) -> dict[str, Any]:
    return {**MINIMAL, **changes}


def _input(**changes: Any) -> dict[str, Any]:
    return _with(input_features=[{"name": "review", "type": "text", **changes}])


def _output(**changes: Any) -> dict[str, Any]:
    return _with(output_features=[{"name": "label", "type": "category", **changes}])


def _violations(values: dict[str, Any]) -> list[Violation]:
    with pytest.raises(InvalidInputError) as caught:
        parse_values(values)
    return caught.value.violations


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
        (_with(trainer={"epoch": 3}), "trainer.epoch", ["did you mean 'epochs'", "Known keys"]),
        (_input(encoder={"trainabel": True}), "input_features[0].encoder.trainabel", ["'trainable'"]),
        (_with(combiner={"type": "concta"}), "combiner.type", ["concta", "'concat'"]),
        (_with(trainer={"epochs": "five"}), "trainer.epochs", ["'five'", "integer"]),
        (_with(trainer={"epochs": 2.5}), "trainer.epochs", ["2.5"]),
        (_with(trainer={"epochs": True}), "trainer.epochs", ["True"]),
        (_with(trainer={"epochs": 0}), "trainer.epochs", ["greater than or equal to 1"]),
        (_with(trainer={"learning_rate": float("nan")}), "trainer.learning_rate", ["nan"]),
        (_with(trainer={"learning_rate": float("inf")}), "trainer.learning_rate", ["inf"]),
        (_with(trainer=[1]), "trainer", ["must be a mapping"]),
        (_with(input_features={"name": "x"}), "input_features", ["must be a list"]),
        (_with(input_features=["x"]), "input_features[0]", ["must be a mapping"]),
        (_with(input_features=[]), "input_features", ["is empty"]),
        ({"input_features": MINIMAL["input_features"]}, "output_features", ["is empty"]),
        (_with(defaults={"txt": {}}), "defaults.txt", ["did you mean 'text'"]),
        (_input(type="txet"), "input_features[0].type", ["'txet'", "did you mean 'text'"]),
        (_input(type=""), "input_features[0].type", ["nothing"]),
        (_input(name=" "), "input_features[0].name", ["is missing"]),
        (_input(type="image"), "input_features[0].type", ["not available"]),
        (_output(type="text"), "output_features[0].type", ["'text'", "category, binary"]),
        (_output(name="review"), "output_features[0].name", ["'review' is taken by input_features[0]"]),
        (_output(column="review"), "input_features[0].column", ["its own answer"]),
        (_output(loss={"type": "huber"}), "output_features[0].loss.type", ["'huber' is not for category"]),
        (_output(encoder={"type": "bert"}), "output_features[0].encoder", ["belongs to input features"]),
        (_input(top_k=2), "input_features[0].top_k", ["belongs to output features"]),
        (_input(loss={"weight": 2.0}), "input_features[0].loss", ["belongs to output features"]),
        (
            _output(loss={"class_weights": {"a": 1.0}, "balance_classes": True}),
            "output_features[0].loss.balance_classes",
            ["excludes class_weights"],
        ),
        (
            _output(type="binary", loss={"class_weights": {"a": 1.0}}),
            "output_features[0].loss.class_weights",
            ["category outputs"],
        ),
        (
            _output(loss={"positive_class_weight": 2.0}),
            "output_features[0].loss.positive_class_weight",
            ["binary outputs"],
        ),
        (
            _input(encoder={"trainable": True}, preprocessing={"cache_encoder_embeddings": True}),
            "input_features[0].preprocessing.cache_encoder_embeddings",
            ["every step would make the stored embeddings wrong"],
        ),
        (
            _with(
                defaults={"text": {"encoder": {"trainable": True}}},
                input_features=[
                    {"name": "review", "type": "text", "preprocessing": {"cache_encoder_embeddings": True}}
                ],
            ),
            "input_features[0].preprocessing.cache_encoder_embeddings",
            ["every step would make the stored embeddings wrong"],
        ),
        (
            _input(type="number", preprocessing={"cache_encoder_embeddings": True}),
            "input_features[0].preprocessing.cache_encoder_embeddings",
            ["number encoders"],
        ),
        (
            _input(encoder={"use_pretrained": False, "trainable": False}),
            "input_features[0].encoder.trainable",
            ["frozen random encoder"],
        ),
        (_with(trainer={"optimizer": {"betas": [0.9]}}), "trainer.optimizer.betas", ["two numbers"]),
        (
            _with(trainer={"gradient_clipping": {"clipvalue": 1.0, "clipnorm": 1.0}}),
            "trainer.gradient_clipping",
            ["one of"],
        ),
        (_with(backend={"type": "ray"}), "backend.type", ["not available"]),
        (
            _with(preprocessing={"split": {"probabilities": [0.5, 0.5]}}),
            "preprocessing.split.probabilities",
            ["three parts"],
        ),
        (
            _with(preprocessing={"split": {"probabilities": [0.5, 0.2, 0.2]}}),
            "preprocessing.split.probabilities",
            ["sum to 1"],
        ),
        (
            _with(preprocessing={"split": {"probabilities": [0.0, 0.5, 0.5]}}),
            "preprocessing.split.probabilities",
            ["training rows above 0"],
        ),
        (_with(preprocessing={"split": {"type": "hash"}}), "preprocessing.split.column", ["'hash' needs"]),
        (_with(preprocessing={"split": {"column": "x"}}), "preprocessing.split.column", ["no use"]),
    ],
)
def test_a_mistake_is_named_with_its_path_and_its_fix(values: dict[str, Any], field: str, words: list[str]) -> None:
    found = {violation.field: violation.message for violation in _violations(values)}
    assert field in found
    for word in words:
        assert word in found[field]


def test_all_mistakes_are_told_at_once() -> None:
    fields = {violation.field for violation in _violations(_with(trainer={"epoch": 1, "seed": 2}, combinr={}))}
    assert fields == {"trainer.epoch", "trainer.seed", "combinr"}


@pytest.mark.parametrize("key", sorted(LACKING))
def test_what_ludwig_has_and_headstart_lacks_is_said_with_a_way_out(key: str) -> None:
    [violation] = _violations(_with(trainer={key: 1}))
    assert violation.field == f"trainer.{key}"
    assert LACKING[key] in violation.message


def test_no_key_is_both_lacking_and_known() -> None:
    def keys(schema: Any) -> set[str]:
        if isinstance(schema, dict):
            own = set(schema.get("properties", {}))
            return own.union(*map(keys, schema.values())) if schema else own
        return set().union(*map(keys, schema)) if isinstance(schema, list) else set()

    assert not keys(TrainSpec.model_json_schema()) & set(LACKING)


def test_auto_means_unset_wherever_a_value_may_be_automatic() -> None:
    assert parse_values(_with(trainer={"epochs": "auto", "batch_size": "auto"}, combiner="auto")) == parse_values(
        MINIMAL
    )


def test_a_column_may_be_called_auto() -> None:
    spec = parse_values(
        _with(
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
    assert [item.source for item in parse_values(_with(input_features=features)).input_features] == ["review"] * 2


def test_augmentation_may_be_given_as_a_switch() -> None:
    assert parse_values(_input(augmentation=False)).input_features[0].augmentation == []
    [violation] = _violations(_input(augmentation=True))
    assert violation.field == "input_features[0].augmentation"
    assert "for image inputs, not text" in violation.message


@pytest.mark.parametrize(
    "name", ["x" * 201, "a\0b", "a\nb", "\x7f", "a\u2028b"], ids=["long", "NUL", "line", "DEL", "U+2028"]
)
def test_a_name_that_cannot_be_a_key_is_refused_with_a_way_to_keep_the_column(name: str) -> None:
    [violation] = _violations(_input(name=name))
    assert violation.field == "input_features[0].name"
    assert "the column's in 'column'" in violation.message
    parse_values(_input(name="plain", column=name))


def test_a_name_may_be_200_characters_of_any_script() -> None:
    name = "é. /ß漢😀 " * 25
    assert parse_values(_input(name=name)).input_features[0].name == name


@pytest.mark.parametrize("weight", [-1.0, 0.0, 1e-7, 1e7, float("inf"), float("nan")])
def test_a_weight_that_no_loss_can_bear_is_refused(weight: float) -> None:
    for values, field in (
        (_output(loss={"class_weights": {"a": weight, "b": 1.0}}), "output_features[0].loss.class_weights.a"),
        (_output(loss={"weight": weight}), "output_features[0].loss.weight"),
        (
            _output(type="binary", loss={"positive_class_weight": weight}),
            "output_features[0].loss.positive_class_weight",
        ),
    ):
        assert [violation.field for violation in _violations(values)] == [field]


def test_twenty_mistakes_are_told_and_the_rest_counted() -> None:
    unknown = _violations(_with(**{f"key{number}": 1 for number in range(1_000)}))
    assert [item.field for item in unknown[:20]] == [f"key{number}" for number in range(20)]
    assert [item.message for item in unknown[20:]] == ["and 980 more; correct these first"]
    ruled = _violations(_with(input_features=[{"name": f"n{number}", "type": "nmuber"} for number in range(30)]))
    assert [item.message for item in ruled[20:]] == ["and 10 more; correct these first"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (_with(input_features=[{"name": str(number), "type": "text"} for number in range(5_000)]), "input_features"),
        (_with(defaults={f"type{number}": {} for number in range(51)}), "defaults"),
        (_input(column="x" * 1_001), "input_features[0].column"),
        (_input(encoder={"type": "x" * 1_001}), "input_features[0].encoder.type"),
        (_with(trainer={"optimizer": {"betas": [0.5] * 1_000}}), "trainer.optimizer.betas"),
    ],
)
def test_what_is_larger_than_any_spec_is_refused_in_a_few_words(values: dict[str, Any], field: str) -> None:
    [violation] = _violations(values)
    assert violation.field == field
    assert "at most" in violation.message
    assert len(violation.message) < 300


@pytest.mark.parametrize("value", [0, 1.5, True])
def test_a_number_where_text_is_wanted_is_to_be_quoted(value: object) -> None:
    [violation] = _violations(_input(type="category", preprocessing={"fill_value": value}))
    assert violation.field == "input_features[0].preprocessing.fill_value"
    assert f"write it in quotes: '{str(value).lower()}'" in violation.message


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (-1.5, "-1.5"), ("2", "2")])
def test_a_number_columns_fill_value_may_be_a_number(value: object, text: str) -> None:
    preprocessing = {"missing_value_strategy": "fill_with_const", "fill_value": value}
    spec = parse_values(_input(type="number", preprocessing=preprocessing))
    assert spec.input_features[0].preprocessing.fill_value == text


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
    values = _with(
        trainer={"epochs": 3, "optimizer": {"betas": [0.9, 0.99]}, "early_stop": 0, "checkpoint": False},
        defaults={"number": {"preprocessing": {"normalization": "minmax"}}},
    )
    spec = parse_values(values)
    assert parse_values(spec.compact()) == spec
    assert spec.compact()["trainer"] == values["trainer"]
