"""Jobs as messages: what is summed over features, and what is said of one alone."""

from __future__ import annotations

from headstart.v1 import training_pb2 as pb
from headstart_server.engines.events import EncodeReport
from headstart_server.rpc.jobs import job_message

from tests.support.fake_workers import job_record

DONE = EncodeReport(100, 100, 20, 0, 80, 0, seconds=2.0, waited=0.5, workers=({"rows": 80},), feature="a", space="s1")
RUNS = EncodeReport(300, 120, 0, 0, 120, 0, seconds=3.0, waited=1.0, feature="b", space="s2")


def progress(*passes: EncodeReport) -> pb.EncodeProgress:
    return job_message(job_record(encode={item.feature: item for item in passes})).encode_progress


def test_passes_are_summed_with_the_speed_and_the_time_left_of_all() -> None:
    found = progress(DONE, RUNS)
    assert (found.rows_total, found.rows_seen, found.rows_found, found.rows_encoded) == (400, 220, 20, 200)
    assert (found.rows_per_second, found.eta_seconds) == (40.0, 4.5)
    assert (found.data_wait_seconds, found.compute_seconds) == (1.5, 3.5)
    assert (found.feature, found.embedding_space, list(found.workers)) == ("", "", [])


def test_a_single_pass_is_named() -> None:
    found = progress(DONE)
    assert (found.feature, found.embedding_space, len(found.workers)) == ("a", "embeddingSpaces/s1", 1)
    assert found.rows_per_second == 40.0
