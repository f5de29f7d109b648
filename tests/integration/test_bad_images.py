"""Bad images against a real server: each is named by its row with what to do, and the server serves on."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import grpc
import headstart
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from headstart.v1 import prediction_pb2, table_pb2
from headstart.v1.prediction_pb2_grpc import PredictionServiceStub
from torchvision.models import get_model

from tests.support.images import broken_jpeg, encoded, picture, png
from tests.support.running_server import RunningServer
from tests.support.stubs import stub_of

ROWS = 24
LABELS = ["a", "b"] * (ROWS // 2)
GOOD = [png(number) for number in range(ROWS)]
GOOD[3] = encoded(picture(40, 30, 3, "CMYK"), "JPEG")
GOOD[4] = encoded(picture(40, 30, 4), "GIF", save_all=True, append_images=[picture(40, 30)])
GOOD[5] = encoded(picture(1, 1, 5))


def spec(policy: str | None = None, *, trainable: bool = False, **preprocessing: Any) -> dict[str, Any]:
    chosen = {**({"bad_image_policy": policy} if policy else {}), **preprocessing}
    return {
        "input_features": [
            {
                "name": "image",
                "type": "image",
                "encoder": {
                    "type": "shufflenet_v2",
                    "model_variant": "x0_5",
                    "pretrained_model_name_or_path": "shuffle/tiny.pth",
                    "trainable": trainable,
                },
                "preprocessing": chosen,
            }
        ],
        "output_features": [{"name": "label", "type": "category"}],
        "trainer": {"epochs": 1, "batch_size": 8},
        "preprocessing": {"split": {"type": "random", "probabilities": [0.7, 0.3, 0.0]}},
    }


@pytest.fixture(scope="module", autouse=True)
def weights(model_root: Path) -> None:
    torch.manual_seed(0)
    (model_root / "shuffle").mkdir()
    torch.save(get_model("shufflenet_v2_x0_5", weights=None).state_dict(), model_root / "shuffle" / "tiny.pth")


def with_rows(**changed: bytes | None) -> list[bytes | None]:
    """The good images but for some rows, `row3=...`."""
    files: list[bytes | None] = list(GOOD)
    for name, data in changed.items():
        files[int(name.removeprefix("row"))] = data
    return files


def table_of(files: list[Any]) -> dict[str, list[Any]]:
    return {"image": files, "label": LABELS[: len(files)]}


def violations(error: headstart.InvalidArgument) -> list[str]:
    return [violation.description for violation in error.violations]


def test_odd_images_train_and_bad_ones_are_named_before_a_job_exists(client: headstart.Client) -> None:
    files = with_rows(row1=b"", row7=b"<html>404</html>", row9=encoded(picture(300, 1)), row11=b"%PDF-1.4 ")
    before = len(list(client.jobs.list()))
    with pytest.raises(headstart.InvalidArgument) as refused:
        client.train(spec(), table_of(files))
    assert [violation.field for violation in refused.value.violations] == ["input_features[0]"] * 4
    rows = ["row 2 of dataset: the file is empty", "row 8 of dataset: it is markup", "row 10 of dataset: 300 x 1"]
    for text, expected in zip(violations(refused.value), [*rows, "row 12 of dataset: it is a PDF"], strict=True):
        assert expected in text
    assert len(list(client.jobs.list())) == before
    assert client.train(spec(), table_of(GOOD)).result().model


@pytest.mark.parametrize("trainable", [False, True])
def test_damage_behind_a_header_fails_the_job_by_row(trainable: bool, client: headstart.Client) -> None:
    files = with_rows(row6=broken_jpeg(6 + trainable), row13=broken_jpeg(6 + trainable))
    with pytest.raises(headstart.HeadstartError) as failed:
        client.train(spec(trainable=trainable), table_of(files)).result()
    for row in (7, 14):
        assert f"row {row} of dataset: it is damaged (image file is truncated" in str(failed.value)


@pytest.mark.parametrize(("policy", "trainable"), [("drop", False), ("default", False), ("drop", True)])
def test_bad_images_are_left_out_or_replaced_as_the_spec_says(
    policy: str, trainable: bool, client: headstart.Client
) -> None:
    files = with_rows(row2=b"text", row6=broken_jpeg(20), row7=None)
    follower = client.train(spec(policy, trainable=trainable), table_of(files))
    warnings = [event.warning.message for event in follower if event.WhichOneof("event") == "warning"]
    done = "are left out" if policy == "drop" else "are replaced by the default image"
    assert any("row 3 of dataset: it is a text file" in text and done in text for text in warnings), warnings
    assert any("row 7 of dataset: it is damaged" in text and done in text for text in warnings), warnings
    assert follower.result().model


def test_hugging_faces_parquet_trains(client: headstart.Client, tmp_path: Path) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [{"bytes": data, "path": f"{row}.png"} for row, data in enumerate(GOOD)]
    path = tmp_path / "hub.parquet"
    pa.parquet.write_table(pa.table({"image": pa.array(cells, kind), "label": LABELS}), path)
    assert client.train(spec(), path).result().model


def archive(folder: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(folder / "data.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return folder / "data.zip"


def test_bad_archives_are_refused(client: headstart.Client, tmp_path: Path) -> None:
    bad = {
        "would be unpacked outside": {"../../x.png": b"1"},
        "grows more than 200 times": {"a/x.png": bytes(4 << 20)},
        "holds no table and no images": {"a.txt": b"1"},
        "in no folder of a class": {"x.png": GOOD[0]},
    }
    for message, files in bad.items():
        with pytest.raises(headstart.InvalidArgument, match=message):
            client.upload_dataset(archive(tmp_path, files))


def test_classes_by_folder_train_from_an_upload_and_name_bad_members(client: headstart.Client, tmp_path: Path) -> None:
    files = {f"{'cats' if row % 2 else 'dogs'}/{row}.png": data for row, data in enumerate(GOOD)}
    chosen = spec() | {"input_features": [{**spec()["input_features"][0], "column": "image_path"}]}
    assert client.train(chosen, archive(tmp_path, {**files, "__MACOSX/cats/._1.png": b"mac"})).result().model
    with pytest.raises(headstart.InvalidArgument, match="row 1 of dataset: it is a text file"):
        client.train(chosen, archive(tmp_path, {**files, "cats/00.png": b"words"}))


def test_paths_below_the_data_root_never_hang_or_leave_it(client: headstart.Client, data_root: Path) -> None:
    folder = data_root / "pictures"
    folder.mkdir()
    for row, data in enumerate(GOOD):
        (folder / f"{row}.jpg").write_bytes(data)
    os.mkfifo(folder / "pipe.png")
    (folder / "out.png").symlink_to("/etc/hostname")
    bad = ["pipe.png", "out.png", "../pictures/1.jpg", "/etc/hostname", "none.png", "", "x" * 300]
    good = [f"{row}.jpg" for row in range(ROWS - len(bad))]
    lines = [f"{name},{label}" for name, label in zip(good + bad, LABELS, strict=True)]
    (folder / "table.csv").write_text("\n".join(["image,label", *lines]))
    with pytest.raises(headstart.InvalidArgument) as refused:
        client.train(spec(), headstart.ServerPath("pictures/table.csv"))
    found = violations(refused.value)
    assert len(found) == len(bad) - 1  # an empty cell is a missing image
    for text, reason in zip(
        found, ["special file", "leaves the", "without '..'", "without '..'", "no file"], strict=False
    ):
        assert reason in text
    assert str(data_root) not in str(refused.value)
    (folder / "table.csv").write_text("\n".join(["image,label", *lines[: len(good)]]))
    assert client.train(spec(), headstart.ServerPath("pictures/table.csv")).result().model


@pytest.fixture(scope="module")
def model(server: RunningServer) -> str:
    with server.client() as client:
        return client.train(spec(embedding_precision="fp32"), table_of(GOOD)).result().model


def test_bad_images_to_predict_are_named(client: headstart.Client, model: str) -> None:
    cases: list[tuple[list[Any], str]] = [
        (with_rows(row2=b"words"), "row 3: it is a text file"),
        (with_rows(row20=broken_jpeg(1)), "row 21: it is damaged"),
    ]
    for files, message in cases:
        with pytest.raises(headstart.InvalidArgument) as refused:
            client.predict(model, {"image": files})
        assert message in str(refused.value)
    assert len(client.predict(model, {"image": with_rows(row3=None)})["label"].values) == ROWS


def test_bad_images_may_be_left_out_of_a_stream(client: headstart.Client, model: str) -> None:
    files = with_rows(row2=b"words", row5=None, row20=broken_jpeg(1))
    (answer,) = client.predict_stream(model, [{"image": files}], skip_bad_rows=True)
    assert list(answer.row_errors) == [2, 20]
    for row, error in answer.row_errors.items():
        assert (error.reason, f"row {row + 1}: it is" in error.message) == ("BAD_IMAGE", True)
    sound = [file for row, file in enumerate(files) if row not in (2, 20)]
    assert answer["label"].values == client.predict(model, {"image": sound})["label"].values


def test_an_answer_does_not_depend_on_who_else_asks(client: headstart.Client, model: str) -> None:
    alone = np.array(client.predict(model, {"image": GOOD[:1]})["label"].probabilities)
    together = np.array(client.predict(model, {"image": GOOD})["label"].probabilities)[:1]
    assert np.abs(alone - together).max() < 1e-5


def test_what_is_neither_bytes_nor_a_file_is_refused(server: RunningServer, model: str) -> None:
    """The client looks for files itself, so this one speaks for other languages."""
    columns: dict[str, dict[str, Any]] = {
        "'a.png' is text, and there are no files": {"strings": table_pb2.StringValues(values=["a.png"])},
        "row 1: 1.0 is a number, not an image": {"doubles": table_pb2.DoubleValues(values=[1.0])},
    }
    with grpc.insecure_channel(server.address) as channel:
        for message, values in columns.items():
            table = table_pb2.Table(columns=[table_pb2.Column(name="image", **values)])
            with pytest.raises(grpc.RpcError, match=message) as refused:
                stub_of(PredictionServiceStub, channel).Predict(prediction_pb2.PredictRequest(model=model, table=table))
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_bad_images_to_embed_are_named_to_the_last(client: headstart.Client) -> None:
    feature = spec()["input_features"][0]
    for files, message in (
        (with_rows(row2=b"words"), "row 3: it is a text file"),
        (with_rows(row8=broken_jpeg(40), row9=broken_jpeg(40)), "row 10: it is damaged"),
    ):
        with pytest.raises(headstart.InvalidArgument, match=message):
            client.embed(feature, {"image": files})
    assert len(client.embed(feature, {"image": GOOD[:3]})) == 3


def test_the_server_serves_on(client: headstart.Client, model: str) -> None:
    assert len(client.predict(model, {"image": GOOD})["label"].values) == ROWS
