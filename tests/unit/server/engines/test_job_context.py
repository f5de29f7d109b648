"""What people say of a job, and what it begins from, reach the process that runs it."""

from __future__ import annotations

import json
from pathlib import Path

from headstart_server.core.layout import Layout
from headstart_server.engines.envelopes import JobEnvelope, RuntimeSettings, job_envelope, to_plain
from headstart_server.engines.job_context import job_context_of
from headstart_server.spec.model import TrainSpec
from headstart_server.storage.storage import Storage


def test_an_envelope_travels_as_json_and_opens_with_all_that_it_says(tmp_path: Path) -> None:
    sent = JobEnvelope(
        "j",
        "reviews",
        TrainSpec(),
        [],
        RuntimeSettings(str(tmp_path)),
        halvings=2,
        description="of May",
        labels={"team": "search"},
        initial_model="m1",
    )
    received = job_envelope(json.loads(json.dumps(to_plain(sent))))
    assert received == sent
    job = job_context_of(received, Storage(Layout(tmp_path)))
    assert (job.identifier, job.display_name, job.halvings) == ("j", "reviews", 2)
    assert (job.description, dict(job.labels), job.initial_model) == ("of May", {"team": "search"}, "m1")
