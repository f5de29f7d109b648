"""All of Fashion-MNIST in one job: profiled, encoded and trained, in how much memory."""

import threading
from pathlib import Path

import headstart

from benchmarks.accuracy_images import image_feature
from benchmarks.support.jobs import follow
from benchmarks.support.pictures import fashion_mnist, model_root
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import running_server

_COLUMNS = (
    Column("work", "job"),
    Column("rows", "rows", "{:,}"),
    Column("encoded", "encoded", "{:,}"),
    Column("seconds", "job, s", "{:,.0f}"),
    Column("rate", "encoded a second", "{:,.0f}"),
    Column("waited", "encoder waited for images", "{:.1%}"),
    Column("memory", "peak of all processes, GiB", "{:.2f}"),
    Column("test", "test accuracy", "{:.3f}"),
)


def run(bench: Bench) -> Report:
    """The job, and the same job again."""
    data_root = bench.scratch / "data"
    models = model_root(bench.data_root, bench.scratch / "models")
    train, test = fashion_mnist(bench.data_root, data_root, bench.pick(None, 600))
    spec = {"input_features": [image_feature("image")], "output_features": [{"name": "label", "type": "category"}]}
    rows = []
    with running_server(bench.scratch / "state", data_root, models) as address, headstart.Client(address) as client:
        for name in ("first", "again"):
            with _Memory() as memory:
                job = follow(client, spec, train, test, below=data_root)
            progress = job.encode
            busy = progress.compute_seconds + progress.data_wait_seconds
            rows.append(
                {
                    "work": name,
                    "rows": progress.rows_total,
                    "encoded": job.encoded,
                    "seconds": job.seconds,
                    "rate": job.encoded / busy if busy else None,
                    "waited": progress.data_wait_seconds / busy if busy else None,
                    "memory": memory.peak / 2**30,
                    "test": job.best.test["label.accuracy"],
                }
            )
    return Report(
        "many_images",
        "Whether memory stays bounded over many images, and whether decoding keeps the encoder busy.",
        "image/fashion_mnist, all of it, as PNG bytes in Parquet; mobilenet_v2 with real ImageNet features, frozen",
        [Table(_COLUMNS, rows)],
        ["Memory is the sum over server, worker and loading processes of what they hold at once (Pss), sampled."],
    )


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
        while not self._stop.wait(0.5):
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
