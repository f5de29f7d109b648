"""The images that benchmarks read: real ones only, for made-up ones would say nothing."""

import csv
import gzip
import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

MOBILENET = "mobilenet_v2"
_HEADER = 16
_LABEL_HEADER = 8


def photos(data_root: Path, name: str, target: Path) -> Path:
    """A data set with `images.tar` beside its CSV files, unpacked below `target`; returns its folder there."""
    source = _required(data_root / name / "images.tar").parent
    folder = target / source.name
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(source / "images.tar") as archive:
        archive.extractall(folder, filter="data")
    for path in source.glob("*.csv"):
        shutil.copyfile(path, folder / path.name)
    return folder


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fashion_mnist(data_root: Path, target: Path, limit: int | None = None) -> tuple[Path, Path]:
    """Fashion-MNIST as Parquet with PNG bytes: (training rows, test rows), at most `limit` of the former."""
    folder = _required(data_root / "image/fashion_mnist/train-images-idx3-ubyte.gz").parent
    target.mkdir(parents=True, exist_ok=True)
    parts = []
    for part, prefix, most in (("train", "train", limit), ("test", "t10k", None if limit is None else limit // 6)):
        images = _idx(folder / f"{prefix}-images-idx3-ubyte.gz", _HEADER).reshape(-1, 28, 28)[:most]
        labels = _idx(folder / f"{prefix}-labels-idx1-ubyte.gz", _LABEL_HEADER)[:most]
        table = pa.table({"image": [png(image) for image in images], "label": [f"class {label}" for label in labels]})
        parts.append(target / f"fashion_mnist_{part}.parquet")
        pq.write_table(table, parts[-1], row_group_size=10_000)
    return parts[0], parts[1]


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Pixels as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def model_root(data_root: Path, target: Path) -> Path:
    """A model root with real ImageNet features of mobilenet_v2."""
    weights = _required(data_root / "weights/mobilenet_v2/mobilenet_v2_imagenet_features.pth")
    folder = target / MOBILENET
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(weights, folder / weights.name)
    return target


def _idx(path: Path, header: int) -> npt.NDArray[np.uint8]:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8)[header:]


def _required(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path.name} is not there: set HEADSTART_TEST_DATA to the folder with the real data sets"
        )
    return path
