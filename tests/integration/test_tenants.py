"""What one tenant has, no other finds by any RPC, by its name or by its content; `tests/support/tenant_rows.py`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

import grpc
import httpx
import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from headstart.v1 import dataset_pb2, embedding_pb2, export_pb2, model_pb2, prediction_pb2, training_pb2
from headstart.v1.spec_pb2 import Feature
from headstart.values.table import table_of
from headstart_server.rpc.inference import grpc_service_pb2 as inference
from headstart_server.web.routes import ROOT, ROUTES

from tests.support import reviews
from tests.support.any_rpc import METHODS, Outcome, answers_of, called
from tests.support.broken_uploads import broken_upload
from tests.support.statuses import without_request_id
from tests.support.tenant_rows import COLUMNS, NOBODYS, ROWS, Apart, Case, Empty, Hidden, Names, as_nobodys, job_request
from tests.support.tenant_server import TENANT, TenantServer

OWNER, OTHER = "alice", "bob"
CHUNK = dataset_pb2.UploadDatasetRequest
OWN_FILE = "own-reviews.csv"
NAMING = {"name", "model", "model_name", "dataset", "path", "upload_id", "initial_model"}
"""Fields of requests that name what a tenant has."""


@dataclass(frozen=True)
class Place:
    """A server, and what a tenant has there."""

    server: TenantServer
    channel: grpc.Channel
    names: Names
    data: bytes
    """Of the data set."""

    def ask(self, tenant: str, rpc: str, *requests: Message) -> Outcome:
        """Calls an RPC as a tenant."""
        return called(self.channel, rpc, *requests, metadata=((TENANT, tenant),))


def header(data: bytes, name: str = "reviews.csv") -> dataset_pb2.UploadDatasetRequest:
    announced = dataset_pb2.DatasetHeader(display_name=name, sha256=hashlib.sha256(data).hexdigest())
    return CHUNK(header=announced)


def embed_request(texts: list[str]) -> embedding_pb2.EmbedRequest:
    feature = ParseDict(reviews.spec()["input_features"][0], Feature())
    return embedding_pb2.EmbedRequest(feature=feature, table=table_of({"review": texts}))


def events_of(place: Place, tenant: str, request: training_pb2.TrainJobRequest) -> Iterator[Any]:
    answers = answers_of(place.channel, "TrainingService.TrainJob", [request], ((TENANT, tenant),))
    return (cast(training_pb2.TrainJobResponse, answer).event for answer in answers)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, model_root: Path) -> Iterator[Place]:
    """A server on which one tenant has one of everything, and a job that goes on for ever."""
    data_root, state = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("state")
    (data_root / OWNER).mkdir()
    rows = reviews.make_rows(60)
    file = reviews.write_csv(data_root / OWNER / OWN_FILE, rows)
    flags = ["--model-root", str(model_root), "--data-root", str(data_root), "--warm-workers", "1"]
    server = TenantServer(state, *flags, http=True)
    with server, grpc.insecure_channel(server.address) as channel:
        empty = Place(server, channel, NOBODYS, file.read_bytes())
        yield Place(server, channel, _made(empty), empty.data)


def _made(place: Place) -> Names:
    """Uploads, trains, predicts, embeds and exports as the owner."""
    uploaded = place.ask(OWNER, "DatasetService.UploadDataset", header(place.data), CHUNK(chunk=place.data)).answer
    source = training_pb2.DatasetSource(dataset=uploaded.name)
    first = job_request(dataset=source)
    first.request_id = "request-of-the-owner"
    events = list(events_of(place, OWNER, first))
    [published] = [event.model_published.model for event in events if event.HasField("model_published")]
    rows = table_of(reviews.columns(reviews.make_rows(4), *COLUMNS))
    predicted = place.ask(
        OWNER, "PredictionService.Predict", prediction_pb2.PredictRequest(model=published, table=rows)
    )
    assert predicted.answer.outputs  # from here on its model is live
    request = export_pb2.ExportRequest(model=published, format=export_pb2.Artifact.FORMAT_ONNX)
    exported = place.ask(OWNER, "ExportService.Export", request).answers[-1]
    alias = model_pb2.SetModelAliasRequest(name="models/reviews@production", model=published)
    assert place.ask(OWNER, "ModelService.SetModelAlias", alias).answer.model == published
    embedded = place.ask(OWNER, "EmbeddingService.Embed", embed_request(["a text of the owner's"])).answer
    endless = job_request(dataset=source)
    endless.spec.trainer.epochs = 100_000
    endless.spec.trainer.early_stop = -1
    running = next(events_of(place, OWNER, endless)).job
    ids = {name: full.partition("/")[2] for name, full in _full(events[0].job, running, published, exported).items()}
    space = embedded.embedding_space.partition("/")[2]
    dataset = uploaded.name.partition("/")[2]
    ids |= {"upload": broken_upload(place.channel, ((TENANT, OWNER),)), "alias": "reviews@production"}
    return Names(**ids, dataset=dataset, sha256=uploaded.sha256, space=space, path=OWN_FILE)


def _full(job: str, running: str, model: str, exported: export_pb2.ExportResponse) -> dict[str, str]:
    ids = {"job": job, "running": running, "model": model}
    return {**ids, "artifact": exported.artifact.name, "export": exported.export_job}


@pytest.mark.parametrize("rpc", METHODS)
def test_every_rpc_has_a_row(rpc: str) -> None:
    assert rpc in ROWS, f"say in tests/support/tenant_rows.py what another tenant gets to see of {rpc}"
    row = ROWS[rpc]
    if isinstance(row, Hidden):
        named = set().union(*(_set_fields(case.request(NOBODYS)) for case in row.cases))
        assert _naming_fields(METHODS[rpc].input_type) == named & _naming_fields(METHODS[rpc].input_type)
    if isinstance(row, Apart):
        assert row.test in globals()


def test_no_row_is_of_an_rpc_that_is_gone() -> None:
    assert set(METHODS) == set(ROWS)


def _naming_fields(message: Descriptor, above: str = "") -> set[str]:
    """The fields of a request, also within its messages, that name what a tenant has."""
    found = set()
    for field in message.fields:
        if field.message_type is not None and field.message_type.name == "DatasetSource":
            found |= _naming_fields(field.message_type, f"{above}{field.name}.")
        elif field.name in NAMING and field.message_type is None:
            found.add(above + field.name)
    return found


def _set_fields(message: Message, above: str = "") -> set[str]:
    found = set()
    for field, value in message.ListFields():
        found.add(above + field.name)
        if field.message_type is not None and not field.is_repeated:
            found |= _set_fields(value, f"{above}{field.name}.")
    return found


HIDDEN = [(rpc, case) for rpc, row in ROWS.items() if isinstance(row, Hidden) for case in row.cases]


@pytest.mark.parametrize(("rpc", "case"), HIDDEN, ids=[rpc for rpc, _ in HIDDEN])
def test_what_another_tenant_has_is_answered_as_what_nobody_has(rpc: str, case: Case, place: Place) -> None:
    theirs = place.ask(OTHER, rpc, case.request(place.names))
    nobodys = place.ask(OTHER, rpc, case.request(NOBODYS))
    if theirs.code is grpc.StatusCode.UNIMPLEMENTED:  # for its owner as well, until a release has it
        assert place.ask(OWNER, rpc, case.request(place.names)).code is theirs.code
        return
    # what an answer tells besides, too: a plan's violations
    assert (theirs.code, bool(theirs.answers)) == (case.code, case.code is grpc.StatusCode.OK)
    assert as_nobodys(theirs.message.encode(), place.names).decode() == nobodys.message
    assert as_nobodys(_status(theirs.details), place.names) == _status(nobodys.details)
    assert nobodys.code is theirs.code
    assert [as_nobodys(_bytes(answer), place.names) for answer in theirs.answers] == list(map(_bytes, nobodys.answers))


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def _status(details: bytes) -> bytes:
    found: bytes = without_request_id(Status.FromString(details)).SerializeToString()
    return found


LISTS = [(rpc, row) for rpc, row in ROWS.items() if isinstance(row, Empty)]
LISTED = {rpc.partition(".")[2] for rpc, _ in LISTS if not rpc.startswith("GRPCInferenceService.")}
"""Over HTTP, too."""


@pytest.mark.parametrize(("rpc", "row"), LISTS, ids=[rpc for rpc, _ in LISTS])
def test_lists_of_another_tenant_are_empty(rpc: str, row: Empty, place: Place) -> None:
    assert list(getattr(place.ask(OWNER, rpc, row.request(place.names)).answer, row.field))
    answer = place.ask(OTHER, rpc, row.request(place.names)).answer
    assert (list(getattr(answer, row.field)), getattr(answer, "next_page_token", "")) == ([], "")


def test_the_bytes_of_another_tenants_data_set_are_not_known(place: Place) -> None:
    announced = header(place.data)
    known = place.ask(OWNER, "DatasetService.UploadDataset", announced).answer
    assert known.name == f"datasets/{place.names.dataset}"  # its owner need not send them again
    theirs = place.ask("uploader", "DatasetService.UploadDataset", announced)
    nobodys = place.ask("uploader", "DatasetService.UploadDataset", header(b"x", "x.csv"))
    assert (theirs.code, theirs.message[-70:]) == (nobodys.code, nobodys.message[-70:])
    first = place.ask("uploader", "DatasetService.UploadDataset", announced, CHUNK(chunk=place.data)).answer
    again = place.ask("uploader", "DatasetService.UploadDataset", announced, CHUNK(chunk=place.data)).answer
    assert (first.sha256, first.name == again.name, first.name == known.name) == (known.sha256, True, False)
    assert place.ask("uploader", "DatasetService.DeleteDataset", dataset_pb2.DeleteDatasetRequest(name=first.name))
    assert place.ask(OWNER, "DatasetService.GetDataset", dataset_pb2.GetDatasetRequest(name=known.name)).answer == known


def test_the_rows_that_another_tenant_has_encoded_are_not_known(place: Place) -> None:
    texts = [row["review"] for row in reviews.make_rows(60)]
    request = embed_request([*texts, "a text of the owner's"])
    found = {tenant: place.ask(tenant, "EmbeddingService.Embed", request).answer for tenant in (OWNER, "embedder")}
    assert found[OWNER].rows_found == len(texts) + 1
    assert found["embedder"].rows_found == 0
    assert list(found["embedder"].embeddings) == pytest.approx(list(found[OWNER].embeddings), abs=1e-6)
    streamed = embedding_pb2.EmbedStreamRequest(request=request)
    for tenant, stored in ((OWNER, len(texts) + 1), ("streamer", 0)):
        answer = place.ask(tenant, "EmbeddingService.EmbedStream", streamed).answer.response
        assert (tenant, answer.rows_found) == (tenant, stored)
    plan = job_request(
        training_pb2.PlanTrainJobRequest,
        dataset=training_pb2.DatasetSource(table=table_of(reviews.columns(reviews.make_rows(60), *COLUMNS))),
    )
    for tenant, stored in ((OWNER, 60), ("planner", 0)):
        [planned] = place.ask(tenant, "TrainingService.PlanTrainJob", plan).answer.encode
        assert (tenant, planned.rows_total - planned.rows_encoded) == (tenant, stored)


def test_a_watch_of_all_jobs_tells_of_ones_own(place: Place) -> None:
    told = {}
    for tenant in (OWNER, "watcher"):
        request = training_pb2.WatchTrainJobsRequest()
        updates = answers_of(place.channel, "TrainingService.WatchTrainJobs", [request], ((TENANT, tenant),))
        known = takewhile(
            lambda update: not update.synced, cast(Iterator[training_pb2.WatchTrainJobsResponse], updates)
        )
        told[tenant] = {update.train_job.name for update in known}
    assert {f"trainJobs/{place.names.job}", f"trainJobs/{place.names.running}"} <= told[OWNER]
    assert told["watcher"] == set()


def test_a_stream_answers_for_another_tenants_model_as_for_nobodys(place: Place) -> None:
    told = []
    for names in (place.names, NOBODYS):
        request = inference.ModelInferRequest(model_name=names.model, id="7")
        [answer] = place.ask(OTHER, "GRPCInferenceService.ModelStreamInfer", request).answers
        assert answer.error_message.startswith("[request id: 7] NOT_FOUND (NOT_FOUND): models/")
        told.append(as_nobodys(answer.SerializeToString(), place.names))
    assert told[0] == told[1]


def test_another_tenants_request_id_is_free(place: Place) -> None:
    rows = table_of(reviews.columns(reviews.make_rows(30), *COLUMNS))
    request = job_request(dataset=training_pb2.DatasetSource(table=rows))
    request.request_id = "request-of-the-owner"
    names = {next(events_of(place, "requester", request)).job for _ in range(2)}
    assert len(names) == 1 and names != {f"trainJobs/{place.names.job}"}
    refused = place.ask(OWNER, "TrainingService.TrainJob", request)
    assert refused.code is grpc.StatusCode.ALREADY_EXISTS


def test_each_tenants_files_lie_in_its_own_folder(place: Place) -> None:
    own, common = place.server.folder_of(OWNER), place.server.state
    for kind in ("datasets", "models", "artifacts", "embeddings"):
        assert list((own / kind).glob("[!.]*")), kind
        assert not list((common / kind).glob("[!.]*")), kind
    assert [path.name for path in (own / "models").glob("[!.]*")] == [place.names.model]


def test_http_tells_no_more_than_grpc(place: Place) -> None:
    with httpx.Client(
        base_url=place.server.url + ROOT, headers={"Content-Type": "application/json"}, timeout=60
    ) as http:
        for route in ROUTES:
            if not route.has_resource:
                continue
            kind = {"trainJobs": "job", "models": "model", "artifacts": "artifact", "datasets": "dataset"}
            kind["exportJobs"] = "export"
            item = kind.get(route.collection, "space") if not route.named else "alias"
            theirs, nobodys = (
                http.request(
                    route.verb,
                    route.path.replace("{id}", getattr(names, item)),
                    headers={TENANT: OTHER},
                    content=json.dumps({"model": f"models/{names.model}"}) if route.verb == "PUT" else "{}",
                )
                for names in (place.names, NOBODYS)
            )
            assert (theirs.status_code, nobodys.status_code) == (404, 404), route
            assert as_nobodys(theirs.content, place.names) == nobodys.content, route
        lists = [route for route in ROUTES if route.verb == "GET" and not route.has_resource and route.rpc in LISTED]
        assert len(lists) == len(LISTED)
        for route in lists:
            assert http.get(route.path, headers={TENANT: OTHER}).json() == {}, route
            assert http.get(route.path, headers={TENANT: OWNER}).json() != {}, route
        events = http.get(f"/trainJobs/{place.names.running}/events", headers={TENANT: OTHER})
        assert events.status_code == 404


def test_metrics_name_no_tenant_and_nothing_that_one_has(place: Place) -> None:
    exposed = httpx.get(f"{place.server.url}/metrics", timeout=60).text
    assert "headstart_store_bytes" in exposed
    hidden = [OWNER, OTHER, OWN_FILE, "reviews.csv", place.names.model, place.names.dataset, place.names.job]
    assert [name for name in hidden if name in exposed] == []


def test_calls_of_others_took_nothing_away(place: Place) -> None:
    """The last here: whatever was deleted, cancelled or begun above was another tenant's."""
    for rpc, row in LISTS:
        assert list(getattr(place.ask(OWNER, rpc, row.request(place.names)).answer, row.field)), rpc
    running = training_pb2.GetTrainJobRequest(name=f"trainJobs/{place.names.running}")
    state = place.ask(OWNER, "TrainingService.GetTrainJob", running).answer.state
    assert state < training_pb2.TrainJob.STATE_PAUSED
