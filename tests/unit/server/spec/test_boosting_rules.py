"""What boosted trees cannot do is refused by name, with what to use; and their settings are for them alone."""

from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.spec.parse import parse_values

TEXT = {"name": "text", "type": "text"}
NUMBER = {"name": "size", "type": "number"}
LABEL = {"name": "label", "type": "category"}


def _spec(inputs: list[dict[str, Any]] | None = None, output: dict[str, Any] | None = None, **more: Any) -> Any:
    return {
        "model_type": "gbm",
        "input_features": inputs or [TEXT, NUMBER],
        "output_features": [output or LABEL],
        **more,
    }


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        (_spec([{**TEXT, "encoder": {"trainable": True}}]), "input_features[0].encoder.trainable", "model_type: ecd"),
        (_spec([{**TEXT, "encoder": {"use_pretrained": False}}]), "input_features[0].encoder.use_pretrained", "ecd"),
        (_spec([{**NUMBER, "encoder": {"type": "dense"}}]), "input_features[0].encoder.type", "learned by steps"),
        (
            _spec([{"name": "tags", "type": "set", "encoder": {"type": "embed"}}]),
            "input_features[0].encoder.type",
            "learned by steps",
        ),
        (
            _spec([NUMBER], defaults={"number": {"encoder": {"type": "dense"}}}),
            "input_features[0].encoder.type",
            "learned by steps",
        ),
        (
            _spec([{"name": "photo", "type": "image", "augmentation": [{"type": "random_blur"}]}]),
            "input_features[0].augmentation",
            "once",
        ),
        (
            _spec(output={**LABEL, "decoder": {"num_fc_layers": 1}}),
            "output_features[0].decoder.num_fc_layers",
            "layers",
        ),
        (
            _spec(output={**LABEL, "loss": {"label_smoothing": 0.1}}),
            "output_features[0].loss.label_smoothing",
            "labels",
        ),
        (_spec(combiner={"num_fc_layers": 2}), "combiner.num_fc_layers", "layers"),
        (_spec(combiner={"norm": "ghost"}), "combiner.norm", "layers"),
        (_spec(trainer={"batch_size": 64}), "trainer.batch_size", "by steps"),
        (_spec(trainer={"optimizer": {"type": "sgd"}}), "trainer.optimizer", "by steps"),
        (_spec(trainer={"use_mixed_precision": True}), "trainer.use_mixed_precision", "by steps"),
        (_spec(trainer={"checkpoint": True}), "trainer.checkpoint", "by steps"),
        (_spec(trainer={"boosting": {"bagging_fraction": 0.5}}), "trainer.boosting.bagging_fraction", "bagging_freq"),
        (_spec(trainer={"boosting": {"bagging_freq": 2}}), "trainer.boosting.bagging_freq", "bagging_fraction"),
        (_spec(backend={"type": "ray"}), "backend.type", "local"),
        (_spec(model_type=None, trainer={"boosting": {"num_leaves": 9}}), "trainer.boosting", "model_type: gbm"),
        (_spec(trainer={"boosting": {"num_leaves": 1}}), "trainer.boosting.num_leaves", "greater than or equal to 2"),
        (_spec(trainer={"boosting": {"leaves": 3}}), "trainer.boosting.leaves", "num_leaves"),
    ],
)
def test_it_is_refused(values: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_values(values)
    assert [item for item in caught.value.violations if item.field == field and words in item.message], caught.value


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"trainer": {"epochs": 50, "learning_rate": 0.1, "early_stop": 3, "validation_metric": "accuracy"}},
        {"trainer": {"boosting": {"bagging_fraction": 0.5, "bagging_freq": 1, "max_depth": -1}}},
        {"trainer": {"use_mixed_precision": False, "gradient_accumulation_steps": None}},
        {"combiner": {"type": "concat"}, "backend": {"type": "local"}},
    ],
)
def test_it_is_read(more: dict[str, Any]) -> None:
    assert parse_values(_spec(**more)).boosted
