"""The fast precision is measured once per machine, kept, and the same in every process: another is another space."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from headstart_server.composition import App
from headstart_server.core.errors import StoreFullError
from headstart_server.core.states import State
from headstart_server.encoders import precision
from headstart_server.encoders.precision import (
    CPUINFO,
    DTYPES,
    Precisions,
    adopt_precision,
    cpu_name,
    fast_on_cpu,
    fast_precision,
    settle_precision,
    settled_precisions,
    why_fast,
)
from headstart_server.engines.listener import Silent
from headstart_server.engines.local import LocalEngine
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.worker import run_job
from headstart_server.settings import Settings

from tests.support.envelopes import job_of


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What each further measurement will find; a process that knows nothing yet."""
    answers = ["bf16", "fp32", "bf16"]
    monkeypatch.delenv("HEADSTART_FAST_PRECISION")
    _restart(monkeypatch, answers)
    return answers


def _restart(monkeypatch: pytest.MonkeyPatch, answers: list[str]) -> None:
    """A process that knows nothing."""
    monkeypatch.setattr(precision, "PROCESS", Precisions(lambda: answers.pop(0)))


def test_a_measurement_says_one_there_is() -> None:
    assert fast_on_cpu() in DTYPES


@pytest.mark.parametrize(("bf16_seconds", "expected"), [(0.7, "bf16"), (0.8, "fp32"), (5.0, "fp32")])
def test_bf16_must_be_worth_it(bf16_seconds: float, expected: str) -> None:
    assert fast_on_cpu(lambda dtype: bf16_seconds if dtype is torch.bfloat16 else 1.0) == expected


def test_a_process_measures_once() -> None:
    assert [fast_precision("cpu") for _ in range(3)] == ["bf16"] * 3


def test_a_restart_finds_the_answer_and_measures_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[str]
) -> None:
    assert settle_precision(tmp_path / "precision.json") == "bf16"
    for _ in range(3):
        _restart(monkeypatch, measured)
        assert settle_precision(tmp_path / "precision.json") == fast_precision("cpu") == "bf16"
    assert len(measured) == 2


@pytest.mark.parametrize("change", ["Another CPU @ 2 GHz", "amx_bf16", "99.0"])
def test_another_machine_or_torch_has_an_answer_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[str], change: str
) -> None:
    path, other = tmp_path / "precision.json", Precisions(lambda: measured.pop(0), tmp_path / "cpuinfo")
    assert settle_precision(path) == "bf16"
    with monkeypatch.context() as changed:
        if change == "99.0":
            changed.setattr(torch, "__version__", "99.0")
            (tmp_path / "cpuinfo").write_bytes(CPUINFO.read_bytes())
        else:
            name = "CPU" if change == "amx_bf16" else change
            flags = "sse amx_bf16" if change == "amx_bf16" else "sse"
            (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nmodel name\t: {name}\nflags\t\t: {flags}\n\n")
        assert other.settle(path) == other.fast("cpu") == "fp32"
    assert settle_precision(path) == fast_precision("cpu") == "bf16"
    assert any(change in key for key in json.loads(path.read_text()))


def test_without_a_name_the_architecture_stands_for_the_cpu(tmp_path: Path) -> None:
    assert cpu_name(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"x": 1}', "\x00"])
def test_a_file_that_cannot_be_read_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[str], content: str
) -> None:
    path = tmp_path / "precision.json"
    path.write_text(content)
    assert settle_precision(path) == "bf16"
    _restart(monkeypatch, measured)
    assert settle_precision(path) == "bf16"


def test_an_answer_that_is_none_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "precision.json"
    settle_precision(path)
    path.write_text(path.read_text().replace("bf16", "fp8"))
    assert settle_precision(path) == "fp32"


def test_a_full_disk_does_not_keep_a_server_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StoreFullError("no space left")

    monkeypatch.setattr(precision, "write_json", full)
    assert settle_precision(tmp_path / "precision.json") == fast_precision("cpu") == "bf16"


def test_a_worker_takes_the_servers_answer_and_measures_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[str]
) -> None:
    monkeypatch.setattr(LocalEngine, "run", lambda _: fast_precision("cpu"))
    (tmp_path / "rows.csv").write_text("x,y\n1,a\n2,b\n")
    spec = {
        "input_features": [{"name": "x", "type": "number"}],
        "output_features": [{"name": "y", "type": "category"}],
    }
    envelope = job_of(tmp_path, tmp_path / "rows.csv", spec)
    envelope = replace(envelope, runtime=replace(envelope.runtime, precisions={"cpu": "fp16"}))
    silent: Any = Silent()
    assert run_job(envelope, silent) == "fp16"
    assert len(measured) == 3


def test_an_adopted_answer_wins_over_one_measured_before() -> None:
    assert fast_precision("cpu") == "bf16"
    adopt_precision("fp32")
    assert fast_precision("cpu") == "fp32"


async def test_a_server_settles_it_and_hands_it_to_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[str]
) -> None:
    job = JobRecord("j", "", "", "", State.QUEUED, datetime.now(UTC), datetime.now(UTC), {}, [])
    for _ in range(2):
        _restart(monkeypatch, measured)
        app = App(Settings(state_dir=tmp_path / "state", warm_workers=0, port=0))
        assert app.supervisor.envelope_of(job).runtime.precisions == {"cpu": "bf16"}
        app.batcher.close()
        app.jobs.close()
        app.identity.close()
    assert len(measured) == 2


def test_a_setting_is_taken_for_every_device_and_nothing_is_measured(tmp_path: Path, measured: list[str]) -> None:
    assert (
        settle_precision(tmp_path / "precision.json", "fp32")
        == fast_precision("cpu")
        == fast_precision("cuda")
        == "fp32"
    )
    assert settled_precisions() == {"cpu": "fp32", "cuda": "fp32"}
    assert "setting fast_precision" in why_fast("cpu")
    assert len(measured) == 3 and not list(tmp_path.iterdir())


def test_a_measurement_is_reported_as_one(tmp_path: Path) -> None:
    settle_precision(tmp_path / "precision.json", "auto")
    assert "measures" in why_fast("cpu")


@pytest.mark.parametrize("answer", ["fp32", "bf16"])
async def test_a_server_hands_its_setting_to_its_workers(tmp_path: Path, answer: str) -> None:
    job = JobRecord("j", "", "", "", State.QUEUED, datetime.now(UTC), datetime.now(UTC), {}, [])
    app = App(Settings(state_dir=tmp_path / "state", warm_workers=0, port=0, fast_precision=answer))
    assert app.supervisor.envelope_of(job).runtime.precisions == {"cpu": answer, "cuda": answer}
    app.batcher.close()
    app.jobs.close()


def test_fp32_on_gpus_is_fp32_and_every_reader_of_the_flags_can_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    precision.compute_fp32_exactly()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    with torch.backends.cudnn.flags(enabled=True):
        assert torch.get_float32_matmul_precision() == "highest"
