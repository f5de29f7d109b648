"""The command line and the client take image files and folders as they lie on disk, against a real server."""

from __future__ import annotations

import csv
import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import headstart
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from headstart.cli import main
from headstart.v1 import dataset_pb2
from PIL import Image
from torchvision.models import get_model

from tests.support.running_server import RunningServer

COLOURS = {"red": (200, 30, 30), "blue": (30, 30, 200)}
SPEC = """
input_features:
- name: photo
  type: image
  encoder: {type: squeezenet, model_variant: "1_1", pretrained_model_name_or_path: tiny.pth, trainable: false}
  preprocessing: {embedding_precision: fp32}
output_features:
- {name: label, type: category}
trainer: {epochs: 15, batch_size: 8, learning_rate: 0.01, validation_metric: accuracy}
"""


def _save(path: Path, label: str, seed: int) -> None:
    """A small noisy picture of one colour."""
    noise = np.random.default_rng(seed).integers(-25, 25, (48, 56, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.array(COLOURS[label]) + noise).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, model_root: Path) -> Path:
    """Training and test tables beside the folder of the images that they name, and a spec."""
    torch.manual_seed(0)
    torch.save(get_model("squeezenet1_1", weights=None).state_dict(), model_root / "tiny.pth")
    folder = tmp_path_factory.mktemp("shop")
    for part, count, seed in (("train", 40, 0), ("test", 10, 1000)):
        lines = ["photo,label"]
        for number in range(count):
            label = list(COLOURS)[number % 2]
            name = f"images/{part}-{number:02}.{'png' if number % 3 else 'jpg'}"
            _save(folder / name, label, seed + number)
            lines.append(f"{name},{label}")
        (folder / f"{part}.csv").write_text("\n".join(lines) + "\n")
    (folder / "spec.yaml").write_text(SPEC)
    return folder


@pytest.fixture(scope="module")
def job(server: RunningServer, shop: Path) -> Any:
    """A job started from the command line."""
    arguments = ["--data", shop / "train.csv", "--test", shop / "test.csv", "--request-id", "images", "--json"]
    assert main(["train", str(shop / "spec.yaml"), *map(str, arguments), "--server", server.address]) == 0
    with server.client() as client:
        return next(item for item in client.jobs.list() if item.request_id == "images")


def _labels(shop: Path, table: str) -> list[str]:
    with (shop / table).open(newline="") as file:
        return [row["label"] for row in csv.DictReader(file)]


def _predicted(capsys: pytest.CaptureFixture[str], server: RunningServer, job: Any, data: Path) -> list[dict[str, str]]:
    assert main(["predict", job.model, "--data", str(data), "--server", server.address]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def _red(row: dict[str, str]) -> float:
    return float(row["label_probability_red"])


def test_tables_train_with_the_images_that_they_name(job: Any) -> None:
    assert job.encode_progress.rows_total == 50
    assert job.encode_progress.rows_encoded == 50
    assert job.best_epoch.test["label.accuracy"] == 1.0


def test_what_was_uploaded_and_encoded_once_is_not_again(
    client: headstart.Client, server: RunningServer, shop: Path, job: Any
) -> None:
    sent: list[int] = []
    run = client.train(
        shop / "spec.yaml", shop / "train.csv", test=shop / "test.csv", on_upload=lambda done, total: sent.append(done)
    )
    assert run.result().encode_progress.rows_found == 50
    assert sent == []
    [listed] = [item for item in client.datasets.list() if item.display_name == "test.tar"]
    assert listed.format == dataset_pb2.Dataset.FORMAT_TAR
    assert (listed.row_count, list(listed.columns), list(listed.table_files)) == (10, ["photo", "label"], ["test.csv"])


def test_a_table_a_folder_and_python_predict_the_same(
    client: headstart.Client, server: RunningServer, shop: Path, job: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from_table = _predicted(capsys, server, job, shop / "test.csv")
    assert [row["label_prediction"] for row in from_table] == _labels(shop, "test.csv")
    from_folder = {row["file"]: row for row in _predicted(capsys, server, job, shop)}
    with (shop / "test.csv").open(newline="") as file:
        names = [row["photo"] for row in csv.DictReader(file)]
    assert len(from_folder) == 50
    assert [_red(from_folder[name]) for name in names] == pytest.approx(list(map(_red, from_table)), abs=1e-5)
    cells = [shop / names[0], str(shop / names[1]), (shop / names[2]).read_bytes(), None]
    answer = client.predict(job.model, {"photo": cells})["label"]
    column = list(answer.classes).index("red")
    assert [row[column] for row in answer.probabilities[:3]] == pytest.approx(list(map(_red, from_table[:3])), abs=1e-5)


def test_an_image_that_cannot_be_read_is_named_in_a_folder(
    server: RunningServer, shop: Path, job: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(shop / "images/test-01.png", tmp_path / "fine.png")
    (tmp_path / "text.jpg").write_text("this is no image")
    assert main(["predict", job.model, "--data", str(tmp_path), "--server", server.address]) == 2
    error = capsys.readouterr().err
    assert "text.jpg" in error
    assert "fine.png" not in error


def test_a_missing_image_is_named_before_anything_is_sent(
    client: headstart.Client, shop: Path, job: Any, tmp_path: Path
) -> None:
    (tmp_path / "train.csv").write_text("photo,label\nnowhere/a.png,red\n")
    before = len(list(client.datasets.list()))
    with pytest.raises(headstart.InvalidArgument, match=r"train\.csv, row 1, column 'photo': there is no file"):
        client.train(shop / "spec.yaml", tmp_path / "train.csv")
    assert len(list(client.datasets.list())) == before


def test_a_folder_per_class_is_a_data_set(client: headstart.Client, shop: Path, tmp_path: Path, job: Any) -> None:
    for number in range(12):
        label = list(COLOURS)[number % 2]
        _save(tmp_path / "colours" / label / f"{number}.png", label, 5000 + number)
    plan = client.plan(SPEC.replace("name: photo", "name: photo\n  column: image_path"), tmp_path / "colours")
    assert (plan.encode[0].rows_total, plan.train_rows > 0) == (12, True)


def test_tables_of_one_archive_are_named_within_it(
    client: headstart.Client, shop: Path, tmp_path: Path, job: Any
) -> None:
    archive = tmp_path / "shop.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(shop.rglob("*.*")):
            file.write(path, path.relative_to(shop))
    plan = client.plan(SPEC, archive / "train.csv", test=f"{archive}/test.csv")
    assert plan.test_rows == 10
    assert plan.encode[0].rows_found == plan.encode[0].rows_total == 50
    with pytest.raises(headstart.InvalidArgument, match=r"name one of them: .*shop\.zip/test\.csv"):
        client.plan(SPEC, archive)


def test_rows_in_memory_are_planned_as_their_files_are(client: headstart.Client, shop: Path, job: Any) -> None:
    with (shop / "train.csv").open(newline="") as file:
        rows = [{**row, "photo": shop / row["photo"]} for row in csv.DictReader(file)]
    plan = client.plan(SPEC, rows)
    assert plan.encode[0].rows_found == plan.encode[0].rows_total == 40


def test_images_are_embedded_from_paths_as_from_bytes(client: headstart.Client, shop: Path, job: Any) -> None:
    encoder = {"type": "squeezenet", "model_variant": "1_1", "pretrained_model_name_or_path": "tiny.pth"}
    feature = {"name": "photo", "type": "image", "encoder": encoder, "preprocessing": {"embedding_precision": "fp32"}}
    path = shop / "images/test-01.png"
    found = client.embed(feature, [path, str(path), path.read_bytes()])
    assert found.dimension == 512
    assert found[0] == found[1] == found[2]
    assert found.rows_found == 3


def test_a_table_with_its_images_is_predicted_and_evaluated_on_the_server(
    server: RunningServer, shop: Path, job: Any, tmp_path: Path
) -> None:
    with server.client() as client:
        labels = [
            value for part in client.predict_dataset(job.model, shop / "test.csv") for value in part["label"].values
        ]
        found = client.evaluate(job.model, shop / "test.csv")
        right = np.mean([a == b for a, b in zip(labels, _labels(shop, "test.csv"), strict=True)])
        assert found.metrics["label.accuracy"] == pytest.approx(right)
        assert found.metrics["label.accuracy"] == pytest.approx(job.best_epoch.test["label.accuracy"])
        shutil.copytree(shop / "images", tmp_path / "images")
        shutil.copy(shop / "test.csv", tmp_path)
        (tmp_path / "images" / "test-04.png").write_bytes(b"no image")
        [part] = client.predict_dataset(job.model, tmp_path / "test.csv")
        assert list(part.row_errors) == [4] and part.row_count == 9
        labels[4:5] = [None]
        for reuse in ("exact", "none"):
            made = client.predict_to_file(
                job.model, tmp_path / "test.csv", columns=["photo"], embedding_reuse=reuse, output_dir=tmp_path / reuse
            )
            table = pq.read_table(made.files[0])
            assert table.column("label_prediction").to_pylist() == labels
            assert "test-04.png" in table.column("photo").to_pylist()[4]
            errors = table.column("error").to_pylist()
            assert [row for row, error in enumerate(errors) if error] == [4] and "row 5" in errors[4]
