"""Logs are one form for structlog and the standard library, with the ids that were bound."""

import json
import subprocess
import sys

import pytest

_PROGRAM = """
import logging, structlog
from headstart_server.core.logs import configure_logs
configure_logs(json_lines={json}, level="info")
structlog.contextvars.bind_contextvars(job="j1", request="r1")
log = structlog.get_logger()
log.debug("hidden")
log.info("started", rows=3)
logging.getLogger("other").warning("from %s", "stdlib")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("failed")
"""


def _lines(*, as_json: bool) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(json=as_json)], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_every_line_is_json_with_the_bound_ids() -> None:
    events = [json.loads(line) for line in _lines(as_json=True)]
    assert [event["event"] for event in events] == ["started", "from stdlib", "failed"]
    assert all(event["job"] == "j1" and event["request"] == "r1" for event in events)
    assert events[0]["rows"] == 3
    assert "ZeroDivisionError" in events[2]["exception"]


def test_people_get_plain_lines() -> None:
    text = "\n".join(_lines(as_json=False))
    assert "started" in text and "job" in text and "hidden" not in text


_FAILING = """
import logging, structlog
from headstart_server.core.logs import configure_logs
configure_logs(json_lines={json})
def fail():
    row = "a user's " + "secret"
    raise ValueError("broken")
for log in (structlog.get_logger(), logging.getLogger("grpc")):
    try:
        fail()
    except ValueError:
        log.exception("failed")
"""


@pytest.mark.parametrize("as_json", [False, True])
def test_a_traceback_shows_lines_of_code_and_no_values(*, as_json: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _FAILING.format(json=as_json)], capture_output=True, text=True, check=True
    )
    assert done.stderr.count("Traceback (most recent call last)") == 2
    assert done.stderr.count("ValueError: broken") == 2
    assert "in fail" in done.stderr
    assert "secret" not in done.stderr
