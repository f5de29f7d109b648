"""Accuracy through gRPC where the encoder learns too: minutes of training, so it has a name of its own."""

from benchmarks.accuracy import Task, report
from benchmarks.support.corpus import corpus
from benchmarks.support.jobs import text_spec
from benchmarks.support.report import Report
from benchmarks.support.scale import Bench


def run(bench: Bench) -> Report:
    """Three epochs over everything, as is usual."""
    sst2 = corpus(bench.data_root, "text/sst2").head(*bench.pick((10_000, 10_000), (128, 64)))
    spec = text_spec("text", "label", trainer={"epochs": 3, "checkpoint": False}, trainable=True)
    task = Task("sst2, encoder trainable, 3 epochs", sst2, spec, "text", "label", encoder_trains=True)
    return report("accuracy_trainable", bench, [task])
