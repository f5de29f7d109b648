"""The quickstart: starts a server, trains twice, predicts, exports, runs the export, and says what happened."""

import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import headstart
import yaml
from headstart.v1 import training_pb2
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
STATE = Path(".headstart/quickstart")
NEW_ROWS: dict[str, list[Any]] = {
    "review": ["The handle snapped within a week and nobody replied.", "Quiet, sturdy and a joy to use every day!"],
    "price": [89.0, 24.5],
    "category": ["garden", "kitchen"],
}

console = Console(highlight=False)


@contextmanager
def server() -> Iterator[headstart.Client]:
    """A server of its own on a free port, and a client of it."""
    shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir(parents=True)
    port_file, http_port_file = STATE / "port", STATE / "http_port"
    command = [sys.executable, "-m", "headstart_server.app", "--state-dir", str(STATE), "--port", "0"]
    command += ["--http-port", "0", "--http-port-file", str(http_port_file)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with (STATE / "server.log").open("w") as log:
        process = subprocess.Popen([*command, "--port-file", str(port_file)], stderr=log, env=environment)
    try:
        while not port_file.exists():
            if process.poll() is not None:
                raise SystemExit(f"the server did not start:\n{(STATE / 'server.log').read_text()}")
            time.sleep(0.1)
        console.print(f"Its page, for as long as it runs: http://localhost:{http_port_file.read_text()}/")
        with headstart.Client(f"localhost:{port_file.read_text()}") as client:
            yield client
    finally:
        process.terminate()
        process.wait()


def train(client: headstart.Client, title: str, spec: Path | dict[str, object]) -> tuple[training_pb2.TrainJob, float]:
    """Trains one model, saying what happens; returns the job and its seconds from call to SUCCEEDED."""
    console.print(f"\n[bold]{title}[/bold]")
    started = time.perf_counter()
    run = client.train(spec, HERE / "reviews.csv")
    for event in run:
        if event.HasField("encode_progress"):
            seen = event.encode_progress
            console.print(
                f"  encoder: {seen.rows_encoded:3} rows read, {seen.rows_found:3} found in the store, "
                f"{seen.rows_repeated:3} repeats of {seen.rows_total}"
            )
        if event.HasField("epoch_finished"):
            epoch = event.epoch_finished
            accuracy = epoch.validation["recommended.accuracy"]
            console.print(
                f"  epoch {epoch.epoch:2}: validation accuracy {accuracy:.3f} in {1000 * epoch.train_seconds:.0f} ms"
            )
    return run.result(), time.perf_counter() - started


def second_spec() -> dict[str, object]:
    """Another experiment on the same rows: a deeper head with ghost batch norm."""
    spec: dict[str, object] = yaml.safe_load((HERE / "spec.yaml").read_text())
    spec["combiner"] = {"type": "concat", "num_fc_layers": 1, "output_size": 64, "norm": "ghost", "dropout": 0.1}
    return spec


def predict(client: headstart.Client, model: str) -> None:
    """Asks the live model about two reviews it has never seen."""
    console.print("\n[bold]Predict[/bold], raw columns in:")
    predictions = client.predict(model, NEW_ROWS)
    output = predictions["recommended"]
    for text, label in zip(NEW_ROWS["review"], output.values, strict=True):
        console.print(f"  {label:>3}  {text}")


def export(client: headstart.Client, model: str) -> None:
    """Exports to ONNX and runs the artifact without Headstart."""
    console.print("\n[bold]Export[/bold] to ONNX, encoder included, and run it without Headstart:")
    folder = STATE / "onnx"
    exported = client.export(model, format="onnx", output_dir=folder)
    console.print(
        f"  {folder}: {exported.artifact.size_bytes / 2**20:.0f} MiB, differs by {exported.artifact.max_difference:.0e}"
    )
    rows = STATE / "rows.csv"
    with rows.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(NEW_ROWS)
        writer.writerows(zip(*NEW_ROWS.values(), strict=True))
    found = subprocess.run([sys.executable, folder / "predict.py", rows], check=True, capture_output=True, text=True)
    for line in found.stdout.splitlines():
        console.print(f"  {line}")


def main() -> None:
    """Runs it all."""
    console.print("Starting a server ...")
    with server() as client:
        first, first_seconds = train(client, "First run: the encoder reads each row once", HERE / "spec.yaml")
        second, second_seconds = train(client, "Second run, another head: nothing is encoded", second_spec())
        table = Table("", "rows encoded", "seconds, call to model", "validation accuracy")
        for name, job, seconds in (("first run", first, first_seconds), ("second run", second, second_seconds)):
            accuracy = job.best_epoch.validation["recommended.accuracy"]
            table.add_row(name, str(job.encode_progress.rows_encoded), f"{seconds:.2f}", f"{accuracy:.3f}")
        console.print(table)
        predict(client, second.model)
        export(client, second.model)
    console.print(f"\nThe server has stopped. Its state, with models and embeddings, is in {STATE}.")
    console.print("Next: `make page` shows these runs at http://localhost:8080/; README.md has the rest.")


if __name__ == "__main__":
    main()
