"""Logs are one form for structlog and the standard library, with the ids that were bound."""

import json
import subprocess
import sys

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
