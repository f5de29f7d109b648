"""The last layers of an encoder learn on what those below gave once; the model is served whole, as it was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from headstart_server.core.errors import InvalidInputError
from headstart_server.engines.events import EncodeReport

from tests.support import reviews
from tests.support.continued import Trainings, spec
from tests.support.tiny_models import save_bert

ROWS = reviews.make_rows(160)
LAST = {"trainable": True, "trainable_layers": 1}
WHOLE = {"trainable": True}


@pytest.fixture
def trainings(tmp_path: Path) -> Trainings:
    save_bert(tmp_path / "models" / "tiny-bert", dropout=False)
    return Trainings(tmp_path / "state", tmp_path / "models")


def test_they_learn_and_what_is_below_does_not(trainings: Trainings) -> None:
    bundle, heard = trainings.train(spec(encoder=LAST, epochs=4, learning_rate=3e-3), ROWS)
    assert heard.epochs[-1].validation["loss"] < 0.8 * heard.epochs[0].validation["loss"]
    before, after = trainings.pretrained_state(), trainings.served_state(bundle)
    assert before.keys() == after.keys()
    changed = {
        key.partition(".layer.")[2].partition(".")[0] for key in before if not torch.equal(before[key], after[key])
    }
    assert changed == {"1"}
    assert bundle.encoders["review"].folder == "encoders/0"


def test_what_is_below_is_computed_once(trainings: Trainings) -> None:
    def encoded(**settings: Any) -> list[EncodeReport]:
        _, heard = trainings.train(spec(encoder={**LAST, **settings}, epochs=1), ROWS)
        return [event for event in heard.events if isinstance(event, EncodeReport)]

    first, again = encoded(), encoded()
    assert first[-1].feature == "review (tokens, layer 1)"
    assert first[-1].encoded > len(ROWS)
    assert again[-1].found == again[-1].total == first[-1].total
    assert again[-1].encoded == 0


def test_a_first_epoch_is_that_of_the_whole_encoder_with_its_lower_layers_still(trainings: Trainings) -> None:
    nearly_still = {"learning_rate": 1e-9, "epochs": 1}
    losses: list[float] = []
    for encoder in (LAST, WHOLE):
        _, heard = trainings.train(spec("price", encoder=encoder, **nearly_still), ROWS)
        losses += [heard.epochs[0].train["loss"], heard.epochs[0].validation["loss"]]
    np.testing.assert_allclose(losses[:2], losses[2:], rtol=1e-4)


def test_training_goes_on_from_them(trainings: Trainings) -> None:
    first, before = trainings.train(spec(encoder=LAST, epochs=4, learning_rate=3e-3), ROWS)
    _, after = trainings.train(spec(encoder=LAST, epochs=1, learning_rate=1e-9), ROWS, first.folder.name)
    best = min(report.validation["loss"] for report in before.epochs)
    assert after.epochs[0].validation["loss"] == pytest.approx(best, rel=0.02)


@pytest.mark.parametrize("layers", [2, 5])
def test_as_many_as_there_are_or_more_are_refused(trainings: Trainings, layers: int) -> None:
    with pytest.raises(InvalidInputError) as refused:
        trainings.train(spec(encoder={**LAST, "trainable_layers": layers}), ROWS)
    [violation] = refused.value.violations
    assert violation.field == "input_features[0].encoder.trainable_layers"
    assert "it has 2 layers: train 1 to 1 of them, or all (trainable: true)" in violation.message


@pytest.mark.parametrize(
    ("encoder", "field"),
    [
        ({"trainable": False, "trainable_layers": 1}, "trainable"),
        ({"use_pretrained": False, "trainable": True, "trainable_layers": 1}, "use_pretrained"),
        ({**LAST, "adapter": "lora"}, "trainable_layers"),
    ],
)
def test_what_contradicts_it_is_named(trainings: Trainings, encoder: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        trainings.train(spec(encoder=encoder), ROWS)
    assert [violation.field for violation in refused.value.violations] == [f"input_features[0].encoder.{field}"]


def test_a_job_on_ray_is_refused(trainings: Trainings) -> None:
    with pytest.raises(InvalidInputError, match="is not there on Ray"):
        trainings.train({**spec(encoder=LAST), "backend": {"type": "ray"}}, ROWS)


def test_a_frozen_input_on_the_same_encoder_keeps_its_own_pass(trainings: Trainings) -> None:
    losses = []
    for second in (LAST, WHOLE):
        values = spec(encoder=second, epochs=1, learning_rate=1e-9)
        [text] = values["input_features"]
        frozen = {**text["encoder"], "trainable": False}
        frozen.pop("trainable_layers", None)
        first = {**text, "name": "again", "column": "review", "encoder": frozen}
        values["input_features"] = [{**first, "preprocessing": {"embedding_precision": "fp32"}}, text]
        _, heard = trainings.train(values, ROWS)
        losses.append(heard.epochs[0].validation["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
