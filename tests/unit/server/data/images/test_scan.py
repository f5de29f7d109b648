"""The first look at an image column: keys by content, bad files by row, rows in any process."""

import pickle
from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.decode import BadImageError, ImageLimits
from headstart_server.data.images.files import FolderFiles
from headstart_server.data.images.scan import ScannedImages, scan
from headstart_server.data.tables import Table, open_table, table_of_arrow

from tests.support.images import broken_jpeg, encoded, picture, png, scanned


def _digests(images: ScannedImages) -> list[bytes]:
    return [key.tobytes() for key in images.keys]


def _blake(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


def test_keys_are_digests_of_the_files_bytes_and_the_default_images_where_there_is_none() -> None:
    files = [png(0), None, png(1), png(0)] * 150
    images = scanned(files)
    assert _digests(images) == [_blake(file or b"") for file in files]
    assert images.bad == {}


def test_bad_files_are_found_by_their_header_without_decoding() -> None:
    tall = encoded(picture(1, 200))
    images = scanned(
        [png(0), b"no image", broken_jpeg(), b"", tall, encoded(picture(90, 90))], ImageLimits(max_pixels=8_000)
    )
    assert sorted(images.bad) == [1, 3, 4, 5]
    assert "text file" in images.bad[1]
    assert "empty" in images.bad[3]


def test_rows_that_are_not_asked_for_are_not_looked_at() -> None:
    table = table_of_arrow(pa.table({"image": pa.array([png(0), b"no image", png(2)], pa.large_binary())}), "dataset")
    images = scan(ImageColumn([table], "image", ImageLimits()), np.array([2]))
    assert images.bad == {}
    assert _digests(images) == [_blake(b""), _blake(b""), _blake(png(2))]
    assert [images.read(row) for row in range(3)] == [None, None, png(2)]


def test_a_default_image_takes_the_place_of_a_file() -> None:
    images = scanned([png(0), png(1)])
    images.use_default(1)
    assert [images.read(0), images.read(1)] == [png(0), None]


def _tables(folder: Path) -> list[Table]:
    """Paths in a table on disk, bytes in one in memory, and bytes on disk."""
    for seed in range(2):
        (folder / f"{seed}.png").write_bytes(png(seed))
    (folder / "paths.csv").write_text("image,x\n0.png,1\n,2\n1.png,3\n", encoding="utf-8")
    paths = open_table(folder / "paths.csv", None, folder / "cache", "dataset")
    rows = pa.table({"image": pa.array([png(2), None], pa.large_binary())})
    with pa.OSFile(str(folder / "bytes.arrow"), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    stored = open_table(folder / "bytes.arrow", None, folder / "cache", "test_dataset")
    return [
        Table(paths.rows, paths.field, FolderFiles((folder,)), paths.file),
        table_of_arrow(pa.table({"image": pa.array([png(3)], pa.large_binary())}), "validation_dataset"),
        stored,
    ]


def test_any_row_of_several_tables_is_read_here_and_in_another_process(tmp_path: Path) -> None:
    column = ImageColumn(_tables(tmp_path), "image", ImageLimits())
    expected = [png(0), None, png(1), png(3), png(2), None]
    assert len(column) == 6
    assert [column.read(row) for row in range(6)] == expected
    sent = pickle.dumps(column)
    assert png(2) not in sent, "what lies in a file is not sent"
    assert png(3) in sent
    received = pickle.loads(sent)
    assert [received.read(row) for row in range(6)] == expected


def test_cells_that_name_nothing_say_what_to_give() -> None:
    text = table_of_arrow(pa.table({"image": ["cat.png", "1"]}), "dataset")
    with pytest.raises(BadImageError, match=r"'cat\.png' is text, and there are no files"):
        ImageColumn([text], "image", ImageLimits()).read(0)
    number = table_of_arrow(pa.table({"image": [1.5]}), "dataset")
    with pytest.raises(BadImageError, match=r"1\.5 is a number, not an image"):
        ImageColumn([number], "image", ImageLimits()).read(0)


@dataclass(frozen=True)
class _Counted:
    """Files whose readings are counted."""

    reads: Counter[str]

    def read(self, name: str, limits: ImageLimits) -> bytes:
        self.reads[name] += 1
        return png(int(name))


def test_each_row_is_read_once_by_whatever_thread() -> None:
    names = [str(row) for row in range(300)]
    files, table = _Counted(Counter()), table_of_arrow(pa.table({"image": names}), "dataset")
    images = scan(ImageColumn([Table(table.rows, table.field, files)], "image", ImageLimits()), np.arange(300))
    assert files.reads == Counter(names)
    assert _digests(images) == [_blake(png(row)) for row in range(300)]
