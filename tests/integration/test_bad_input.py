"""Bad input: a status, a field path and a fix each; afterwards the server serves on."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import headstart
import pytest

from tests.support import reviews

ROWS = reviews.make_rows(60)
Spec = dict[str, Any]


def changed(change: Callable[[Spec], object]) -> Spec:
    """The good spec after a change."""
    spec = copy.deepcopy(reviews.spec())
    change(spec)
    return spec


BAD_SPECS = {
    "unknown encoder": (
        changed(lambda s: s["input_features"][0]["encoder"].update(type="bret")),
        "input_features[0].encoder.type",
        "did you mean 'bert'?",
    ),
    "unknown weights": (
        changed(lambda s: s["input_features"][0]["encoder"].update(pretrained_model_name_or_path="tiny-brt")),
        "input_features[0].encoder.pretrained_model_name_or_path",
        "did you mean 'tiny-bert'?",
    ),
    "weights outside the root": (
        changed(lambda s: s["input_features"][0]["encoder"].update(pretrained_model_name_or_path="../../etc")),
        "input_features[0].encoder.pretrained_model_name_or_path",
        "without '..'",
    ),
    "misspelt key": (changed(lambda s: s["trainer"].update(epoch=3)), "trainer.epoch", "did you mean 'epochs'?"),
    "misspelt feature key": (
        changed(lambda s: s["input_features"][1].update(preprocesing={})),
        "input_features[1].preprocesing",
        "did you mean 'preprocessing'?",
    ),
    "missing column": (
        changed(lambda s: s["input_features"][1].update(name="prise")),
        "input_features[1].name",
        "did you mean 'price'?",
    ),
    "cache of a trainable encoder": (
        changed(
            lambda s: s["input_features"][0].update(
                encoder={**s["input_features"][0]["encoder"], "trainable": True},
                preprocessing={"cache_encoder_embeddings": True},
            )
        ),
        "input_features[0].preprocessing.cache_encoder_embeddings",
        "set encoder.trainable to false",
    ),
    "wrong type": (changed(lambda s: s["trainer"].update(epochs="five")), "trainer.epochs", "integer"),
    "wrong shape": (changed(lambda s: s.update(trainer=[1])), "trainer", "mapping"),
    "zero": (
        changed(lambda s: s["trainer"].update(learning_rate=0.0)),
        "trainer.learning_rate",
        "greater than 0",
    ),
    "negative": (
        changed(lambda s: s["trainer"].update(batch_size=-1)),
        "trainer.batch_size",
        "greater than or equal to 1",
    ),
    "no outputs": (changed(lambda s: s.update(output_features=[])), "output_features", "at least one"),
    "text output": (
        changed(lambda s: s["output_features"][0].update(type="text")),
        "output_features[0].type",
        "use category",
    ),
    "too long": (
        changed(lambda s: s["input_features"][0].update(preprocessing={"max_sequence_length": 4096})),
        "input_features[0].preprocessing.max_sequence_length",
        "40 tokens",
    ),
    "unknown metric": (
        changed(lambda s: s["trainer"].update(validation_metric="acuracy")),
        "trainer.validation_metric",
        "did you mean 'verdict.accuracy'?",
    ),
    "words as numbers": (
        changed(lambda s: s["input_features"][2].update(type="number")),
        "input_features[2]",
        "use type category",
    ),
    "weights of an unknown label": (
        changed(lambda s: s["output_features"][0].update(loss={"class_weights": {"postive": 2.0}})),
        "output_features[0].loss.class_weights",
        "did you mean 'positive'?",
    ),
    "weights without weight": (
        changed(lambda s: s["output_features"][0].update(loss={"class_weights": {"positive": 0.0, "negative": 0.0}})),
        "output_features[0].loss.class_weights.positive",
        "greater than or equal to",
    ),
    "a setting that nothing reads": (
        changed(lambda s: s["output_features"][0].update(decoder={"threshold": 0.3})),
        "output_features[0].decoder.threshold",
        "is for binary, set outputs, not category",
    ),
    "a name of several lines": (
        changed(lambda s: s["input_features"][1].update(name="pri\nce", column="price")),
        "input_features[1].name",
        "give a plain name",
    ),
    "strata of one row": (
        changed(lambda s: s.update(preprocessing={"split": {"type": "stratify", "column": "review"}})),
        "preprocessing.split.column",
        "choose a column whose values repeat",
    ),
    "workers without a backend": (
        changed(lambda s: s.update(backend={"trainer": {"num_workers": 4}})),
        "backend.trainer",
        "'local' has none",
    ),
}


@pytest.mark.parametrize("case", BAD_SPECS)
def test_bad_spec_names_field_and_fix(case: str, client: headstart.Client) -> None:
    spec, field, fix = BAD_SPECS[case]
    with pytest.raises(headstart.InvalidArgument) as refused:
        client.train(spec, headstart.ServerPath("reviews.csv"))
    found = {violation.field: violation.description for violation in refused.value.violations}
    assert field in found
    assert fix in found[field]
    assert refused.value.reason


BAD_TEXTS = {
    "nested 10,000 deep": ("a: " + "[" * 10_000, "nested more than"),
    "alias bomb": ("a: &a [x]\nb: *a", "aliases"),
    "not YAML": ("a: b: c:", "line 1"),
    "a list": ("- 1", "must be a mapping"),
    "repeated key": ("trainer: {}\ntrainer: {}", "repeated"),
    "tag": ("a: !!python/object/apply:os.system ['true']", "not valid YAML"),
    "too large": ("a: " + "x" * (1 << 20), "larger than"),
    "half a character": ('{"\\ud83d": 1}', "both halves"),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_bad_text_is_refused(case: str, client: headstart.Client) -> None:
    text, fix = BAD_TEXTS[case]
    with pytest.raises(headstart.InvalidArgument) as refused:
        client.train(text, headstart.ServerPath("reviews.csv"))
    assert refused.value.violations[0].field == "spec_yaml"
    assert fix in refused.value.violations[0].description


def test_a_number_that_is_none_is_refused_by_field(client: headstart.Client) -> None:
    text = json.dumps(reviews.spec()).replace('"epochs": 3', '"epochs": 3, "learning_rate": .nan')
    with pytest.raises(headstart.InvalidArgument, match=r"trainer\.learning_rate: nan: input should be a finite"):
        client.train(text, headstart.ServerPath("reviews.csv"))


def test_a_spec_in_json_with_escaped_characters_is_read(client: headstart.Client) -> None:
    text = json.dumps(changed(lambda s: s["input_features"][1].update(name="price 😀")), indent="\t")
    with pytest.raises(headstart.InvalidArgument, match=r"input_features\[1\]\.name: column 'price 😀' is not in"):
        client.train(text, headstart.ServerPath("reviews.csv"))


def test_many_mistakes_are_counted(client: headstart.Client) -> None:
    text = json.dumps({f"key{number}": 1 for number in range(10_000)})
    with pytest.raises(headstart.InvalidArgument) as refused:
        client.train(text, headstart.ServerPath("reviews.csv"))
    *listed, last = refused.value.violations  # as many as fit into trailers that every client takes
    assert len(listed) > 10
    assert last.description == f"and {10_000 - len(listed)} more; correct these first"


def with_cells(column: str, cells: Callable[[int], str]) -> list[reviews.Row]:
    return [{**row, column: cells(index)} for index, row in enumerate(ROWS)]


BAD_ROWS = {
    "one class": (with_cells("verdict", lambda _: "positive"), "output_features[0]", "one class only"),
    "no labels": (with_cells("verdict", lambda _: ""), "output_features", "rows with labels"),
    "empty column": (with_cells("price", lambda _: ""), "input_features[1]", "has no value"),
    "infinite": (
        with_cells("price", lambda index: "inf" if index == 16 else "1"),
        "input_features[1]",
        "row 17 of dataset",
    ),
    "too large": (
        with_cells("price", lambda index: "1e999" if index == 3 else "1"),
        "input_features[1]",
        "row 4 of dataset",
    ),
    "word": (
        with_cells("price", lambda index: "cheap" if index == 9 else "1"),
        "input_features[1]",
        "row 10 of dataset",
    ),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_are_named(case: str, client: headstart.Client, tmp_path: Path) -> None:
    rows, field, fix = BAD_ROWS[case]
    with pytest.raises(headstart.InvalidArgument) as refused:
        client.train(reviews.spec(), reviews.write_csv(tmp_path / "rows.csv", rows))
    assert refused.value.violations[0].field == field
    assert fix in refused.value.violations[0].description


def test_label_unseen_in_training_is_named(client: headstart.Client, tmp_path: Path) -> None:
    train = reviews.write_csv(tmp_path / "train.csv", ROWS)
    test = reviews.write_csv(
        tmp_path / "test.csv", with_cells("verdict", lambda index: "maybe" if index == 4 else "positive")
    )
    with pytest.raises(headstart.InvalidArgument) as refused:
        client.train(reviews.spec(), train, test=test)
    assert refused.value.violations[0].field == "output_features[0]"
    assert "row 5 of test_dataset" in refused.value.violations[0].description
    assert "'maybe'" in refused.value.violations[0].description


@pytest.mark.parametrize("path", ["../secret.csv", "/etc/passwd", "a/../../b.csv", "nothing.csv", "\0", ""])
def test_path_outside_the_data_root_is_refused(path: str, client: headstart.Client) -> None:
    with pytest.raises(headstart.InvalidArgument) as refused:
        client.train(reviews.spec(), headstart.ServerPath(path))
    assert refused.value.violations[0].field == "dataset.path"
    assert "/etc" not in str(refused.value).replace(path, "")


def test_symlink_out_of_the_data_root_is_refused(client: headstart.Client, data_root: Path, tmp_path: Path) -> None:
    reviews.write_csv(tmp_path / "outside.csv", ROWS)
    (data_root / "link.csv").symlink_to(tmp_path / "outside.csv")
    with pytest.raises(headstart.InvalidArgument, match="leaves the configured root"):
        client.train(reviews.spec(), headstart.ServerPath("link.csv"))


def test_300_megabytes_in_one_message_are_refused(client: headstart.Client) -> None:
    with pytest.raises(headstart.ResourceExhausted):
        client.predict("models/x", {"review": ["x" * (300 << 20)]})


def test_unknown_names_are_not_found(client: headstart.Client) -> None:
    with pytest.raises(headstart.NotFound, match="does not exist"):
        client.predict("models/nothing", {"review": ["x"]})
    with pytest.raises(headstart.NotFound):
        client.watch("trainJobs/nothing").result()
    with pytest.raises(headstart.InvalidArgument, match="not a resource name"):
        client.models.get("models/../../etc")


def test_bad_rows_to_predict_are_named(client: headstart.Client) -> None:
    model = client.train(reviews.spec(epochs=1), headstart.ServerPath("reviews.csv")).result().model
    good = reviews.columns(ROWS[:3], "review", "price", "category")
    with pytest.raises(headstart.InvalidArgument, match="column 'price' is not in table"):
        client.predict(model, {"review": good["review"], "category": good["category"]})
    with pytest.raises(headstart.InvalidArgument, match="row 2: 'dear' is not a number"):
        client.predict(model, {**good, "price": ["1", "dear", "2"]})
    with pytest.raises(headstart.InvalidArgument, match="finite"):
        client.predict(model, {**good, "price": ["1", "inf", "2"]})
    assert len(client.predict(model, good)["verdict"].values) == 3


def test_the_server_serves_on(client: headstart.Client) -> None:
    assert client.train(reviews.spec(epochs=1), headstart.ServerPath("reviews.csv")).result().model
