"""What the process that exports tells the log of an export that fails."""

from __future__ import annotations

import io

import pytest
from headstart_server.core.errors import FailedPreconditionError, HeadstartError, NotFoundError
from headstart_server.engines.envelopes import ExportEnvelope, RuntimeSettings, to_plain
from headstart_server.jobs.export_worker import ExportWorker
from structlog.testing import capture_logs

PLAIN = to_plain(ExportEnvelope("a1", "m1", "onnx", False, RuntimeSettings("state")))


@pytest.mark.parametrize(
    ("error", "traced"),
    [(FailedPreconditionError("its graph cannot be traced"), True), (NotFoundError("models/m1 was deleted"), False)],
)
def test_the_log_has_the_cause_unless_the_model_was_deleted(
    monkeypatch: pytest.MonkeyPatch, error: HeadstartError, traced: bool
) -> None:
    cause = ValueError("what was read is gone")

    def fail(*_: object) -> None:
        raise error from cause

    monkeypatch.setattr(ExportWorker, "_export", fail)
    with capture_logs() as logs:
        answer = ExportWorker(io.StringIO(), io.StringIO()).run(PLAIN)
    assert answer["error"]["message"] == error.message
    [entry] = logs
    assert entry["exc_info"] is (cause if traced else None)
