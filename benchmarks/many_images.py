"""All of Fashion-MNIST in one job: profiled, encoded and trained, in how much memory."""

import threading
from pathlib import Path
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
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import running_server

_DECODE, _ENCODE = "decode and resize alone", "encode alone"
_CROPS = 2_048
_SAMPLE_SECONDS = 4.0
"""Reading what a process holds takes the kernel some 10 ms a gigabyte, of the time that is measured here."""
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
    """The job, decoding and encoding alone, and the same job again."""
    data_root = bench.scratch / "data"
    models = model_root(bench.data_root, bench.scratch / "models")
    train, test = fashion_mnist(bench.data_root, data_root, bench.pick(None, 600))
    with running_server(bench.scratch / "state", data_root, models) as address, headstart.Client(address) as client:
        before = _alone(train, models, bench)
        first = _job(client, "first", train, test)
        after = _alone(train, models, bench)
        again = _job(client, "again", train, test)
    alone = {name: (before[name] + after[name]) / 2 for name in before}
    slower = max(alone[_DECODE], alone[_ENCODE]) * first["encoded"]
    first["over_slower"] = first["busy"] / slower
    parts = [{"work": name, "rate": 1 / seconds} for name, seconds in alone.items()]
    return Report(
        "many_images",
        "Whether memory stays bounded over many images, and whether decoding keeps the encoder busy.",
        "image/fashion_mnist, all of it, as PNG bytes in Parquet; mobilenet_v2 with real ImageNet features, frozen",
        [Table(_COLUMNS, [first, *parts, again])],
        [
            "Memory is the sum over server, worker and loading processes of what they hold at once (Pss), sampled.",
            "Decoding alone reads every training image by as many processes as the job; encoding alone reads "
            f"{_CROPS:,} crops that lie in memory. Both are measured before the first job and after it.",
        ],
    )


def _job(client: headstart.Client, name: str, train: Path, test: Path) -> dict[str, Any]:
    spec = {"input_features": [image_feature("image")], "output_features": [{"name": "label", "type": "category"}]}
    with _Memory() as memory:
        job = follow(client, spec, train, test, below=train.parent)
    progress = job.encode
    busy = progress.compute_seconds + progress.data_wait_seconds
    return {
        "work": f"{name} job",
        "rows": progress.rows_total,
        "encoded": job.encoded,
        "busy": busy,
        "seconds": job.seconds,
        "rate": job.encoded / busy if busy else None,
        "waited": progress.data_wait_seconds / busy if busy else None,
        "memory": memory.peak / 2**30,
        "test": job.best.test["label.accuracy"],
    }


def _alone(train: Path, models: Path, bench: Bench) -> dict[str, float]:
    """Seconds an image takes to decode alone and to encode alone."""
    images = scanned_images(train, "image", bench.scratch / "tables")
    plan = mobilenet_plan("image", models)
    loader, count = loader_of(plan, images), len(images.column)
    crops = crops_of(loader, "image", min(_CROPS, count))
    encoder = placed_encoder(plan)
    encode_all(encoder, crops[:2])
    found = {
        _DECODE: elapsed(lambda: decode_all(loader, count)) / count,
        _ENCODE: elapsed(lambda: encode_all(encoder, crops)) / sum(len(rows) for rows, _ in crops),
    }
    loader.close()
    return found


class _Memory:
    """The peak of what this process's descendants hold together, in bytes."""

    def __init__(self) -> None:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self.peak = max(self.peak, sum(map(_held, _descendants(Path("/proc/self").resolve().name))))


def _descendants(root: str) -> list[str]:
    parents: dict[str, str] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[stat.parent.name] = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
    found, level = [], [root]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        found += level
    return found


def _held(process: str) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
