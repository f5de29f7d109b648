"""The chart of this field: seconds per epoch and accuracy, from a trainable encoder to stored embeddings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import headstart

from benchmarks.support.chart import bar_chart
from benchmarks.support.clock import Sample
from benchmarks.support.corpus import Corpus, corpus, write_csv
from benchmarks.support.jobs import FollowedJob, follow, text_spec
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import running_server

_TARGET = "sentiment"
_BATCH = 32
_COLUMNS = (
    Column("way", "way to train"),
    Column("seconds", "seconds per epoch", "{:.3g}"),
    Column("faster", "times faster", "{:,.1f}×"),
    Column("spread", "spread", "{:.0%}"),
    Column("epochs", "epochs"),
    Column("encode_seconds", "encoded once, s", "{:.1f}"),
    Column("job_seconds", "whole job, s", "{:.1f}"),
    Column("accuracy", "test accuracy", "{:.3f}"),
    Column("remark", "remark"),
)


@dataclass(frozen=True)
class Way:
    """One bar of the chart."""

    name: str
    trainable: bool = False
    cached: bool = False
    mixed: bool = False
    epochs: int | None = None
    """None: as many as the product's own rule says."""

    def spec(self) -> dict[str, Any]:
        """The job's spec. The stored way takes the batch size of the others, so that the epochs compare."""
        trainer = {"batch_size": _BATCH, "use_mixed_precision": self.mixed, "checkpoint": False, "early_stop": -1}
        if self.epochs is not None:
            trainer["epochs"] = self.epochs
        else:
            del trainer["batch_size"], trainer["early_stop"]
        return text_spec("text", _TARGET, trainer=trainer, trainable=self.trainable, cached=self.cached)


def run(bench: Bench) -> Report:
    """One job per way over the same rows, through a server."""
    found = corpus(bench.data_root, "text/yelp_reviews").head(*bench.pick((2_000, 1_000), (128, 64)))
    ways = _ways(bench.pick(3, 1))
    jobs = _jobs(bench, found, ways)
    rows = _rows(ways, jobs)
    picture = bar_chart(
        bench.out / "headline.png",
        "Seconds per epoch, and test accuracy",
        [str(row["way"]) for row in rows],
        [float(str(row["seconds"])) for row in rows],
        [_label(row) for row in rows],
    )
    return Report(
        "headline",
        "What one epoch costs by how the encoder takes part, and what accuracy it buys.",
        f"{found.origin}; {len(found.train['text']):,} rows to train on (a tenth of them validates), "
        f"{len(found.test['text']):,} to test, at most 256 tokens each",
        [Table(_COLUMNS, rows)],
        [
            f"Picture: {picture.name}. Seconds are the median of the epochs' training passes as the job reports them.",
            "Times faster is over the first line. A mixed-precision job that the product runs in fp32 because this "
            "machine computes bf16 no faster says so in its remark.",
            "The last line lets the product choose epochs and batch size: what the time saved can be spent on.",
        ],
    )


def _ways(epochs: int) -> list[Way]:
    return [
        Way("encoder trainable, fp32", trainable=True, epochs=epochs),
        Way("encoder trainable, mixed precision", trainable=True, mixed=True, epochs=epochs),
        Way("encoder frozen, fp32", epochs=epochs),
        Way("encoder frozen, mixed precision", mixed=True, epochs=epochs),
        Way("encoder frozen, embeddings stored", cached=True, epochs=epochs),
        Way("the same, epochs by rule", cached=True),
    ]


def _jobs(bench: Bench, found: Corpus, ways: Sequence[Way]) -> list[FollowedJob]:
    data_root = bench.scratch / "data"
    with running_server(bench.scratch / "state", data_root) as address, headstart.Client(address) as client:
        train = write_csv(data_root / "train.csv", found.train)
        test = write_csv(data_root / "test.csv", found.test)
        return [follow(client, way.spec(), train, test) for way in ways]


def _rows(ways: Sequence[Way], jobs: Sequence[FollowedJob]) -> list[dict[str, object]]:
    first = _sample(jobs[0]).median
    return [
        {
            "way": way.name,
            "seconds": _sample(job).median,
            "faster": first / _sample(job).median,
            "spread": _sample(job).spread,
            "epochs": len(job.epochs),
            "encode_seconds": job.encode.rows_encoded / job.encode.rows_per_second if job.encode.rows_encoded else None,
            "job_seconds": job.seconds,
            "accuracy": job.best.test[f"{_TARGET}.accuracy"],
            "remark": "ran in fp32: bf16 is no faster here" if _fell_back(job) else "",
        }
        for way, job in zip(ways, jobs, strict=True)
    ]


def _label(row: Mapping[str, object]) -> str:
    fallen = " (ran in fp32)" if row["remark"] else ""
    return f"{row['seconds']:.3g} s, accuracy {row['accuracy']:.2f}{fallen}"


def _sample(job: FollowedJob) -> Sample:
    return Sample(tuple(epoch.train_seconds for epoch in job.epochs))


def _fell_back(job: FollowedJob) -> bool:
    return "MIXED_PRECISION_NOT_FASTER" in job.warnings
