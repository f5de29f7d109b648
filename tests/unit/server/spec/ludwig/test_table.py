"""A file in another or older spelling of Ludwig's is the same spec, says so, or is refused with what to use."""

import contextlib
import json
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.spec.ludwig.rewriting import MAX_NOTES, Reading, sections
from headstart_server.spec.ludwig.table import SPELLINGS, with_current_spelling
from headstart_server.spec.parse import parse_yaml

from tests.support.specs import spec_input, spec_output, spec_with

TWO = [{"name": "a", "type": "number"}, {"name": "tags", "type": "set"}]


def parsed(values: dict[str, Any]) -> dict[str, Any]:
    return parse_yaml(json.dumps(values)).model_dump(exclude={"notes"})


@pytest.mark.parametrize(
    ("old", "current"),
    [
        (spec_with(model_type="ecd", ludwig_version="0.8.1"), spec_with()),
        (spec_with(training={"epochs": 3}), spec_with(trainer={"epochs": 3})),
        (spec_input(encoder="bert", trainable=True), spec_input(encoder={"type": "bert", "trainable": True})),
        (
            spec_input(encoder="auto_transformer", pretrained_model_name_or_path="x/y", reduce_output="mean"),
            spec_input(
                encoder={"type": "auto_transformer", "pretrained_model_name_or_path": "x/y", "reduce_output": "mean"}
            ),
        ),
        (
            spec_with(preprocessing={"text": {"lowercase": True}}),
            spec_with(defaults={"text": {"preprocessing": {"lowercase": True}}}),
        ),
        (
            spec_with(preprocessing={"force_split": True, "split_probabilities": [0.8, 0.1, 0.1]}),
            spec_with(preprocessing={"split": {"type": "random", "probabilities": [0.8, 0.1, 0.1]}}),
        ),
        (
            spec_with(preprocessing={"stratify": "label"}),
            spec_with(preprocessing={"split": {"type": "stratify", "column": "label"}}),
        ),
        (
            spec_with(preprocessing={"split": {"type": "fixed"}}),
            spec_with(preprocessing={"split": {"type": "fixed", "column": "split"}}),
        ),
        (
            spec_with(combiner={"type": "concat", "fc_layers": [{"fc_size": 64, "dropout": 0.1}] * 2}),
            spec_with(combiner={"type": "concat", "fc_layers": [{"output_size": 64, "dropout": 0.1}] * 2}),
        ),
        (
            spec_output(fc_layers=[{"output_size": 32}], calibration=False),
            spec_output(decoder={"fc_layers": [{"output_size": 32}], "calibration": False}),
        ),
        (
            spec_output(decoder={"type": "classifier"}, calibration={"type": "temperature_scaling"}),
            spec_output(decoder={"calibration": True}),
        ),
        (
            spec_with(trainer={"optimizer": "adam", "validation_field": "label", "validation_metric": "accuracy"}),
            spec_with(trainer={"optimizer": {"type": "adam"}, "validation_metric": "label.accuracy"}),
        ),
        (
            spec_with(
                input_features=[
                    {"name": "a", "type": "numerical", "active": True, "tied": None},
                    {"name": "tags", "type": "set", "preprocessing": {"tokenizer": "comma"}},
                ]
            ),
            spec_with(input_features=[TWO[0], {**TWO[1], "preprocessing": {"separator": ","}}]),
        ),
        (
            spec_with(input_features=[{"name": "i", "type": "image", "preprocessing": {"height": 28, "width": 28}}]),
            spec_with(input_features=[{"name": "i", "type": "image"}]),
        ),
        (
            spec_with(preprocessing={"image": {"num_channels": 3}, "set": {"tokenizer": "space"}}),
            spec_with(defaults={"image": {"preprocessing": {}}, "set": {"preprocessing": {"separator": " "}}}),
        ),
        (
            spec_with(trainer={"bucketing_field": "review", "reduce_learning_rate_on_plateau": 0.0}),
            spec_with(trainer={"learning_rate_scheduler": {"reduce_on_plateau": 0}}),
        ),
        (
            spec_with(trainer={"validation_field": "label", "validation_metric": "loss"}),
            spec_with(trainer={"validation_metric": "loss"}),
        ),
        (
            spec_with(trainer={"enable_gradient_checkpointing": True, "increase_batch_size_on_plateau": 0}),
            spec_with(),
        ),
        (
            spec_with(trainer={"enable_gradient_checkpointing": True}, backend={"type": "ray"}),
            spec_with(backend={"type": "ray", "trainer": {"activation_checkpointing": True}}, trainer={}),
        ),
        (
            spec_with(
                trainer={"effective_batch_size": 64, "batch_size": 8},
                backend={"type": "ray", "trainer": {"num_workers": 4}},
            ),
            spec_with(
                trainer={"gradient_accumulation_steps": 2, "batch_size": 8},
                backend={"type": "ray", "trainer": {"num_workers": 4}},
            ),
        ),
        (
            # what a file has that was written out with every default
            spec_with(
                trainer={
                    "type": "trainer",
                    "train_steps": None,
                    "regularization_type": "l2",
                    "regularization_lambda": 0.0,
                    "max_batch_size": 1_048_576,
                    "steps_per_checkpoint": 0,
                    "checkpoints_per_epoch": 0,
                    "increase_batch_size_on_plateau": 0,
                    "increase_batch_size_on_plateau_patience": 5,
                    "increase_batch_size_eval_metric": "loss",
                    "gradient_clipping": {"clipglobalnorm": 0.5, "clipnorm": None, "clipvalue": None},
                    "optimizer": {"type": "adam", "betas": [0.9, 0.999], "amsgrad": False, "eps": 1e-08},
                    "learning_rate_scheduler": {
                        "decay": None,
                        "decay_rate": 0.96,
                        "decay_steps": 10_000,
                        "staircase": False,
                        "reduce_on_plateau": 0,
                        "reduce_on_plateau_patience": 10,
                        "reduce_eval_metric": "loss",
                        "reduce_eval_split": "training",
                        "t_0": None,
                        "t_mult": 1,
                        "eta_min": 0,
                        "warmup_evaluations": 0,
                        "warmup_fraction": 0.0,
                    },
                }
            ),
            spec_with(
                trainer={
                    "regularization_lambda": 0.0,
                    "max_batch_size": 1_048_576,
                    "steps_per_checkpoint": 0,
                    "checkpoints_per_epoch": 0,
                    "gradient_clipping": {"clipglobalnorm": 0.5},
                    "optimizer": {"type": "adam", "betas": [0.9, 0.999], "amsgrad": False, "eps": 1e-08},
                    "learning_rate_scheduler": {
                        "decay": "constant",
                        "reduce_on_plateau": 0,
                        "warmup_evaluations": 0,
                        "warmup_fraction": 0.0,
                    },
                }
            ),
        ),
    ],
)
def test_another_spelling_is_the_same_spec(old: dict[str, Any], current: dict[str, Any]) -> None:
    assert parsed(old) == parsed(current)


@pytest.mark.parametrize(
    ("values", "field", "word"),
    [
        (spec_with(model_type="forest"), "model_type", "gbm"),
        (spec_with(model_type="llm"), "model_type", "text input"),
        (spec_with(hyperopt={"parameters": {}}), "hyperopt.parameters", "no setting"),
        (
            spec_with(hyperopt={"parameters": {"trainer.epochs": {"space": ["x"]}}}),
            "hyperopt.parameters.trainer.epochs",
            "choice",
        ),
        (
            spec_with(hyperopt={"parameters": {"trainer.epochs": {"categories": [1]}}, "search_alg": {"type": ["x"]}}),
            "hyperopt.search_alg.type",
            "optuna",
        ),
        (
            spec_with(hyperopt={"parameters": {"trainer.epochs": {"categories": [1]}}, "split": "test"}),
            "hyperopt.split",
            "validation",
        ),
        (spec_input(trainable=True, encoder={"trainable": False}), "input_features[0].trainable", "keep"),
        (spec_output(decoder={"type": "tagger"}), "output_features[0].decoder.type", "classifier"),
        (spec_output(calibration="platt"), "output_features[0].calibration", "temperature_scaling"),
        (
            spec_with(
                output_features=[{"name": name, "type": "number"} for name in "ab"], trainer={"validation_field": "a"}
            ),
            "trainer.validation_field",
            "all outputs together",
        ),
        (spec_with(training={"epoch": 1}), "training.epoch", "read as trainer.epoch"),
        (
            spec_with(trainer={"learning_rate": 0.1, "optimizer": {"lr": 0.2}}),
            "trainer.optimizer.lr",
            "keep learning_rate",
        ),
        (spec_with(trainer={"optimizer": "lion"}), "trainer.optimizer", "use adamw"),
        (spec_with(trainer={"optimizer": {"type": "lbfgs"}}), "trainer.optimizer.type", "use adamw"),
        (spec_with(trainer={"optimizer": "paged_adamw_8bit"}), "trainer.optimizer", "use adamw"),
        (spec_with(trainer={"optimizer": "sgd_8bit"}), "trainer.optimizer", "use sgd"),
        (spec_with(trainer={"optimizer": {"type": "adam", "momentum": 0.9}}), "trainer.optimizer.momentum", "sgd"),
        (
            spec_with(trainer={"increase_batch_size_on_plateau": 2}),
            "trainer.increase_batch_size_on_plateau",
            "reduce_on_plateau",
        ),
        (
            spec_with(trainer={"batch_size": 8, "effective_batch_size": 20}),
            "trainer.effective_batch_size",
            "no multiple of 8",
        ),
        (
            spec_with(trainer={"decay": True, "learning_rate_scheduler": {"decay": "linear"}}),
            "trainer.decay",
            "keep learning_rate_scheduler.decay",
        ),
        (
            spec_with(trainer={"steps_per_checkpoint": 5, "checkpoints_per_epoch": 2}),
            "trainer.checkpoints_per_epoch",
            "excludes steps_per_checkpoint",
        ),
        (
            spec_with(trainer={"learning_rate": 0.1, "learning_rate_scheduler": {"decay": "cosine", "eta_min": 0.1}}),
            "trainer.learning_rate_scheduler.eta_min",
            "below learning_rate",
        ),
        (
            spec_with(preprocessing={"oversample_minority": 0.5, "undersample_majority": 0.5}),
            "preprocessing.undersample_majority",
            "excludes oversample_minority",
        ),
        (
            spec_with(preprocessing={"oversample_minority": 0.5}, output_features=[{"name": "n", "type": "number"}]),
            "preprocessing.oversample_minority",
            "exactly one category or binary output",
        ),
        (
            spec_output(loss={"balance_classes": True}) | {"preprocessing": {"undersample_majority": 0.5}},
            "preprocessing.undersample_majority",
            "balance_classes",
        ),
        (spec_with(preprocessing={"sample_size": 5, "sample_ratio": 0.5}), "preprocessing.sample_size", "sample_ratio"),
    ],
)
def test_what_means_nothing_here_is_refused_with_what_to_use(values: dict[str, Any], field: str, word: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_yaml(json.dumps(values))
    assert any(item.field == field and word in item.message for item in caught.value.violations)


def test_each_thing_read_otherwise_is_noted_and_the_given_values_stay() -> None:
    values = spec_with(training={"bucketing_field": "review"})
    written, reading = with_current_spelling(values)
    assert written["trainer"] == {} and "training" in values
    assert reading.notes == [
        "training: read as trainer",
        "trainer.bucketing_field: has no effect: texts that an encoder reads while it trains are batched by length, "
        "if rows are shuffled",
    ]


def test_a_current_file_has_no_notes() -> None:
    assert parse_yaml(json.dumps(spec_with(trainer={"epochs": 2}))).notes == []


def test_notes_are_bounded() -> None:
    features = [{"name": f"n{index}", "type": "numerical"} for index in range(200)]
    assert len(with_current_spelling(spec_with(input_features=features))[1].notes) == MAX_NOTES


@pytest.mark.parametrize("odd", [None, 3, "x", [], [1], {"a": 1}])
def test_odd_values_are_refused_or_read_and_never_crash(odd: Any) -> None:
    for row in SPELLINGS:
        value: Any = {row.key: odd, "type": odd}
        for part in reversed(row.section.split(".") if row.section else []):
            value = {part.removesuffix("[]"): [value] if part.endswith("[]") else value}
        for section, path in sections(value, row.section):
            row.write(section, f"{path}.{row.key}", Reading())
    for name in sorted({row.section for row in SPELLINGS}):
        value = {row.key: odd for row in SPELLINGS if row.section == name}
        for part in reversed(name.split(".") if name else []):
            value = {part.removesuffix("[]"): [value] if part.endswith("[]") else value}
        with contextlib.suppress(InvalidInputError):
            parse_yaml(json.dumps({**spec_with(), **value}))
