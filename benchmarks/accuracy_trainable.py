"""Accuracy through gRPC where the encoder learns too, in one process and on Ray: minutes of training, so it has a name
of its own."""

from benchmarks.accuracy import Task, report
from benchmarks.support.corpus import corpus
from benchmarks.support.jobs import text_spec
from benchmarks.support.report import Report
from benchmarks.support.scale import Bench


def run(bench: Bench) -> Report:
    """Three epochs over everything, as is usual."""
    sst2 = corpus(bench.data_root, "text/sst2").head(*bench.pick((10_000, 10_000), (128, 64)))
    spec = text_spec("text", "label", trainer={"epochs": 3, "checkpoint": False}, trainable=True)
    ray = {**spec, "backend": {"type": "ray", "trainer": {"num_workers": 2}}}
    tasks = [
        Task(f"sst2, encoder trainable, 3 epochs{where}", sst2, wanted, "text", "label", encoder_trains=True)
        for where, wanted in (("", spec), (", 2 workers on Ray", ray))
    ]
    return report("accuracy_trainable", bench, tasks)
