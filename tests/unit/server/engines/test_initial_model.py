"""Training goes on from a published model: with its weights, its statistics and its classes, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from headstart_server.core.errors import InvalidInputError, NotFoundError
from headstart_server.core.reasons import Reason
from headstart_server.data.features.category import CategoryStatistics
from headstart_server.data.tables import Sources
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text import load_encoder
from headstart_server.engines.assembly import Assembly
from headstart_server.engines.fitting import Fitting
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.preparing import prepare_job
from headstart_server.model.bundle import Bundle
from headstart_server.spec.parse import parse_values

from tests.support import reviews
from tests.support.continued import TYPES, Heard, Trainings, spec, table_of
from tests.support.image_exports import read_rows, write_rows
from tests.support.tiny_models import save_bert
from tests.support.tiny_vision import SAVERS

ROWS = reviews.make_rows(160)
NEARLY_STILL = {"learning_rate": 1e-9, "epochs": 1}
"""So that the loss of the first epoch is that of the weights that it begins with."""
FROZEN, TRAINED = {"trainable": False}, {"trainable": True}


@pytest.fixture
def trainings(tmp_path: Path) -> Trainings:
    save_bert(tmp_path / "models" / "tiny-bert")
    return Trainings(tmp_path / "state", tmp_path / "models")


def differs(trainings: Trainings, values: dict[str, Any], rows: list[reviews.Row], model: str) -> list[str]:
    """The fields in which a job is refused."""
    with pytest.raises(InvalidInputError) as refused:
        trainings.train(values, rows, model)
    assert refused.value.reason == Reason.INITIAL_MODEL_DIFFERS
    assert f"models/{model}" in str(refused.value)
    return [violation.field for violation in refused.value.violations]


def name(bundle: Bundle) -> str:
    return bundle.folder.name


@pytest.mark.parametrize("encoder", [None, FROZEN, TRAINED], ids=["tabular", "frozen", "fine-tuned"])
def test_the_first_loss_is_the_last_of_the_model_that_it_begins_from(
    trainings: Trainings, encoder: dict[str, Any] | None
) -> None:
    rate = 3e-3 if encoder else 3e-2
    first, before = trainings.train(spec(*TYPES, encoder=encoder, epochs=6, learning_rate=rate), ROWS)
    begun = spec(*TYPES, encoder=encoder, **NEARLY_STILL)
    second, after = trainings.train(begun, ROWS, name(first))
    best = min(report.validation["loss"] for report in before.epochs)
    _, anew = trainings.train(begun, ROWS)
    assert after.epochs[0].validation["loss"] == pytest.approx(best, rel=0.02)
    assert anew.epochs[0].validation["loss"] > 1.5 * best
    assert second.details["initial_model"] == name(first)
    for key, value in first.learned_state().items():
        torch.testing.assert_close(second.learned_state()[key], value, atol=1e-5, rtol=1e-5)


def test_an_encoder_goes_on_from_its_fine_tuned_weights(trainings: Trainings) -> None:
    first, _ = trainings.train(spec(encoder=TRAINED, epochs=2, learning_rate=1e-3), ROWS)
    second, _ = trainings.train(spec(encoder=TRAINED, **NEARLY_STILL), ROWS, name(first))
    tuned = first.encoder("review", trainings.runtime.encoder_store).state_dict()
    kept = second.encoder("review", trainings.runtime.encoder_store).state_dict()
    pretrained = trainings.runtime.sources.find("tiny-bert", None, "")
    assert isinstance(pretrained, ModelSource)
    plain = load_encoder(pretrained, "mean", use_pretrained=True, field="").state_dict()
    torch.testing.assert_close(kept, tuned, atol=1e-5, rtol=1e-5)
    assert any(not torch.allclose(tuned[key], plain[key], atol=1e-4) for key in plain)


def test_a_model_whose_encoder_is_read_in_parts_begins_with_the_same_weights(trainings: Trainings) -> None:
    first, _ = trainings.train(spec("price", encoder=TRAINED, epochs=1, learning_rate=1e-3), ROWS)
    sources, runtime = Sources((table_of(ROWS),), ("dataset",)), trainings.runtime
    again = parse_values(spec("price", encoder=TRAINED))
    plan = prepare_job(JobContext("j", "", again, sources, initial_model=name(first)), runtime, Heard()).plan
    model = Assembly(plan.spec, plan.inputs, plan.data, {}, runtime, initial=plan.initial).model(in_parts=True)
    [item] = model.pretrained().values()
    assert item.deferred is not None
    item.read(torch.device("cpu"))
    expected = first.model(runtime.encoder_store, with_encoders=True).state_dict()
    found = model.state_dict()
    assert found.pop("head.decoders.0.temperature").item() == 1.0
    torch.testing.assert_close(found, {key: value for key, value in expected.items() if key in found})
    assert expected.keys() - found.keys() == {"head.decoders.0.temperature"}


@pytest.mark.parametrize(
    "encoder",
    [
        {"type": "auto_transformer", "pretrained_model_name_or_path": "vit", "trainable": False},
        {"type": "auto_transformer", "pretrained_model_name_or_path": "vit", "trainable": True},
        {"type": "mobilenetv3", "model_variant": "small", "use_pretrained": False},
    ],
    ids=["frozen", "fine-tuned", "torchvision's"],
)
def test_training_on_images_goes_on(trainings: Trainings, tmp_path: Path, encoder: dict[str, Any]) -> None:
    SAVERS["vit"](tmp_path / "models" / "vit")
    table = read_rows(write_rows(tmp_path / "photos", 24))
    values = {
        "input_features": [{"name": "photo", "type": "image", "encoder": encoder}],
        "output_features": [{"name": "kind", "type": "category"}],
        "trainer": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3},
    }
    first, _ = trainings.train(values, table)
    second, _ = trainings.train({**values, "trainer": {**NEARLY_STILL, "batch_size": 24}}, table, name(first))
    for key, value in first.learned_state().items():
        torch.testing.assert_close(second.learned_state()[key], value, atol=1e-5, rtol=1e-5)
    before, after = (each.encoder("photo", trainings.runtime.encoder_store).state_dict() for each in (first, second))
    weights = {key: value for key, value in before.items() if "running" not in key and "tracked" not in key}
    torch.testing.assert_close({key: after[key] for key in weights}, weights, atol=1e-5, rtol=1e-4)


def test_a_frozen_encoder_may_be_trained_from_there_but_not_the_other_way(trainings: Trainings) -> None:
    frozen, _ = trainings.train(spec(encoder=FROZEN, epochs=6, learning_rate=3e-3), ROWS)
    tuned, heard = trainings.train(spec(encoder=TRAINED, **NEARLY_STILL), ROWS, name(frozen))
    anew = trainings.train(spec(encoder=TRAINED, **NEARLY_STILL), ROWS)[1]
    assert heard.epochs[0].validation["loss"] < anew.epochs[0].validation["loss"]
    assert differs(trainings, spec(encoder=FROZEN), ROWS, name(tuned)) == ["input_features[0].encoder.trainable"]


def test_more_rows_and_more_epochs_improve_it(trainings: Trainings) -> None:
    columns, more = ("price", "category"), reviews.make_rows(300, seed=5)
    first, before = trainings.train(spec(*columns, encoder=FROZEN, epochs=1, learning_rate=1e-3), ROWS[:60])
    longer = spec(*columns, encoder=FROZEN, epochs=8, learning_rate=3e-3)
    _, after = trainings.train(longer, more, name(first))
    losses = [min(each.validation["loss"] for each in heard.epochs) for heard in (before, after)]
    assert losses[1] < losses[0]
    assert after.epochs[-1].validation["verdict.accuracy"] > 0.9


def test_statistics_and_vocabularies_are_those_of_the_model(trainings: Trainings) -> None:
    first, _ = trainings.train(spec("price", "category", epochs=1), ROWS)
    other = [{**row, "price": str(1_000 + index), "category": "western"} for index, row in enumerate(ROWS)]
    second, _ = trainings.train(spec("price", "category", epochs=1), other, name(first))
    for before, after in zip((*first.inputs, *first.outputs), (*second.inputs, *second.outputs), strict=True):
        assert after.statistics == before.statistics
    statistics = second.inputs[1].statistics
    assert isinstance(statistics, CategoryStatistics) and "western" not in statistics.vocabulary


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"inputs": ("category", "price")}, ["input_features"]),
        ({"inputs": ("price",)}, ["input_features"]),
        ({"price": {"type": "category"}}, ["input_features[0].type"]),
        ({"price": {"preprocessing": {"normalization": "minmax"}}}, ["input_features[0].preprocessing.normalization"]),
        ({"category": {"encoder": {"embedding_size": 3}}}, ["input_features[1].encoder.embedding_size"]),
        ({"verdict": {"decoder": {"num_fc_layers": 1}}}, ["output_features[0].decoder.num_fc_layers"]),
        ({"combiner": {"num_fc_layers": 2}}, ["combiner.num_fc_layers"]),
        (
            {"price": {"preprocessing": {"normalization": "iq"}}, "combiner": {"norm": "batch"}},
            ["input_features[0].preprocessing.normalization", "combiner.norm"],
        ),
    ],
)
def test_what_differs_is_refused_by_name(trainings: Trainings, change: dict[str, Any], fields: list[str]) -> None:
    first, _ = trainings.train(spec("price", "category", epochs=1), ROWS)
    values = spec(*change.get("inputs", ("price", "category")), epochs=1)
    for feature in (*values["input_features"], *values["output_features"]):
        feature |= change.get(feature["name"], {})
    values |= {key: value for key, value in change.items() if key == "combiner"}
    assert differs(trainings, values, ROWS, name(first)) == fields


@pytest.mark.parametrize(("column", "value"), [("verdict", "mixed"), ("watched", "perhaps"), ("point", "0.1 0.2 0.3")])
def test_labels_and_sizes_that_the_model_does_not_know_are_refused(
    trainings: Trainings, column: str, value: str
) -> None:
    first, _ = trainings.train(spec("watched", "point", epochs=1), ROWS)
    other = [{**row, column: value} if column == "point" or index % 9 == 0 else row for index, row in enumerate(ROWS)]
    [field] = differs(trainings, spec("watched", "point", epochs=1), other, name(first))
    assert (
        field == {"verdict": "output_features[0]", "watched": "input_features[0]", "point": "input_features[1]"}[column]
    )


def test_other_weights_are_refused(trainings: Trainings, tmp_path: Path) -> None:
    save_bert(tmp_path / "models" / "other", seed=1)
    first, _ = trainings.train(spec(encoder=FROZEN, epochs=1), ROWS)
    values = spec(encoder={**FROZEN, "pretrained_model_name_or_path": "other"}, epochs=1)
    fields = differs(trainings, values, ROWS, name(first))
    assert fields == ["input_features[0].encoder.pretrained_model_name_or_path"]
    shorter = spec(encoder=FROZEN, epochs=1)
    shorter["input_features"][0]["preprocessing"] = {"max_sequence_length": 9}
    assert differs(trainings, shorter, ROWS, name(first)) == ["input_features[0].preprocessing.max_sequence_length"]


def test_the_spec_that_a_model_tells_goes_on_from_it(trainings: Trainings) -> None:
    first, _ = trainings.train(spec(*TYPES, encoder=FROZEN, epochs=1), ROWS)
    resolved = first.spec.compact()
    second, _ = trainings.train({**resolved, "trainer": {"epochs": 1}}, ROWS, name(first))
    third, _ = trainings.train({**second.spec.compact(), "trainer": {"epochs": 1}}, ROWS, name(second))
    assert third.details["initial_model"] == name(second)


def test_a_checkpoint_wins_over_the_model_that_the_job_begins_from(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart_server.engines.fitting._CHECKPOINT_SECONDS", 0.0)
    first, _ = trainings.train(spec("price", epochs=1), ROWS)
    values, run = spec("price", epochs=4, learning_rate=1e-2), Fitting.run
    with monkeypatch.context() as patched:
        # publishing fails: the job is cut off with all its epochs done
        patched.setattr(Fitting, "run", lambda fitting: (run(fitting), 1 / 0))
        with pytest.raises(ZeroDivisionError):
            trainings.train(values, ROWS, name(first), "job")
    whole, _ = trainings.train(values, ROWS, name(first), "other")
    resumed, heard = trainings.train(values, ROWS, name(first), "job")
    assert len(heard.epochs) == 0
    for key, value in whole.learned_state().items():
        torch.testing.assert_close(resumed.learned_state()[key], value)


def test_a_model_that_is_gone_fails_the_job_with_its_field(trainings: Trainings) -> None:
    with pytest.raises(NotFoundError, match="models/0000 does not exist") as missing:
        trainings.train(spec("price"), ROWS, "0000")
    assert missing.value.field == "initial_model"
