"""Whole suggestions: which columns, which encoder, what is warned of, and the file."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from headstart_server.core.errors import InvalidInputError
from headstart_server.core.reasons import ColumnReason, Notice
from headstart_server.data.images.files import FolderFiles
from headstart_server.encoders.sources import ModelSources
from headstart_server.spec.parse import parse_yaml
from headstart_server.suggestion.commented import commented
from headstart_server.suggestion.profile import LEAST_ROWS, MOST_ROWS, sampled
from headstart_server.suggestion.suggest import suggest
from headstart_server.suggestion.weights import image_weights, text_weights
from hypothesis import given
from hypothesis import strategies as st

from tests.support import reviews
from tests.support.images import encoded, picture
from tests.support.tiny_models import save_bert
from tests.support.tiny_vision import save_vit
from tests.unit.server.suggestion.conftest import Suggest, table_with

DRAWN = random.Random(5)
TEXTS = [f"the {DRAWN.choice(['soup', 'bread', 'tea'])} was number {number}, said who came" for number in range(300)]
LABELS = [DRAWN.choice(["good", "bad"]) for _ in TEXTS]


def columns_of_reviews() -> dict[str, Sequence[Any]]:
    rows = reviews.make_rows(300)
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_every_column_has_its_part(suggested: Suggest) -> None:
    columns = {
        "id": list(range(300)),
        "note": TEXTS,
        "label": LABELS,
        "copy": TEXTS,
        "size": [n % 70 for n in range(300)],
    }
    found = suggested(columns, "label")
    assert [(item.name, item.type, item.target) for item in found.findings] == [
        ("id", "", False),
        ("note", "text", False),
        ("label", "category", True),
        ("copy", "", False),
        ("size", "number", False),
    ]
    assert [feature.name for feature in found.spec.input_features] == ["note", "size"]
    assert [feature.name for feature in found.spec.output_features] == ["label"]
    encoder = found.spec.input_features[0].encoder
    assert encoder.trainable is False
    assert encoder.pretrained_model_name_or_path
    assert found.rows == found.looked_at == 300


def test_several_targets_are_predicted_and_none_is_learned_from(suggested: Suggest) -> None:
    found = suggested({"note": TEXTS, "label": LABELS, "price": [n * 1.5 for n in range(300)]}, "price", "label")
    assert [(feature.name, feature.type) for feature in found.spec.output_features] == [
        ("price", "number"),
        ("label", "category"),
    ]
    assert [feature.name for feature in found.spec.input_features] == ["note"]


@pytest.mark.parametrize(
    ("columns", "targets", "told"),
    [
        ({"note": TEXTS, "label": LABELS}, [], "targets: is empty"),
        ({"note": TEXTS, "label": LABELS}, ["lable"], "did you mean 'label'"),
        ({"note": TEXTS, "label": LABELS}, ["label", "label"], r"targets\[1\]: 'label' is named twice"),
        ({"label": LABELS}, ["label"], "no column to learn from: it has no other"),
        ({"id": list(range(300)), "label": LABELS}, ["label"], "no column to learn from: 'id': 300 whole numbers"),
    ],
)
def test_what_cannot_be_suggested_is_refused(
    suggested: Suggest, columns: Mapping[str, Sequence[Any]], targets: Sequence[str], told: str
) -> None:
    with pytest.raises(InvalidInputError, match=told):
        suggested(columns, *targets)


def test_all_targets_that_are_wrong_are_told(suggested: Suggest) -> None:
    with pytest.raises(InvalidInputError) as refused:
        suggested({"note": TEXTS, "label": LABELS}, "nothing", "note")
    assert [item.field for item in refused.value.violations] == ["targets[0]", "targets[1]"]


def test_what_people_should_look_at_is_told(suggested: Suggest) -> None:
    labels = ["spam" if number < 6 else "ham" for number in range(300)]
    columns = {
        "note": [*TEXTS[:280], *TEXTS[:20]],
        "made": [label.upper() for label in labels],
        "day": [f"2024-01-{n % 28 + 1}" for n in range(300)],
        "label": labels,
    }
    told = dict(suggested(columns, "label").warnings)
    assert told.keys() == {
        Notice.COLUMNS_LEFT_OUT,
        Notice.RARE_LABELS,
        Notice.UNBALANCED_LABELS,
        Notice.DUPLICATE_ROWS,
        Notice.CONFLICTING_LABELS,
    }
    assert "20 of 300 rows" in told[Notice.DUPLICATE_ROWS]
    assert "spam (6)" in told[Notice.RARE_LABELS]
    assert "98% of the rows are 'ham'" in told[Notice.UNBALANCED_LABELS]


def test_few_rows_are_told(suggested: Suggest) -> None:
    assert Notice.FEW_ROWS in dict(suggested({"note": TEXTS[:90], "label": LABELS[:90]}, "label").warnings)


def test_without_weights_texts_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("headstart_server.encoders.sources.PACKAGED_MODELS", {})
    table = table_with({"note": TEXTS, "size": [n % 70 for n in range(300)], "label": LABELS})
    found = suggest(table, ["label"], ModelSources(tmp_path), "cpu")
    [note] = [item for item in found.findings if item.name == "note"]
    assert (note.type, note.reason) == ("", ColumnReason.NO_ENCODER)
    assert "model root" in dict(found.warnings)[Notice.COLUMNS_LEFT_OUT]


def test_an_encoder_trained_for_sentences_goes_before_smaller_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("headstart_server.encoders.sources.PACKAGED_MODELS", {})
    for name in ("a-plain", "b-sentences"):
        save_bert(tmp_path / name)
    (tmp_path / "b-sentences" / "modules.json").write_text("[]")
    (tmp_path / "c-broken").mkdir()
    (tmp_path / "c-broken" / "config.json").write_text("{}")
    found = text_weights(ModelSources(tmp_path), "cpu")
    assert found is not None
    assert found.encoder["pretrained_model_name_or_path"] == "b-sentences"
    assert "trained for sentences" in found.evidence


def test_images_are_read_by_what_reads_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    save_bert(tmp_path / "models" / "a-text")
    save_vit(tmp_path / "models" / "b-vision")
    sources = ModelSources(tmp_path / "models")
    found = image_weights(sources, "cpu")
    assert found is not None
    assert found.encoder["pretrained_model_name_or_path"] == "b-vision"
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number}.png").write_bytes(encoded(picture(8, 8, seed=number)))
    columns = {"photo": [f"{number}.png" for number in range(60)], "label": ["a", "b"] * 30}
    table = replace(table_with(columns), files=FolderFiles((folder,)))
    assert suggest(table, ["label"], sources, "cpu").spec.input_features[0].type == "image"
    elsewhere = replace(table, files=FolderFiles((tmp_path,)))
    with pytest.raises(InvalidInputError, match="lead to no file"):
        suggest(elsewhere, ["label"], sources, "cpu")


def test_a_column_without_a_name_and_bytes_that_are_no_images_are_left_out(suggested: Suggest) -> None:
    columns = {
        "": [number * 0.37 for number in range(300)],
        "n" * 1_001: [number * 0.7 for number in range(300)],
        "blob": [bytes([number % 251, 7]) for number in range(300)],
        "note": TEXTS,
        "label": LABELS,
    }
    found = suggested(columns, "label")
    assert [item.type for item in found.findings] == ["", "", "", "text", "category"]
    assert {item.reason for item in found.findings[:3]} == {ColumnReason.UNREADABLE}
    assert [reason for reason, _ in found.warnings] == [Notice.COLUMNS_LEFT_OUT] * 3
    assert parse_yaml(commented(found)) == found.spec


def test_the_file_says_why_and_reads_as_the_spec(suggested: Suggest) -> None:
    columns = {**columns_of_reviews(), "id": list(range(300))}
    found = suggested(columns, "verdict")
    text = commented(found)
    assert parse_yaml(text) == found.spec
    assert "# left out: id: 300 whole numbers, each once" in text
    assert "words on average" in text
    assert "# batch_size: " in text


NAMES = st.text(min_size=1, max_size=30).filter(lambda name: name.strip() == name and name.isprintable())


@given(st.lists(NAMES, min_size=3, max_size=3, unique=True), st.text(max_size=40))
def test_the_file_reads_as_the_spec_whatever_the_table_holds(names: list[str], cell: str) -> None:
    text, label, code = names
    columns = {
        text: [f"{cell} and {number} more words" for number in range(60)],
        label: [["yes", cell or "no"][number % 2] for number in range(60)],
        code: [f"7{cell}{number}" for number in range(60)],
    }
    try:
        found = suggest(table_with(columns), [label], ModelSources(), "cpu")
    except InvalidInputError:
        return  # a label that holds nothing
    assert parse_yaml(commented(found)) == found.spec


@pytest.mark.parametrize(
    ("rows", "columns", "expected"), [(500, 2, 500), (150_000, 2, MOST_ROWS), (3_000, 4_000, LEAST_ROWS)]
)
def test_of_large_tables_a_part_is_looked_at(rows: int, columns: int, expected: int) -> None:
    cells = ["x"] * rows
    table = table_with({f"c{number}": cells for number in range(min(columns, 20))})
    wide = table.rows if columns <= 20 else table.rows.select([f"c{number % 20}" for number in range(columns)])
    assert sampled(wide).num_rows == expected
