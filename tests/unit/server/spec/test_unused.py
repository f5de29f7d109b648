"""A setting that nothing reads is refused by name; one that is read, or says what is done anyway, is accepted."""

from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.spec.model import DecoderSpec, EncoderSpec, LossSpec, PreprocessingSpec
from headstart_server.spec.parse import parse_values
from headstart_server.spec.section import Section
from headstart_server.spec.unused import INPUT_USES, OUTPUT_USES


def _spec(side: str, feature: dict[str, Any], **sections: Any) -> dict[str, Any]:
    other = {"name": "other", "type": "number"}
    features = {
        name: [{"name": "one", **feature} if name == side else other] for name in ("input_features", "output_features")
    }
    return {**features, **sections}


def _refused(values: dict[str, Any]) -> dict[str, str]:
    try:
        parse_values(values)
    except InvalidInputError as error:
        return {violation.field: violation.message for violation in error.violations}
    return {}


@pytest.mark.parametrize(
    ("side", "kind", "settings", "key"),
    [
        ("input", "text", {"encoder": {"dropout": 0.1}}, "encoder.dropout"),
        ("input", "text", {"encoder": {"embedding_size": 5}}, "encoder.embedding_size"),
        ("input", "number", {"encoder": {"trainable": False}}, "encoder.trainable"),
        (
            "input",
            "number",
            {"encoder": {"pretrained_model_name_or_path": "x"}},
            "encoder.pretrained_model_name_or_path",
        ),
        ("input", "number", {"encoder": {"output_size": 8}}, "encoder.output_size"),
        ("input", "vector", {"encoder": {"type": "passthrough", "num_layers": 2}}, "encoder.num_layers"),
        ("input", "category", {"encoder": {"type": "onehot", "embedding_size": 4}}, "encoder.embedding_size"),
        ("input", "category", {"encoder": {"output_size": 4}}, "encoder.output_size"),
        ("input", "number", {"preprocessing": {"max_sequence_length": 9}}, "preprocessing.max_sequence_length"),
        ("input", "number", {"preprocessing": {"most_common": 9}}, "preprocessing.most_common"),
        ("input", "number", {"preprocessing": {"fill_value": "3"}}, "preprocessing.fill_value"),
        ("input", "set", {"preprocessing": {"fill_value": "3"}}, "preprocessing.fill_value"),
        ("input", "category", {"preprocessing": {"lowercase": True}}, "preprocessing.lowercase"),
        ("input", "text", {"preprocessing": {"normalization": "zscore"}}, "preprocessing.normalization"),
        ("input", "text", {"preprocessing": {"cached_views": 3}}, "preprocessing.cached_views"),
        (
            "input",
            "text",
            {"preprocessing": {"missing_value_strategy": "drop_row", "fill_value": "x"}},
            "preprocessing.fill_value",
        ),
        (
            "input",
            "text",
            {"encoder": {"trainable": True}, "preprocessing": {"embedding_precision": "bf16"}},
            "preprocessing.embedding_precision",
        ),
        ("output", "category", {"preprocessing": {"most_common": 9}}, "preprocessing.most_common"),
        ("output", "category", {"decoder": {"threshold": 0.3}}, "decoder.threshold"),
        ("output", "number", {"decoder": {"calibration": True}}, "decoder.calibration"),
        ("output", "category", {"decoder": {"dropout": 0.3}}, "decoder.dropout"),
        ("output", "set", {"loss": {"balance_classes": True}}, "loss.balance_classes"),
        ("output", "binary", {"loss": {"label_smoothing": 0.1}}, "loss.label_smoothing"),
        ("output", "binary", {"loss": {"positive_class_weight": 2.0, "balance_classes": True}}, "loss.balance_classes"),
        ("output", "number", {"top_k": 3}, "top_k"),
    ],
)
def test_a_setting_of_a_feature_that_nothing_reads_is_refused(
    side: str, kind: str, settings: dict[str, Any], key: str
) -> None:
    found = _refused(_spec(f"{side}_features", {"type": kind, **settings}))
    assert list(found) == [f"{side}_features[0].{key}"]


@pytest.mark.parametrize(
    ("kind", "strategy", "side"),
    [
        ("number", "fill_with_false", "input"),
        ("number", "fill_with_unknown", "input"),
        ("category", "fill_with_mean", "input"),
        ("category", "fill_with_unknown", "output"),
        ("binary", "fill_with_mean", "input"),
        ("text", "fill_with_mode", "input"),
        ("set", "fill_with_const", "input"),
        ("vector", "fill_with_mean", "input"),
    ],
)
def test_a_strategy_that_a_type_does_not_have_is_refused_with_those_it_has(kind: str, strategy: str, side: str) -> None:
    feature = {"type": kind, "preprocessing": {"missing_value_strategy": strategy}}
    [(field, message)] = _refused(_spec(f"{side}_features", feature)).items()
    assert field == f"{side}_features[0].preprocessing.missing_value_strategy"
    assert "drop_row, fail" in message
    assert f"{strategy!r} is not for {kind} {side}s" in message


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [("category", None, "is missing"), ("binary", None, "is missing"), ("number", "x", "no finite number"),
     ("number", "nan", "no finite number")],
)  # fmt: skip
def test_a_constant_that_cannot_be_filled_in_is_refused(kind: str, value: str | None, words: str) -> None:
    settings = {"missing_value_strategy": "fill_with_const", "fill_value": value}
    [(field, message)] = _refused(_spec("input_features", {"type": kind, "preprocessing": settings})).items()
    assert field == "input_features[0].preprocessing.fill_value"
    assert words in message


@pytest.mark.parametrize(
    ("sections", "field"),
    [
        ({"combiner": {"output_size": 64}}, "combiner.output_size"),
        ({"combiner": {"activation": "tanh"}}, "combiner.activation"),
        ({"combiner": {"norm": "batch", "virtual_batch_size": 4}}, "combiner.virtual_batch_size"),
        ({"trainer": {"optimizer": {"type": "sgd", "betas": [0.9, 0.9]}}}, "trainer.optimizer.betas"),
        ({"trainer": {"optimizer": {"type": "sgd", "eps": 1e-8}}}, "trainer.optimizer.eps"),
        ({"trainer": {"optimizer": {"momentum": 0.9}}}, "trainer.optimizer.momentum"),
        ({"trainer": {"optimizer": {"type": "adam", "nesterov": True}}}, "trainer.optimizer.nesterov"),
        ({"trainer": {"optimizer": {"type": "sgd", "nesterov": True}}}, "trainer.optimizer.nesterov"),
        ({"trainer": {"batch_size": 64, "max_batch_size": 32}}, "trainer.max_batch_size"),
        (
            {"trainer": {"learning_rate_scheduler": {"decay": "cosine", "decay_rate": 0.9}}},
            "trainer.learning_rate_scheduler.decay_rate",
        ),
        ({"backend": {"trainer": {"num_workers": 4}}}, "backend.trainer"),
        (
            {"preprocessing": {"split": {"type": "fixed", "column": "x", "probabilities": [0.7, 0.1, 0.2]}}},
            "preprocessing.split.probabilities",
        ),
        ({"defaults": {"text": {"decoder": {"num_fc_layers": 1}}}}, "defaults.text.decoder.num_fc_layers"),
        ({"defaults": {"number": {"encoder": {"reduce_output": "cls"}}}}, "defaults.number.encoder.reduce_output"),
    ],
)
def test_a_setting_of_training_that_nothing_reads_is_refused(sections: dict[str, Any], field: str) -> None:
    assert list(_refused(_spec("input_features", {"type": "number"}, **sections))) == [field]


@pytest.mark.parametrize(
    "values",
    [
        _spec("input_features", {"type": "text", "encoder": {"dropout": 0.0}, "preprocessing": {"fill_value": "x"}}),
        _spec("input_features", {"type": "number", "preprocessing": {"cache_encoder_embeddings": False}}),
        _spec("output_features", {"type": "number", "decoder": {"calibration": False}}),
        _spec("input_features", {"type": "number"}, trainer={"optimizer": {"momentum": 0.0, "nesterov": False}}),
        _spec("input_features", {"type": "number"}, trainer={"batch_size": 32, "max_batch_size": 64}),
        _spec("input_features", {"type": "number"}, defaults={"category": {"preprocessing": {"most_common": 5}}}),
        _spec(
            "input_features",
            {"type": "category", "encoder": {"type": "onehot"}},
            defaults={"category": {"encoder": {"type": "dense", "embedding_size": 9}}},
        ),
        _spec("output_features", {"type": "category"}, defaults={"category": {"preprocessing": {"most_common": 5}}}),
    ],
)
def test_what_says_what_is_done_anyway_is_accepted(values: dict[str, Any]) -> None:
    assert _refused(values) == {}


def test_a_default_without_what_it_needs_is_refused_at_the_feature() -> None:
    values = _spec("output_features", {"type": "category"}, defaults={"category": {"decoder": {"dropout": 0.5}}})
    assert list(_refused(values)) == ["output_features[0].decoder.dropout"]


def test_every_key_of_a_section_has_a_type_that_reads_it_and_no_other_is_named() -> None:
    sections: dict[str, type[Section]] = {
        "encoder": EncoderSpec,
        "preprocessing": PreprocessingSpec,
        "decoder": DecoderSpec,
        "loss": LossSpec,
    }
    for name, section in sections.items():
        tables = [uses[name] for uses in (INPUT_USES, OUTPUT_USES) if name in uses]
        named = {key for table in tables for keys in table.values() for key in keys.split()}
        assert named == set(section.model_fields) - {"cache_encoder_embeddings"}  # which `validate` judges
