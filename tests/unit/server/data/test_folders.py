"""Data without a table: classes by folder, parts by folder, and what is neither, in archives and on disk."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.folders import chosen_table, listed, table_of_folders
from headstart_server.data.formats import Format
from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.decode import BadImageError, ImageLimits
from headstart_server.data.opening import Location, open_location
from headstart_server.data.tables import Table, table_of_arrow

from tests.support.images import png

LIMITS = ImageLimits()


def refusal(*names: str) -> str:
    with pytest.raises(InvalidInputError) as caught:
        table_of_folders(names, "dataset")
    return str(caught.value)


def labels(*names: str) -> list[str]:
    found: list[str] = table_of_folders(names, "dataset").column("label").to_pylist()
    return found


def test_the_first_folder_below_what_all_share_is_the_class() -> None:
    assert labels("photos/cats/a.JPG", "photos/dogs/b.png", "photos/dogs/young/c.webp") == ["cats", "dogs", "dogs"]


def test_hidden_files_and_those_of_a_macs_archiver_are_no_images() -> None:
    names = ["cats/a.jpg", "cats/._a.jpg", "__MACOSX/cats/._a.jpg", "dogs/.trash/b.jpg", ".x/c.jpg", "dogs/b.gif"]
    assert labels(*names) == ["cats", "dogs"]


def test_folders_of_parts_become_a_split_and_train_lends_to_validation() -> None:
    names = [f"{part}/{kind}/{number}.png" for part in ("Train", "test") for kind in "ab" for number in range(100)]
    found = table_of_folders(names, "dataset")
    splits = found.column("split").to_pylist()
    assert splits.count("test") == 200
    assert 5 < splits.count("validation") < 40
    assert set(found.column("label").to_pylist()) == {"a", "b"}


def test_digits_are_classes_not_parts() -> None:
    names = [f"{digit}/scan/{number}.png" for digit in range(3) for number in range(2)]
    assert labels(*names) == ["0", "0", "1", "1", "2", "2"]


def test_images_beside_folders_of_parts_are_refused() -> None:
    message = refusal("train/a/1.png", "test/a/2.png", "samples/3.png")
    assert "has folders test, train, but 'samples/3.png' is in no class of theirs" in message


def test_images_in_no_folder_are_refused_by_name() -> None:
    assert "'loose.png' in no folder of a class; add a CSV file, or sort images" in refusal("a/1.png", "loose.png")
    assert "holds no table and no images" in refusal("readme.txt")


NAMES = ["train.csv", "deep/test.parquet", "note.txt", "a/1.png", "inner.zip"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["cats/a.jpg", "dogs/b.jpg", "labels.json"], None),
        (["top/cats/a.jpg", "top/dogs/b.jpg", "top/labels.JSON"], None),
        (["train/cats/a.jpg", "test/dogs/b.jpg", "labels.json"], None),
        (["train/a.jpg", "test/b.jpg", "labels.json"], "labels.json"),
        (["images/a.jpg", "images/b.jpg", "labels.json"], "labels.json"),
        (["a.jpg", "b.jpg", "labels.json"], "labels.json"),
        (["cats/a.jpg", "b.jpg", "labels.json"], "labels.json"),
        (["cats/a.jpg", "dogs/b.jpg", "labels.csv"], "labels.csv"),
        (["cats/a.jpg", "dogs/b.jpg", "labels.jsonl"], "labels.jsonl"),
        (["labels.json"], "labels.json"),
    ],
)
def test_json_beside_folders_of_classes_is_no_table_unless_it_is_named(names: list[str], expected: str | None) -> None:
    assert chosen_table(names, "", "dataset") == expected
    if expected is None:
        assert chosen_table(names, names[-1], "dataset") == names[-1]


@pytest.mark.parametrize("packed", [False, True])
def test_a_table_that_nobody_named_is_named_in_errors(packed: bool, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    table = folder / "labels.json"
    cache = tmp_path / "cache"

    def opened() -> Table:
        if not packed:
            return open_location(Location(folder, Format.FOLDER), cache, "dataset")
        with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
            archive.write(table, "labels.json")
        return open_location(Location(tmp_path / "data.zip", Format.ZIP), cache, "dataset")

    table.write_text('{"cats": 0')
    with pytest.raises(InvalidInputError, match=r"dataset: its table 'labels\.json' "):
        opened()
    table.write_text('[{"file": "a.jpg", "kind": "cat"}]')
    with pytest.raises(InvalidInputError, match=r"'label' is not in the table 'labels\.json' of dataset; its columns"):
        opened().require("label", "output_features[0].name")


def test_one_of_several_tables_must_be_named() -> None:
    with pytest.raises(InvalidInputError, match="holds 2 tables; name one of them: deep/test"):
        chosen_table(NAMES, "", "dataset")
    assert chosen_table(NAMES, "./deep/test.parquet", "dataset") == "deep/test.parquet"


@pytest.mark.parametrize("wanted", ["note.txt", "inner.zip", "a/1.png", "a"])
def test_what_is_no_table_is_not_taken_for_one(wanted: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        chosen_table(NAMES, wanted, "dataset")
    assert caught.value.field == "dataset.table_file"
    assert "; its tables: deep/test.parquet, train.csv" in str(caught.value)


def test_a_misspelt_table_is_guessed() -> None:
    with pytest.raises(InvalidInputError, match=r"is not in it; did you mean 'train\.csv'"):
        chosen_table(NAMES, "trian.csv", "dataset")


def test_a_folder_is_listed_without_links_pipes_and_hidden_files(tmp_path: Path) -> None:
    for name in ("b/2.png", "a/1.png", ".hidden/3.png", "a/.4.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "a" / "link.png").symlink_to("/etc/passwd")
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    assert listed(tmp_path, "dataset.path") == ["a/1.png", "b/2.png"]


def test_a_file_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a/caf\xe9.png")).write_bytes(b"")
    with pytest.raises(InvalidInputError, match=r"'a/caf\\udce9\.png' has a name that is not UTF-8; rename it"):
        listed(tmp_path, "dataset.path")


def zip_of(folder: Path, **files: bytes) -> Location:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    (folder / "data.zip").write_bytes(out.getvalue())
    return Location(folder / "data.zip", Format.ZIP)


def test_a_damaged_table_in_an_archive_is_refused(tmp_path: Path) -> None:
    location = zip_of(tmp_path, **{"labels.csv": b"image,label\n" * 100})
    data = bytearray(location.path.read_bytes())
    data[45:50] = b"\xff" * 5
    location.path.write_bytes(data)
    with pytest.raises(InvalidInputError, match=r"its table 'labels\.csv' is damaged .*; pack it again"):
        open_location(location, tmp_path / "cache", "dataset")


def read(table: Table, row: int) -> bytes | None:
    return ImageColumn([table], "image", LIMITS).read(row)


def test_a_table_in_an_archive_finds_its_images(tmp_path: Path) -> None:
    location = zip_of(tmp_path, **{"d/labels.csv": b"image,label\nx.png,a\n../x.png,b\ny.png,a\n", "d/x.png": png()})
    table = open_location(location, tmp_path / "cache", "dataset")
    assert read(table, 0) == png()
    for row, message in ((1, "leaves the archive"), (2, "'y.png' is not in the archive; add it, or correct the cell")):
        with pytest.raises(BadImageError, match=message):
            read(table, row)


BAD_CELLS = {
    "absolute": ("/etc/passwd", "must be a relative path"),
    "upwards": ("../x.png", "must be a relative path without '..'"),
    "a link out": ("out.png", "leaves the configured root"),
    "NUL": ("x\0.png", "must be a relative path"),
    "too long": ("x" * 5_000, "cannot be resolved; check the name"),
    "a folder": ("folder", "is a folder, not an image file; correct the cell"),
    "a pipe": ("pipe", "is a special file, not an image file"),
    "below a file": ("x.png/y.png", "there is no file"),
    "a loop": ("loop", "cannot be resolved"),
    "missing": ("none.png", "beside the table or below the data root; add it, or correct the cell"),
    "too large": ("large.png", "at most 67108864 are allowed (the server's max_image_bytes)"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("case", BAD_CELLS)
def test_a_cell_that_names_no_file_within_the_root_is_refused(case: str, tmp_path: Path) -> None:
    cell, message = BAD_CELLS[case]
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "x.png").write_bytes(png())
    (root / "out.png").symlink_to("/etc/passwd")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    with (root / "large.png").open("wb") as file:
        file.truncate(1 << 40)
    (root / "t.parquet").write_bytes(_parquet(["x.png", cell]))
    location = Location(root / "t.parquet", Format.PARQUET, folders=(root,))
    table = open_location(location, tmp_path / "cache", "dataset")
    assert read(table, 0) == png()
    with pytest.raises(BadImageError) as caught:
        read(table, 1)
    assert message in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def _parquet(cells: list[str]) -> bytes:
    out = io.BytesIO()
    pa.parquet.write_table(pa.table({"image": cells}), out)
    return out.getvalue()


STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.mark.parametrize("kind", ["struct", "dictionary", "fixed", "view"])
def test_bytes_in_cells_are_read_however_arrow_holds_them(kind: str, tmp_path: Path) -> None:
    files = [png(0), None, png(0)]
    column = pa.array(files, pa.binary())
    match kind:
        case "struct":
            column = pa.array([{"bytes": data, "path": "x.png"} if data else None for data in files], STRUCT)
        case "dictionary":
            column = column.dictionary_encode()
        case "fixed":
            column = column.cast(pa.binary(len(png(0))))
        case "view":
            column = column.cast(pa.binary_view())
    table = table_of_arrow(pa.table({"image": column}), "dataset")
    assert [read(table, row) for row in range(3)] == files


def test_a_struct_without_bytes_leads_to_the_file_of_its_path(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png(3))
    cells = [{"bytes": png(1), "path": "gone.png"}, {"bytes": None, "path": "x.png"}, {"bytes": None, "path": None}]
    pa.parquet.write_table(pa.table({"image": pa.array(cells, STRUCT)}), tmp_path / "t.parquet")
    location = Location(tmp_path / "t.parquet", Format.PARQUET, folders=(tmp_path,))
    table = open_location(location, tmp_path / "cache", "dataset")
    assert [read(table, row) for row in range(3)] == [png(1), png(3), None]


def test_a_struct_of_something_else_stays_text() -> None:
    table = table_of_arrow(pa.table({"image": [{"bytes": 12, "path": "x"}]}), "dataset")
    assert table.rows.column("image").to_pylist() == ['{"bytes": 12, "path": "x"}']


def test_numbers_are_no_images() -> None:
    table = table_of_arrow(pa.table({"image": [1.5]}), "dataset")
    with pytest.raises(BadImageError, match=r"1\.5 is a number, not an image; give its bytes or its path"):
        read(table, 0)


def test_paths_of_a_table_that_came_alone_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"image\nx.png\n")
    table = open_location(Location(tmp_path / "t.csv", Format.CSV), tmp_path / "cache", "dataset")
    with pytest.raises(BadImageError, match="the table came alone; send an archive of the table and its images"):
        read(table, 0)
