"""More mistakes than an error has room for are INVALID_ARGUMENT in every language, each time; none is lost count of."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status
from headstart.v1 import training_pb2 as pb
from headstart.v1 import training_pb2_grpc

from tests.languages.conftest import Run
from tests.languages.refusals import MISSPELT, WORDS, WRONG_FIELDS, misspelt_columns, wrong_fields
from tests.support.running_server import RunningServer
from tests.support.stubs import stub_of

COUNT = int(os.environ.get("HEADSTART_REFUSALS", "20"))
_MORE = re.compile(r"and (\d+) more; correct these first")
Build = Callable[[str], pb.CreateTrainJobRequest]
mistakes = pytest.mark.parametrize(
    ("build", "mistaken", "expected"),
    [(wrong_fields, WRONG_FIELDS, "INVALID_INPUT"), (misspelt_columns, MISSPELT, "MISSING_COLUMN")],
    ids=["fields", "columns"],
)
scripts = pytest.mark.parametrize("script", WORDS)


@mistakes
@scripts
def test_a_program_reads_it(build: Build, mistaken: int, expected: str, script: str, run: Run, tmp_path: Path) -> None:
    request = tmp_path / "request"
    request.write_bytes(build(script).SerializeToString())
    times, code, reason, *violations = run("refused", str(request), str(COUNT)).splitlines()
    assert times == f"{COUNT} times"
    assert code.split(":")[0].replace("_", "").upper() == "INVALIDARGUMENT"
    assert reason.startswith(f"reason {expected} ")
    *listed, rest = [line.removeprefix("field ") for line in violations]
    more = _MORE.search(rest)
    assert more and listed and len(listed) + int(more[1]) == mistaken
    assert WORDS[script][:8] in listed[0]


@mistakes
@scripts
def test_python_reads_it(build: Build, mistaken: int, expected: str, script: str, server: RunningServer) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = stub_of(training_pb2_grpc.TrainingServiceStub, channel)
        for _ in range(COUNT):
            with pytest.raises(grpc.RpcError) as failed:
                stub.CreateTrainJob(build(script))
            assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            info, bad = _details(failed.value)
            assert info.reason == expected
            *listed, rest = bad.field_violations
            more = _MORE.search(rest.description)
            assert more and listed and len(listed) + int(more[1]) == mistaken


def _details(error: grpc.RpcError) -> tuple[ErrorInfo, BadRequest]:
    status = rpc_status.from_call(error)
    assert status is not None
    info, bad = ErrorInfo(), BadRequest()
    for detail in status.details:  # there are others beside
        detail.Unpack(info)
        detail.Unpack(bad)
    return info, bad
