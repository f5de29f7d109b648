"""A dashboard that comes late needs one GetTrainJob and one watch from the job's last event."""

from __future__ import annotations

import re
from pathlib import Path

from tests.languages.test_programs import SPEC
from tests.languages.toolchains import EXAMPLES, installed, ran
from tests.support.running_server import RunningServer


def test_it_shows_the_whole_curve_of_a_job_that_runs(server: RunningServer) -> None:
    folder = installed(EXAMPLES / "node")
    spec = SPEC.read_text().replace("epochs: 10", "epochs: 200")
    with server.client() as client:
        run = client.train(spec, "examples/quickstart/reviews.csv")
        for event in run:
            if event.HasField("epoch_finished") and event.epoch_finished.epoch == 5:
                break
        told = ran(["node", str(folder / "dashboard.js"), server.address, run.name], Path.cwd(), 300)
        job = client.jobs.get(run.name)
    late = ran(["node", str(folder / "dashboard.js"), server.address, run.name], Path.cwd(), 60)
    assert late.rstrip().endswith(f"after {job.last_sequence}"), "nothing follows where the job has ended"
    assert re.findall(r"^evaluation .*", late, re.MULTILINE) == re.findall(r"^evaluation .*", told, re.MULTILINE)
    shown = [int(number) for number in re.findall(r"^evaluation (\d+)", told, re.MULTILINE)]
    assert shown == [epoch.evaluation for epoch in job.epochs] == list(range(1, len(shown) + 1))
    before, after = told.split("\nafter ")
    assert before.count("evaluation ") >= 5
    assert "evaluation " in after and "state STATE_SUCCEEDED" in after and f"model {job.model}" in after
