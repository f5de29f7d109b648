"""The audit log: lines that programs read, a file that may be moved away, and failures that are counted."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import structlog
from headstart_server.auth.audit import AuditEvent, AuditLog
from headstart_server.core.errors import FailedPreconditionError

from tests.support.measured import Growth

EVENT = AuditEvent(
    transport="grpc",
    method="headstart.v1.ModelService/DeleteModel",
    principal="ci\n",
    tenant="search",
    peer="ipv4:127.0.0.1:5",
    resource="models/m",
    outcome="done",
    status="OK",
    reason="",
    request_id="r",
)


def test_an_event_is_a_line_of_json(tmp_path: Path) -> None:
    log = AuditLog.at(str(tmp_path / "audit"))
    log.write(EVENT)
    log.write(EVENT)
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
    assert len(lines) == 2
    time = lines[0].pop("time")
    assert time.endswith("+00:00")
    assert lines[0] == {"event": "audit", **asdict(EVENT)}
    assert (tmp_path / "audit").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_moved_away_is_made_anew(tmp_path: Path) -> None:
    log = AuditLog.at(str(tmp_path / "audit"))
    log.write(EVENT)
    (tmp_path / "audit").rename(tmp_path / "audit.1")
    log.write(EVENT)
    log.close()
    assert [len((tmp_path / name).read_text().splitlines()) for name in ("audit", "audit.1")] == [1, 1]


def test_a_dash_is_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    AuditLog.at("-").write(EVENT)
    assert json.loads(capsys.readouterr().out)["resource"] == "models/m"


def test_without_a_place_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    log = AuditLog.at("")
    log.write(EVENT)
    log.close()
    assert capsys.readouterr() == ("", "")


def test_a_place_that_cannot_be_written_is_refused_at_the_start() -> None:
    with pytest.raises(FailedPreconditionError, match=r"audit_log '/nowhere/audit' cannot be written: .*name a file"):
        AuditLog.at("/nowhere/audit")


def test_what_cannot_be_written_is_logged_and_counted(tmp_path: Path) -> None:
    """A full disk, which /dev/full stands for."""
    log, failures = AuditLog.at("/dev/full"), Growth("headstart_audit_failures_total")
    with structlog.testing.capture_logs() as logs:
        log.write(EVENT)
    log.close()
    assert failures() == 1
    assert [entry["event"] for entry in logs] == ["the audit log cannot be written"]
