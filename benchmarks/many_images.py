"""All of Fashion-MNIST in one job: profiled, encoded and trained, in how much memory."""

from pathlib import Path
from statistics import mean
from typing import Any

import headstart

from benchmarks.accuracy_images import image_feature
from benchmarks.support.clock import elapsed
from benchmarks.support.image_work import (
    crops_of,
    decode_all,
    encode_all,
    loader_of,
    mobilenet_plan,
    placed_encoder,
    scanned_images,
)
from benchmarks.support.jobs import follow
from benchmarks.support.pictures import fashion_mnist, model_root
from benchmarks.support.processes import Interludes, PeakMemory
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import running_server

_DECODE, _ENCODE = "decode and resize alone", "encode alone"
_CROPS, _DECODED = 320, 2_000
_COLUMNS = (
    Column("work", "work"),
    Column("rows", "rows", "{:,}"),
    Column("encoded", "encoded", "{:,}"),
    Column("seconds", "job, s", "{:,.0f}"),
    Column("rate", "encoded a second", "{:,.0f}"),
    Column("waited", "encoder waited for images", "{:.1%}"),
    Column("over_slower", "over the slower part alone", "{:.2f}×"),
    Column("memory", "peak of all processes, GiB", "{:.2f}"),
    Column("test", "test accuracy", "{:.3f}"),
)


def run(bench: Bench) -> Report:
    """The job, with decoding and encoding alone measured in between, and the same job again."""
    data_root = bench.scratch / "data"
    models = model_root(bench.data_root, bench.scratch / "models")
    train, test = fashion_mnist(bench.data_root, data_root, bench.pick(None, 2_000))
    with (
        running_server(bench.scratch / "state", data_root, models) as address,
        headstart.Client(address) as client,
        _Alone(train, models, bench.scratch / "tables") as alone,
    ):
        with Interludes(bench.pick(40.0, 8.0), alone.measure) as interludes:
            first = _job(client, "first", train, test, interludes)
        again = _job(client, "again", train, test)
    first["over_slower"] = first["busy"] / (max(alone.seconds.values()) * first["encoded"])
    parts = [{"work": name, "rate": 1 / seconds} for name, seconds in alone.seconds.items()]
    return Report(
        "many_images",
        "Whether memory stays bounded over many images, and whether decoding keeps the encoder busy.",
        "image/fashion_mnist, all of it, as PNG bytes in Parquet; mobilenet_v2 with real ImageNet features, frozen",
        [Table(_COLUMNS, [first, *parts, again])],
        [
            "Memory is the sum over server, worker and loading processes of what they hold at once (Pss), sampled.",
            f"{len(interludes.pauses)} times the first job's processes are stopped, in mid-pass, to measure decoding "
            f"{_DECODED:,} images alone, by as many processes, and encoding {_CROPS:,} crops that lie in memory; its "
            "seconds are those in between.",
        ],
    )


def _job(
    client: headstart.Client, name: str, train: Path, test: Path, interludes: Interludes | None = None
) -> dict[str, Any]:
    spec = {"input_features": [image_feature("image")], "output_features": [{"name": "label", "type": "category"}]}
    with PeakMemory() as memory:
        job = follow(client, spec, train, test, below=train.parent)
    progress = job.encode
    busy, seconds = progress.compute_seconds + progress.data_wait_seconds, job.seconds
    if interludes is not None:
        busy -= interludes.seconds(*job.encode_span)
        seconds -= interludes.seconds(0.0, float("inf"))
    return {
        "work": f"{name} job",
        "rows": progress.rows_total,
        "encoded": job.encoded,
        "busy": busy,
        "seconds": seconds,
        "rate": job.encoded / busy if job.encoded else None,
        "waited": progress.data_wait_seconds / busy if job.encoded else None,
        "memory": memory.peak / 2**30,
        "test": job.best.test["label.accuracy"],
    }


class _Alone:
    """Decoding alone and encoding alone, as a job does them."""

    def __init__(self, train: Path, models: Path, cache: Path) -> None:
        images = scanned_images(train, "image", cache)
        plan = mobilenet_plan("image", models)
        self._loader, self._count = loader_of(plan, images), min(_DECODED, len(images.column))
        self._crops = crops_of(self._loader, "image", min(_CROPS, len(images.column)))
        self._encoder = placed_encoder(plan)
        encode_all(self._encoder, self._crops)
        self._found: dict[str, list[float]] = {_DECODE: [], _ENCODE: []}

    def __enter__(self) -> "_Alone":
        return self

    def __exit__(self, *_: object) -> None:
        self._loader.close()

    @property
    def seconds(self) -> dict[str, float]:
        """Mean seconds an image takes."""
        return {name: mean(found) for name, found in self._found.items()}

    def measure(self) -> None:
        """Both, once."""
        decode = elapsed(lambda: decode_all(self._loader, self._count))
        encode = elapsed(lambda: encode_all(self._encoder, self._crops))
        self._found[_DECODE].append(decode / self._count)
        self._found[_ENCODE].append(encode / sum(len(rows) for rows, _ in self._crops))
