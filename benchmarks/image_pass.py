"""The embedding pass over images: decoding alone, encoding alone, and both at once, beside a plain torchvision loop."""

import io
from collections.abc import Callable
from pathlib import Path

import torch
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.images.loader import workers_for
from headstart_server.data.images.scan import ScannedImages
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.encoding.images import ImageRows
from headstart_server.encoding.matrix import embed
from headstart_server.encoding.rows import PassContext
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.models import MobileNet_V2_Weights

from benchmarks.support.clock import Sample, elapsed, interleaved
from benchmarks.support.image_work import (
    MANY,
    crops_of,
    decode_all,
    encode_all,
    loader_of,
    mobilenet_plan,
    placed_encoder,
    scanned_images,
)
from benchmarks.support.machine import device
from benchmarks.support.pictures import fashion_mnist, model_root, photos
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench

_DECODE, _ENCODE, _BOTH, _PLAIN = "decode and resize alone", "encode alone", "headstart, the whole pass", "plain loop"
_BATCH = 32
_PLAIN_PART = 4
"""The plain loop is so slow that it reads one image in four."""
_COLUMNS = (
    Column("data", "images"),
    Column("work", "work"),
    Column("images_per_second", "images/s", "{:,.0f}"),
    Column("spread", "spread", "{:.0%}"),
    Column("over_slower", "over the slower of the two alone", "{:.2f}×"),
    Column("ours_over", "the whole pass is faster by", "{:.2f}×"),
)


def run(bench: Bench) -> Report:
    """Small images with one channel, which are all encoding, and photos, which take time to decode."""
    models = model_root(bench.data_root, bench.scratch / "models")
    train, _ = fashion_mnist(bench.data_root, bench.scratch / "mnist", bench.pick(1_536, 576))
    pets = photos(bench.data_root, "image/cats_dogs", bench.scratch)
    rows = []
    for name, path, column in (
        ("fashion_mnist, 28 x 28", train, "image"),
        ("cats_dogs, photos", pets / "train.csv", "image_path"),
    ):
        work = _Work(scanned_images(path, column, bench.scratch / "tables"), column, models, bench.scratch / name[:4])
        samples = interleaved(work.contenders(), bench.pick(3, 1))
        rows += _rows(name, samples, work.count)
    return Report(
        "image_pass",
        "Whether decoding overlaps with encoding, and how fast a frozen image encoder reads files.",
        "image/fashion_mnist as PNG files and image/cats_dogs, the real images; mobilenet_v2, real weights, 224 x 224",
        [Table(_COLUMNS, rows)],
        [
            f"Decoding alone runs on {workers_for(MANY)} process(es), as it does in the pass; encoding alone reads "
            "crops that lie in memory. On a machine where they share the cores, both together cannot be free.",
            "The whole pass also hashes, looks up, publishes shards and gathers the matrix.",
            f"The plain loop: torchvision's model and preset, a DataLoader with as many workers, batches of {_BATCH}, "
            f"over one image in {_PLAIN_PART}.",
        ],
    )


class _Work:
    """The contenders over one data set."""

    def __init__(self, images: ScannedImages, column: str, models: Path, scratch: Path) -> None:
        self.images, self.count = images, len(images.column)
        self.plan = mobilenet_plan(column, models)
        self._scratch, self._turn = scratch, 0
        self._context = PassContext(device(), scratch / "tokens", ImageLimits())
        self._loader = loader_of(self.plan, images)
        self._crops = crops_of(self._loader, column, self.count)

    def contenders(self) -> dict[str, Callable[[], float]]:
        encoder = placed_encoder(self.plan)
        return {
            _DECODE: lambda: elapsed(lambda: decode_all(self._loader, self.count)),
            _ENCODE: lambda: elapsed(lambda: encode_all(encoder, self._crops)),
            _BOTH: lambda: elapsed(self._both),
            _PLAIN: lambda: _PLAIN_PART * elapsed(self._plain),
        }

    def _both(self) -> None:
        self._turn += 1
        store = EmbeddingStore(self._scratch / str(self._turn)).space(self.plan.space)
        encode = ImageRows(self.images, self._context).encoder_pass(self.plan)
        embed(store, self.images.keys, encode, lambda progress: None, self._scratch)
        store.close()

    def _plain(self) -> None:
        plan = self.plan
        model = plan.load_encoder().model.to(memory_format=torch.contiguous_format)
        loader = DataLoader(
            _Preset(self.images), _BATCH, num_workers=workers_for(MANY), multiprocessing_context="forkserver"
        )
        _read(model, loader)


class _Preset(Dataset[torch.Tensor]):
    """Files through torchvision's own preset."""

    def __init__(self, images: ScannedImages) -> None:
        self._images = images
        self._transform = MobileNet_V2_Weights.DEFAULT.transforms()

    def __len__(self) -> int:
        return len(self._images.column) // _PLAIN_PART

    def __getitem__(self, row: int) -> torch.Tensor:
        data = self._images.read(row)
        assert data is not None
        found: torch.Tensor = self._transform(Image.open(io.BytesIO(data)).convert("RGB"))
        return found


def _read(model: nn.Module, loader: "DataLoader[torch.Tensor]") -> None:
    with torch.inference_mode():
        for batch in loader:
            model(batch)


def _rows(name: str, samples: dict[str, Sample], count: int) -> list[dict[str, object]]:
    slower = max(samples[_DECODE].median, samples[_ENCODE].median)
    return [
        {
            "data": name,
            "work": work,
            "images_per_second": count / sample.median,
            "spread": sample.spread,
            "over_slower": sample.median / slower if work == _BOTH else None,
            "ours_over": sample.median / samples[_BOTH].median if work == _PLAIN else None,
        }
        for work, sample in samples.items()
    ]
