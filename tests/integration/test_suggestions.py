"""A spec that is suggested is trained as it is, and says what people should know of their data."""

from __future__ import annotations

from pathlib import Path

import headstart
import pytest
from headstart.v1 import training_pb2 as pb

from tests.support import reviews
from tests.support.images import encoded, picture


def roles(suggestion: pb.SuggestSpecResponse) -> dict[str, str]:
    """What each column is taken for, or the reason why it is left out."""
    return {column.column: column.type or column.reason for column in suggestion.columns}


def test_a_suggested_spec_is_trained_as_it_is(client: headstart.Client, tmp_path: Path) -> None:
    rows = reviews.make_rows(240)
    for number, row in enumerate(rows):
        row["order"] = f"A-{number:06d}"
        row["stars"] = {"positive": "5", "negative": "1"}[row["verdict"]]
    path = reviews.write_csv(tmp_path / "rows.csv", rows)
    suggestion = client.suggest(path, "verdict", sweep_seconds=600)
    found = roles(suggestion)
    assert found["review"] == "text"
    assert found["verdict"] == "category"
    assert found["order"] == "IDENTIFIER"
    assert found["stars"] == "TARGET_LEAKAGE"
    assert suggestion.warnings[0].reason == "COLUMNS_LEFT_OUT"
    assert suggestion.spec.sweep.seconds == 600
    assert client.suggest(path, "verdict", sweep_seconds=0).spec.sweep.parameters == {}
    planned = client.plan(suggestion.spec_yaml, path)
    assert planned.train_rows + planned.validation_rows + planned.test_rows == 240
    job = client.train(suggestion.spec_yaml, path).result()
    assert job.best_epoch.test["verdict.accuracy"] > 0.9
    inputs = [feature.name for feature in suggestion.spec.input_features]
    answer = client.predict(job.model, reviews.columns(rows[:4], *inputs))
    assert len(answer["verdict"].values) == 4
    assert {trial.parameters["model_type"].string_value for trial in job.trials} == {"ecd", "ridge", "gbm", "knn"}


def test_images_go_with_the_table_that_names_them(client: headstart.Client, tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(40)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(encoded(picture(12, 12, seed=number)))
    table = tmp_path / "shop.csv"
    lines = [f"{name},{number * 0.7},{'dark' if number % 2 else 'bright'}" for number, name in enumerate(names)]
    table.write_text("\n".join(["photo,price,kind", *lines]))
    suggestion = client.suggest(table, "kind")
    [photo] = [column for column in suggestion.columns if column.column == "photo"]
    # this server has no weights that read images: else it would be IMAGES, and without its files IMAGES_NOT_FOUND
    assert photo.reason == "NO_ENCODER"
    assert suggestion.row_count == suggestion.profiled_row_count == 40


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), 1e12])
def test_a_time_that_is_none_is_refused(client: headstart.Client, seconds: float) -> None:
    with pytest.raises(headstart.InvalidArgument) as refused:
        client.suggest({"review": ["a", "b"], "verdict": ["x", "y"]}, "verdict", sweep_seconds=seconds)
    assert [violation.field for violation in refused.value.violations] == ["sweep_seconds"]


@pytest.mark.parametrize(
    ("columns", "targets", "field"),
    [
        ({"review": ["a", "b"], "verdict": ["x", "y"]}, "verdikt", "targets[0]"),
        ({"review": ["a", "b"], "verdict": ["x", "x"]}, "verdict", "targets[0]"),
        ({"verdict": ["x", "y"]}, [], "targets"),
    ],
)
def test_what_cannot_be_predicted_is_refused(
    client: headstart.Client, columns: dict[str, list[str]], targets: str | list[str], field: str
) -> None:
    with pytest.raises(headstart.InvalidArgument) as refused:
        client.suggest(columns, targets)
    assert [violation.field for violation in refused.value.violations] == [field]
