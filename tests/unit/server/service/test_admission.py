"""Admission finds the files of an order wherever they are, and refuses what cannot be trained before there is a job."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from headstart_server.core.errors import InvalidInputError, NotFoundError
from headstart_server.core.layout import Layout
from headstart_server.core.reasons import Reason
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.parts import Part
from headstart_server.data.source import SourceRecord
from headstart_server.data.uploads import Uploads
from headstart_server.encoders.sources import ModelSources
from headstart_server.service.admission import Admission, DataPath, DataSource, InlineData, TrainOrder, UploadedData
from headstart_server.spec.ludwig.rewriting import Reading
from headstart_server.spec.model import TrainSpec
from headstart_server.storage.object_store import object_store_at
from headstart_server.storage.storage import Storage

from tests.support import reviews
from tests.support.tiny_vision import save_vit

COLUMNS = ("price", "category", "verdict")
TABULAR: dict[str, Any] = {
    "input_features": [{"name": "price", "type": "number"}, {"name": "category", "type": "category"}],
    "output_features": [{"name": "verdict", "type": "category"}],
}
NO_MODEL = {"type": "auto_transformer", "pretrained_model_name_or_path": "no-such-model"}
WRONG = {**TABULAR, "input_features": [{"name": "category", "type": "text", "encoder": NO_MODEL}]}
ENCODER_PATH = "input_features[0].encoder.pretrained_model_name_or_path"


def rows_of(count: int, seed: int = 0) -> pa.Table:
    return pa.table(reviews.columns(reviews.make_rows(count, seed), *COLUMNS))


def inline(count: int = 40, seed: int = 0, table_file: str = "") -> InlineData:
    return InlineData(lambda: rows_of(count, seed), table_file)


def order(data: dict[str, DataSource], spec: dict[str, Any] = TABULAR, **changes: Any) -> TrainOrder:
    return TrainOrder("", "digest", "", TrainSpec.model_validate(spec), data=data, **changes)


class Desk:
    """An admission with a data root, and all that it stands on."""

    def __init__(self, root: Path, url: str = "", data_root: str | None = "", most_bytes: int = 1 << 30) -> None:
        self.root, self.data = root, root / "data"
        self.storage = Storage(Layout(root / "state"), url)
        self.uploads = Uploads(self.storage.datasets, self.storage.layout.tables, 1 << 20)
        where, models = str(self.data) if data_root == "" else data_root, ModelSources(root / "models")
        self.admission = Admission(self.storage, where, self.uploads, models, "cpu", ImageLimits(), most_bytes)

    def write(self, name: str, count: int = 40, seed: int = 0) -> Path:
        """Rows in a CSV file below the data root."""
        path = self.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return reviews.write_csv(path, reviews.make_rows(count, seed))

    def upload(self, data: bytes, name: str = "reviews.csv") -> str:
        with self.uploads.receive(name, "", "") as upload:
            upload.write(data)
            return upload.finish().identifier

    def files(self, data: dict[str, DataSource], job: str = "j") -> list[SourceRecord]:
        return self.admission.files(data, self.storage.layout.job(job))

    def cells(self, record: SourceRecord) -> dict[str, list[Any]]:
        """What a job would read of a record."""
        cells: dict[str, list[Any]] = record.open(self.storage).rows.select(COLUMNS).to_pydict()
        return cells


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_an_uploaded_file_is_found_by_its_id_with_its_digest(desk: Desk) -> None:
    data = desk.write("reviews.csv").read_bytes()
    name = desk.upload(data)
    [record] = desk.files({"dataset": UploadedData(name)})
    assert (record.role, record.format, record.dataset) == ("dataset", "csv", name)
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    assert Path(record.path).read_bytes() == data
    assert desk.cells(record) == rows_of(40).to_pydict()
    with pytest.raises(InvalidInputError, match=rf"validation_dataset\.table_file: {NO_CONTAINER}"):
        desk.files({"validation_dataset": UploadedData(name, "a.csv")})
    with pytest.raises(NotFoundError, match="datasets/other does not exist"):
        desk.files({"dataset": UploadedData("other")})


def test_a_path_below_the_data_root_leads_to_its_file_and_to_images_beside_it(desk: Desk) -> None:
    path = desk.write("autumn/reviews.csv")
    [record] = desk.files({"dataset": DataPath("autumn/reviews.csv")})
    assert (record.role, record.path, record.format, record.dataset) == ("dataset", str(path), "csv", "")
    assert record.folders == [str(path.parent), str(desk.data)]
    assert desk.cells(record) == rows_of(40).to_pydict()
    assert record.size_bytes() == path.stat().st_size


@pytest.mark.parametrize("remote", [False, True])
def test_a_folder_is_data_with_the_table_that_is_named(tmp_path: Path, remote: bool) -> None:
    url = f"memory://{uuid.uuid4().hex}" if remote else ""
    desk = Desk(tmp_path, data_root=url)
    for seed, name in enumerate(("folder/one.csv", "folder/two.csv")):
        path = desk.write(name, seed=seed)
        if remote:
            object_store_at(url, "data_root").write(name, path.read_bytes())
    [record] = desk.files({"dataset": DataPath("folder", "two.csv")})
    assert (record.format, record.table_file, record.root) == ("folder", "two.csv", url)
    assert desk.cells(record) == rows_of(40, seed=1).to_pydict()
    [record] = desk.files({"dataset": DataPath("folder/one.csv")})
    assert desk.cells(record) == rows_of(40).to_pydict()


def test_rows_of_a_request_are_written_as_arrow_and_can_be_read_back(desk: Desk) -> None:
    [record] = desk.files({"dataset": inline()})
    path = desk.storage.layout.job("j") / "dataset.arrow"
    assert (record.path, record.format, record.shared) == (str(path), "arrow", "")
    assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert pa.ipc.open_file(path.read_bytes()).read_all().to_pydict() == rows_of(40).to_pydict()
    assert desk.cells(record) == rows_of(40).to_pydict()


def test_every_role_has_a_source_of_its_own(desk: Desk) -> None:
    desk.write("reviews.csv", seed=1)
    uploaded = UploadedData(desk.upload(desk.write("other.csv", seed=2).read_bytes()))
    validation = DataPath("reviews.csv")
    records = desk.files({"dataset": inline(), "validation_dataset": validation, "test_dataset": uploaded})
    assert [record.role for record in records] == ["dataset", "validation_dataset", "test_dataset"]
    assert [desk.cells(record) for record in records] == [rows_of(40, seed).to_pydict() for seed in range(3)]


NO_CONTAINER = "'a.csv' is given, but the data is a table itself"
REFUSED: list[tuple[dict[str, DataSource], str, str]] = [
    ({}, "dataset", "is missing; name an uploaded data set"),
    ({"test_dataset": inline()}, "dataset", "is missing"),
    ({"dataset": DataPath("../x.csv")}, "dataset.path", "must be a relative path without '..'"),
    ({"dataset": DataPath("link/reviews.csv")}, "dataset.path", "leaves the configured root"),
    ({"test_dataset": DataPath("x.csv")}, "test_dataset.path", "is no file below the data root"),
    ({"dataset": DataPath("notes.txt")}, "dataset.path", "the ending of 'notes.txt' names no format"),
    ({"dataset": DataPath("reviews.csv", "a.csv")}, "dataset.table_file", NO_CONTAINER),
    ({"dataset": inline(table_file="a.csv")}, "dataset.table_file", NO_CONTAINER),
    ({"dataset": InlineData(lambda: pa.table({"a": [""]})[:0])}, "dataset.table", "holds no rows"),
]


@pytest.mark.parametrize(("data", "field", "message"), REFUSED, ids=[field + message for _, field, message in REFUSED])
def test_data_that_cannot_be_found_is_refused_by_field(
    desk: Desk, data: dict[str, DataSource], field: str, message: str
) -> None:
    desk.write("reviews.csv")
    (desk.data / "notes.txt").write_text("a note")
    (desk.root / "outside").mkdir()
    reviews.write_csv(desk.root / "outside" / "reviews.csv", reviews.make_rows(4))
    (desk.data / "link").symlink_to(desk.root / "outside")
    with pytest.raises(InvalidInputError) as caught:
        desk.files(data)
    assert caught.value.field == field
    assert message in caught.value.message


def test_a_path_is_refused_where_there_is_no_data_root(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"^dataset\.path: the server has no data root"):
        Desk(tmp_path, data_root=None).files({"dataset": DataPath("reviews.csv")})


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_rows_of_a_request_are_shared_with_other_machines_until_they_are_discarded(tmp_path: Path, kind: str) -> None:
    url = f"memory://{uuid.uuid4().hex}" if kind == "memory" else f"file://{tmp_path / 'shared'}"
    desk, shared = Desk(tmp_path / "here", url), object_store_at(url, "storage_url")
    [record] = desk.files({"dataset": inline()}, "mine")
    desk.files({"dataset": inline(seed=1)}, "others")
    assert record.shared == "jobs/mine/dataset.arrow"
    assert shared.read(record.shared) == Path(record.path).read_bytes()
    Path(record.path).unlink()
    assert Desk(tmp_path / "there", url).cells(record) == rows_of(40).to_pydict()
    desk.admission.discard("mine")
    assert shared.files("jobs").keys() == {"jobs/others/dataset.arrow"}
    assert [path.name for path in desk.storage.layout.jobs.iterdir()] == ["others"]
    desk.admission.discard("mine")  # nothing is left to go


def test_small_data_is_planned_before_the_job_is_accepted(desk: Desk) -> None:
    data: dict[str, DataSource] = {"dataset": inline(100), "test_dataset": inline(20, 1)}
    plan = desk.admission.check(order(data), desk.files(data))
    assert plan is not None
    assert plan.rows(Part.TEST) == 20
    assert plan.rows(Part.TRAIN) + plan.rows(Part.VALIDATION) == 100
    missing = {**TABULAR, "output_features": [{"name": "stars", "type": "number"}]}
    with pytest.raises(InvalidInputError, match="column 'stars' is not in") as caught:
        desk.admission.check(order(data, missing), desk.files(data))
    assert caught.value.reason == Reason.MISSING_COLUMN


def test_large_data_is_left_to_the_job_and_its_spec_is_checked_all_the_same(desk: Desk) -> None:
    for name in ("one.csv", "two.csv"):
        with desk.write(name).open("r+b") as file:
            file.truncate((32 << 20) + 1)  # together above the limit; nobody reads the zeros
    data: dict[str, DataSource] = {"dataset": DataPath("one.csv"), "test_dataset": DataPath("two.csv")}
    assert desk.admission.check(order(data), desk.files(data)) is None
    with pytest.raises(InvalidInputError, match="no-such-model") as caught:
        desk.admission.check(order(data, WRONG), desk.files(data))
    assert (caught.value.field, caught.value.reason) == (ENCODER_PATH, Reason.UNKNOWN_MODEL)


def test_only_so_many_images_are_looked_at_before_a_job_is_accepted(desk: Desk) -> None:
    save_vit(desk.root / "models" / "tiny-vit")
    encoder = {"type": "auto_transformer", "pretrained_model_name_or_path": "tiny-vit"}
    images = {**TABULAR, "input_features": [{"name": "category", "type": "image", "encoder": encoder}]}
    many, few = desk.files({"dataset": inline(2_001)}, "many"), desk.files({"dataset": inline(2_000)}, "few")
    assert desk.admission.check(order({}, images), many) is None
    with pytest.raises(InvalidInputError, match="there is no file"):
        desk.admission.check(order({}, images), few)
    no_model = {**images, "input_features": [{**images["input_features"][0], "encoder": NO_MODEL}]}
    with pytest.raises(InvalidInputError, match="no-such-model"):
        desk.admission.check(order({}, no_model), many)
    assert desk.admission.check(order({}), many) is not None, "rows without images are quick to read"


def test_a_plan_reads_as_many_bytes_as_it_may_and_no_more(tmp_path: Path) -> None:
    [record] = Desk(tmp_path).files({"dataset": inline(100)})
    size = record.size_bytes()
    assert Desk(tmp_path, most_bytes=size).admission.plan(order({}), [record]).rows(Part.TRAIN) == 70
    with pytest.raises(
        InvalidInputError, match=f"holds {size:,} bytes, and a plan reads at most {size - 1:,}"
    ) as caught:
        Desk(tmp_path, most_bytes=size - 1).admission.plan(order({}), [record])
    assert (caught.value.reason, caught.value.field) == (Reason.TOO_LARGE_TO_PLAN, "dataset")


def test_a_folder_is_as_large_as_all_of_its_files(tmp_path: Path) -> None:
    desk = Desk(tmp_path, most_bytes=1_000)
    size = desk.write("folder/reviews.csv").stat().st_size + desk.write("folder/more/others.csv").stat().st_size
    [record] = desk.files({"dataset": DataPath("folder", "reviews.csv")})
    assert record.size_bytes() == size > 1_000
    with pytest.raises(InvalidInputError, match=f"holds {size:,} bytes"):
        desk.admission.plan(order({}), [record])


def test_what_is_wrong_is_named_as_the_user_wrote_it(desk: Desk) -> None:
    reading = Reading(moves={ENCODER_PATH: "input_features[0].pretrained"})
    files = desk.files({"dataset": inline()})
    calls: list[Callable[[TrainOrder, list[SourceRecord]], object]] = [desk.admission.check, desk.admission.plan]
    for call in calls:
        with pytest.raises(InvalidInputError) as caught:
            call(order({}, WRONG, reading=reading), files)
        assert caught.value.field == "input_features[0].pretrained"
        assert f"(read as {ENCODER_PATH})" in caught.value.message
