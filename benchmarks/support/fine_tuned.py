"""One way of training in a process of its own, so that its memory is its own: what it learned, took and held at most.

Usage: python -m benchmarks.support.fine_tuned FOLDER, which holds train.csv, test.csv and specs.json: specs of which
each begins from the model of the one before.
"""

import json
import sys
import time
from pathlib import Path

import pyarrow as pa
from headstart_server.core.layout import Layout
from headstart_server.core.names import new_id
from headstart_server.data.tables import Sources, table_of_arrow
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.local import LocalEngine
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.jobs.warm import warm_up
from headstart_server.model.registry import ModelRegistry
from headstart_server.spec.parse import parse_values
from headstart_server.storage.storage import Storage

from benchmarks.support.corpus import read_csv
from benchmarks.support.engine import Recorder
from benchmarks.support.memory import PeakMemory


def main(folder: Path) -> dict[str, float]:
    """Test accuracy, seconds, bytes of the learned files, and the largest growth of resident memory in bytes."""
    warm_up()
    storage = Storage(Layout(folder / "state"))
    runtime = RuntimeContext.at(storage, ModelSources())
    columns = (dict(read_csv(folder / f"{part}.csv")) for part in ("train", "test"))
    tables = tuple(table_of_arrow(pa.table(part), "dataset") for part in columns)
    sources, registry, model = Sources(tables, ("dataset", "test_dataset")), ModelRegistry(storage.models), ""
    memory, started, epochs = PeakMemory(), time.perf_counter(), 0
    for spec in json.loads((folder / "specs.json").read_text()):
        recorder = Recorder()
        job = JobContext(new_id(), "benchmark", parse_values(spec), sources, initial_model=model)
        model = LocalEngine(job, runtime, recorder).run()
        epochs += len(recorder.epochs)
    seconds = time.perf_counter() - started
    bundle = registry.get(model)
    return {
        "accuracy": bundle.details["metrics"]["test"]["label.accuracy"],
        "seconds": seconds,
        "epochs": epochs,
        "peak": memory.growth(),
        "size": registry.size_bytes(bundle),
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
