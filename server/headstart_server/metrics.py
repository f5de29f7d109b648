"""Every Prometheus metric of the service, in one place."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

RPCS = Counter("headstart_rpcs", "RPCs ended, by method and status code.", ["method", "code"])
RPC_SECONDS = Histogram(
    "headstart_rpc_seconds",
    "Duration of RPCs, streams to their end.",
    ["method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
)
JOBS = Gauge("headstart_jobs", "Jobs by state since the server started.", ["state"])
DAMAGED = Gauge(
    "headstart_damaged_resources", "Resources left out of the last full list: their description is damaged.", ["kind"]
)
ROWS = Counter("headstart_embedding_rows", "Rows of embedding passes, by what became of them.", ["outcome"])
TRAINING_SPEED = Gauge("headstart_training_rows_per_second", "Training speed of the last epoch.")
BATCH_ROWS = Histogram(
    "headstart_predict_batch_rows",
    "Rows of the batches that predictions share.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 1024),
)
BATCH_WAIT = Histogram(
    "headstart_predict_wait_seconds",
    "Time that a prediction waits for its batch.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
)

OUTCOMES = ("found", "repeated", "encoded", "shared")
_passes: dict[tuple[str, str], Mapping[str, int]] = {}


def count_encoded(feature: str, space: str, counts: Mapping[str, int], *, done: bool) -> None:
    """Adds what a pass did since its last report, by outcome; counts of rows start again with each pass."""
    last = _passes.get((feature, space), {})
    if any(count < last.get(outcome, 0) for outcome, count in counts.items()):
        last = {}
    for outcome, count in counts.items():
        ROWS.labels(outcome).inc(count - last.get(outcome, 0))
    _passes[feature, space] = {} if done else counts


class StoreCollector(Collector):
    """Bytes and shards of the embedding store, read when scraped."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Walks the shards."""
        sizes = []
        for path in self._root.glob("*/shards/[!.]*.safetensors"):
            try:
                sizes.append(path.stat().st_size)
            except FileNotFoundError:
                continue
        yield GaugeMetricFamily("headstart_store_bytes", "Bytes of stored embeddings.", value=sum(sizes))
        yield GaugeMetricFamily("headstart_store_shards", "Shards of stored embeddings.", value=len(sizes))


def watch_store(root: Path) -> StoreCollector:
    """Registers the store's metrics."""
    collector = StoreCollector(root)
    REGISTRY.register(collector)
    return collector
