"""Random and mutated messages of every RPC: the server lives, and each answer is about the message."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.run import fuzz, fuzzed_server
from tests.fuzz.seeds import every_rpc
from tests.fuzz.specs import fuzz_specs


def test_no_message_and_no_spec_ends_the_server_or_makes_it_fail(tmp_path: Path) -> None:
    with fuzzed_server(tmp_path) as (server, model):
        outcome = fuzz(server, model, range(720), seed=1, arrow=False)
        read = fuzz_specs(server.address, 300, number=1)
        assert "rpc failed unexpectedly" not in server.log
    assert outcome.faults == []
    assert sum(outcome.codes.values()) == 720
    assert read["OK"] > 0 and read["INVALID_INPUT"] > 0
    assert read["OK"] + read["INVALID_INPUT"] == 300
    assert read["planned: OK"] > 0
    assert len({method for method, _ in outcome.codes}) == len(every_rpc(model, arrow=False))
