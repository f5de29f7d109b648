"""The sample of training rows that a model keeps."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from headstart_server.data.dataset import prepare
from headstart_server.data.images.files import FolderFiles
from headstart_server.data.parts import Part
from headstart_server.data.tables import Sources, Table
from headstart_server.engines.sample import sample_of
from headstart_server.spec.model import FeatureSpec, TrainSpec

from tests.support.images import png

SPEC = TrainSpec(
    input_features=[FeatureSpec(name="photo", type="image")],
    output_features=[FeatureSpec(name="label", type="category")],
)


def test_a_sample_holds_the_files_of_images_and_misses_one_that_is_gone(tmp_path: Path) -> None:
    names = [f"{index}.png" for index in range(10)]
    for index, name in enumerate(names):
        (tmp_path / name).write_bytes(png(index))
    rows = pa.table({"photo": pa.array(names, pa.large_string()), "label": pa.array(["a", "b"] * 5, pa.large_string())})
    data = prepare(SPEC, Sources((Table(rows, "dataset", FolderFiles((tmp_path,))),), ("dataset",)), 0)
    kept = sample_of(data).column("photo").to_pylist()
    assert kept and all(file in {png(index) for index in range(10)} for file in kept)
    (tmp_path / names[int(data.rows(Part.TRAIN)[0])]).unlink()
    assert sample_of(data).column("photo").to_pylist() == [None, *kept[1:]]
