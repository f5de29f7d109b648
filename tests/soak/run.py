"""Mixed traffic on one server for half an hour: what it holds of memory, descriptors and threads does not grow.

    python -m tests.soak.run --minutes 30 --seed 1

Clients predict, embed, upload, train, watch, cancel, export, list and delete, all of it again and again. Ten minutes
go before, in which caches fill; of the rest, a straight line through the samples must have a slope that cannot be told
from none.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import headstart
import numpy as np

from tests.support import reviews
from tests.support.running_server import RunningServer
from tests.support.tiny_models import save_bert

ROWS = reviews.columns(reviews.make_rows(8), "review", "price", "category")
DATA = headstart.ServerPath("reviews.csv")
_CLIENTS = 4
_TEXTS = 200
"""Different ones that are embedded: so few that the store has had all of them before anything is measured."""
_SAMPLE_SECONDS = 5.0
_ERRORS = 3.0
"""Standard errors within which a slope cannot be told from none."""
_BLOCKS = 12
"""Means of so many stretches are independent enough for a standard error; single samples are not."""


@dataclass(frozen=True)
class Slope:
    """How something grew."""

    name: str
    per_hour: float
    error: float
    """One standard error of it."""
    mean: float

    @property
    def grows(self) -> bool:
        """Whether it grew more than chance explains, and by more than a hundredth of what it is in an hour."""
        return self.per_hour > _ERRORS * self.error and self.per_hour > 0.01 * self.mean

    def __str__(self) -> str:
        return f"{self.name}: {self.mean:,.1f}, {self.per_hour:+,.2f} per hour, standard error {self.error:,.2f}"


@dataclass
class Samples:
    """What a server held, sample by sample."""

    pid: int
    times: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)

    def take(self, now: float) -> None:
        """One sample: resident memory in MiB, descriptors, threads."""
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if ":" in line
        )
        found = {
            "resident MiB": int(status["RssAnon"].split()[0]) / 1024,
            "descriptors": len(list(Path(f"/proc/{self.pid}/fd").iterdir())),
            "threads": int(status["Threads"]),
        }
        self.times.append(now)
        for name, value in found.items():
            self.values.setdefault(name, []).append(value)

    def slopes(self) -> list[Slope]:
        """Of what is sampled, in an hour."""
        hours = np.array(self.times) / 3600
        return [slope_of(name, hours, np.array(values)) for name, values in self.values.items()]


def slope_of(name: str, hours: np.ndarray, values: np.ndarray) -> Slope:
    """The least-squares line through means of equal stretches, and the standard error of its slope."""
    blocks = min(_BLOCKS, len(values))
    x = np.array([part.mean() for part in np.array_split(hours, blocks)])
    y = np.array([part.mean() for part in np.array_split(values, blocks)])
    slope, intercept = np.polyfit(x, y, 1)
    residuals = y - (slope * x + intercept)
    spread = float(((x - x.mean()) ** 2).sum())
    error = float(np.sqrt((residuals**2).sum() / max(1, blocks - 2) / spread))
    return Slope(name, float(slope), error, float(values.mean()))


class Traffic:
    """What clients do, drawn from a seed, until they are stopped."""

    def __init__(self, server: RunningServer, root: Path, seed: int) -> None:
        self._server, self._root, self._seed = server, root, seed
        self.stopped = threading.Event()
        self.done: Counter[str] = Counter()

    def client(self, number: int) -> None:
        """One client's calls."""
        draws = random.Random(f"{self._seed}/{number}")
        actions: list[Callable[[headstart.Client, random.Random], None]] = [
            *[self._predict] * 20,
            *[self._embed] * 4,
            *[self._upload] * 2,
            *[self._train] * 3,
            self._cancel,
            self._export,
            *[self._lists] * 4,
            self._forget,
            self._mistake,
        ]
        with self._server.client() as client:
            while not self.stopped.is_set():
                action = draws.choice(actions)
                try:
                    action(client, draws)
                    self.done[action.__name__.strip("_")] += 1
                except headstart.ResourceExhausted:  # a busy server says so
                    self.done["refused"] += 1
                    time.sleep(0.2)
                except headstart.NotFound:  # another client has deleted it
                    self.done["gone"] += 1

    def _model(self, client: headstart.Client) -> str:
        model = next((model.name for model in client.models.list()), "")
        return model or client.train(reviews.spec(epochs=2), DATA).result().model

    def _predict(self, client: headstart.Client, draws: random.Random) -> None:
        client.predict(self._model(client), ROWS)

    def _embed(self, client: headstart.Client, draws: random.Random) -> None:
        encoder = {"type": "auto_transformer", "pretrained_model_name_or_path": "tiny-bert"}
        feature = {"name": "review", "type": "text", "encoder": encoder}
        client.embed(feature, [f"words {draws.randrange(_TEXTS)}" for _ in range(8)])

    def _upload(self, client: headstart.Client, draws: random.Random) -> None:
        path = self._root / f"{threading.get_ident()}.csv"
        reviews.write_csv(path, reviews.make_rows(60, seed=draws.randrange(10_000)))
        client.datasets.delete(client.upload_dataset(path).name)

    def _train(self, client: headstart.Client, draws: random.Random) -> None:
        run = client.train(reviews.spec(epochs=3, random_seed=draws.randrange(1000)), DATA)
        job = run.result()
        if len(list(client.models.list())) > 5:
            client.models.delete(job.model)
        client.jobs.delete(run.name)

    def _cancel(self, client: headstart.Client, draws: random.Random) -> None:
        run = client.train(reviews.spec(epochs=100_000, early_stop=-1), DATA)
        client.jobs.cancel(run.name)
        for _ in run:
            pass
        client.jobs.delete(run.name)

    def _export(self, client: headstart.Client, draws: random.Random) -> None:
        run = client.train(reviews.spec(epochs=1), DATA)
        model = run.result().model
        exported = client.export(model, "onnx")
        client.artifacts.delete(exported.artifact.name)
        client.models.delete(model)
        client.jobs.delete(run.name)

    def _lists(self, client: headstart.Client, draws: random.Random) -> None:
        for resources in (client.jobs, client.models, client.datasets, client.artifacts):
            list(resources.list())

    def _forget(self, client: headstart.Client, draws: random.Random) -> None:
        """Now and then, so that rows are encoded for as long as the soak takes, and the store stays as small."""
        if draws.random() < 0.5:
            return
        for space in client.embedding_spaces.list():
            with suppress(headstart.FailedPrecondition):  # a job uses it
                client.embedding_spaces.delete(space.name)

    def _mistake(self, client: headstart.Client, draws: random.Random) -> None:
        try:
            client.predict(self._model(client), {"review": ["x"]})
        except headstart.InvalidArgument:
            return
        raise AssertionError("rows without their columns were predicted")


def soak(warm_seconds: float, seconds: float, seed: int) -> tuple[list[Slope], Counter[str]]:
    """Runs the traffic; returns how the server grew once it was warm, and how often what was done."""
    with tempfile.TemporaryDirectory(prefix="headstart-soak-") as folder:
        root = Path(folder)
        reviews.write_csv(root / "reviews.csv", reviews.make_rows(240))
        save_bert(root / "models" / "tiny-bert")
        flags = ["--data-root", folder, "--model-root", str(root / "models"), "--warm-workers", "1"]
        with RunningServer(root / "state", *flags) as server, ThreadPoolExecutor(_CLIENTS) as threads:
            assert server.process is not None
            traffic, samples = Traffic(server, root, seed), Samples(server.process.pid)
            clients = [threads.submit(traffic.client, number) for number in range(_CLIENTS)]
            begin = time.monotonic()
            try:
                while (now := time.monotonic() - begin - warm_seconds) < seconds:
                    if any(client.done() for client in clients):
                        break
                    if now >= 0:
                        samples.take(now)
                    time.sleep(_SAMPLE_SECONDS)
            finally:
                traffic.stopped.set()
            for client in clients:
                client.result(300)
        return samples.slopes(), traffic.done


def main(argv: list[str]) -> int:
    """Soaks a server; returns the exit code: 0 where nothing grew."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.run", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="that are measured")
    parser.add_argument("--warm-minutes", type=float, default=10.0, help="that go before")
    parser.add_argument("--seed", type=int, default=1, help="of what clients do")
    arguments = parser.parse_args(argv)
    slopes, done = soak(arguments.warm_minutes * 60, arguments.minutes * 60, arguments.seed)
    print(", ".join(f"{name} {count}" for name, count in sorted(done.items())))
    for slope in slopes:
        print(f"{slope}{' GROWS' if slope.grows else ''}")
    return 1 if any(slope.grows for slope in slopes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
