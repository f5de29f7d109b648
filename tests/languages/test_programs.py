"""A program in Go, Java and Node each does what a client does, with its library's defaults, against a real server."""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from pathlib import Path

import headstart
import pytest

from tests.languages.conftest import Run
from tests.languages.toolchains import ROOT
from tests.support.running_server import RunningServer

SPEC = ROOT / "examples" / "quickstart" / "spec.yaml"


def sequences(told: str) -> list[int]:
    """Numbers of the events that a program told."""
    return [int(number) for number in re.findall(r"^(\d+)\b", told, re.MULTILINE)]


def without_gaps(told: str) -> bool:
    """Whether all events were told once and in order."""
    found = sequences(told)
    return len(found) > 3 and found == list(range(1, len(found) + 1))


@pytest.fixture(scope="module")
def trained(run: Run) -> str:
    """What the program tells of a job that it creates from YAML and whose stream it drops."""
    return run("train", str(SPEC), "reviews.csv")


def model_of(told: str) -> str:
    [model] = re.findall(r"published (models/\w+)", told)
    return str(model)


def test_a_job_from_yaml_is_followed_without_a_gap_after_its_stream_was_dropped(trained: str) -> None:
    assert without_gaps(trained)
    assert "STATE_SUCCEEDED" in trained.splitlines()[-1]


def test_a_job_from_a_typed_spec_is_followed_to_its_end(run: Run, server: RunningServer) -> None:
    told = run("typed", "reviews.csv")
    assert without_gaps(told)
    with server.client() as client:
        spec = client.models.get(model_of(told)).spec
    assert [feature.name for feature in spec.input_features] == ["review", "price", "category"]
    assert (spec.trainer.epochs, spec.input_features[0].encoder.trainable) == (3, False)


def test_a_model_answers_as_it_answers_python(run: Run, server: RunningServer, trained: str) -> None:
    rows = {
        "review": ["Broke on day one.", "The best present I have given in years."],
        "price": [20, 35],
        "category": ["garden", "travel"],
    }
    with server.client() as client:
        expected = client.predict(model_of(trained), rows)["recommended"].values
    assert [line.split()[0] for line in run("predict", model_of(trained)).splitlines() if line[0].isalpha()] == expected


def test_an_export_is_downloaded_and_its_digests_are_compared(run: Run, trained: str, tmp_path: Path) -> None:
    told = run("export", model_of(trained), str(tmp_path))
    files = re.findall(r"^([0-9a-f]{64}) (.+)$", told, re.MULTILINE)
    assert "model.onnx" in {name for _, name in files}
    for digest, name in files:
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest


def test_what_is_wrong_with_a_request_is_read_from_its_details(failing: Run, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC.read_text().replace("epochs: 10", "epochs: -1"))
    told = failing("train", str(spec), "reviews.csv")
    assert "reason INVALID_INPUT" in told
    assert re.search(r"^field trainer\.epochs: .*-1", told, re.MULTILINE), told
    assert "NOT_FOUND" in failing("predict", "models/nothing")


def test_a_watch_rides_out_a_rolling_restart(server: RunningServer, program: list[str]) -> None:
    spec = SPEC.read_text().replace("epochs: 10", "epochs: 400")
    with server.client() as client:
        job = client.train(spec, headstart.ServerPath("reviews.csv")).name
    with subprocess.Popen([*program, server.address, "watch", job], stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        told = [watching.stdout.readline() for _ in range(10)]
        server.stop()
        time.sleep(3)  # nobody listens meanwhile
        server.start()
        told += watching.stdout.readlines()
    assert watching.returncode == 0
    assert [line for line in told if line.startswith("broken after") and "UNAVAILABLE" in line.upper()]
    assert without_gaps("".join(told))
    assert "STATE_SUCCEEDED" in told[-1]
