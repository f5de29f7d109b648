"""A backup of a running server, restored: jobs, models, uploads and embeddings are there, and what ran goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import headstart
import numpy as np
from headstart.v1 import training_pb2 as pb

from tests.support import reviews
from tests.support.running_server import RunningServer

ROWS = reviews.columns(reviews.make_rows(4, seed=9), "review", "price", "category")


def back_up(state: Path, to: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from headstart.cli import main; sys.exit(main())", "backup"]
    return subprocess.run(
        [*command, "--state-dir", str(state), str(to)], capture_output=True, text=True, check=False, timeout=120
    )


def test_a_server_on_a_backup_has_all_and_goes_on(model_root: Path, data_root: Path, tmp_path: Path) -> None:
    flags = ["--model-root", str(model_root), "--data-root", str(data_root)]
    copy = tmp_path / "copy"
    with RunningServer(tmp_path / "state", *flags) as server, server.client() as client:
        uploaded = client.upload_dataset(reviews.write_csv(tmp_path / "own.csv", reviews.make_rows(40)))
        done = client.train(reviews.spec(epochs=2), headstart.ServerPath("reviews.csv")).result()
        expected = client.predict(done.model, ROWS)["verdict"].probabilities
        long = reviews.spec(epochs=100_000, early_stop=-1)
        running = client.train(long, headstart.ServerPath("reviews.csv"))
        for event in running:
            if event.HasField("epoch_finished"):
                break
        made = back_up(server.state, copy)
        assert made.returncode == 0, made.stderr
        seen = client.jobs.get(running.name).last_sequence
        again = back_up(server.state, copy)
        assert (again.returncode, "exists" in again.stderr) == (2, True)
        client.jobs.cancel(running.name)
    with RunningServer(copy, *flags) as server, server.client() as client:
        assert client.jobs.get(done.name).state == pb.TrainJob.STATE_SUCCEEDED
        found = np.array(client.predict(done.model, ROWS)["verdict"].probabilities)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert uploaded.name in {item.name for item in client.datasets.list()}
        known = client.train(reviews.spec(epochs=3), headstart.ServerPath("reviews.csv"))
        client.jobs.cancel(running.name)  # it was in progress when the copy was made, and is again
        assert known.result().encode_progress.rows_encoded == 0
        states = [event.state_change.state for event in client.watch(running.name) if event.HasField("state_change")]
        assert states[-1] == pb.TrainJob.STATE_CANCELLED
        assert seen > 0
