"""EmbeddingService over a real connection: orders reach the service as they are meant, and answers arrive whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest
from headstart.v1 import embedding_pb2 as pb
from headstart.v1 import spec_pb2, table_pb2
from headstart.v1.embedding_pb2_grpc import EmbeddingServiceStub
from headstart_server.core.errors import FailedPreconditionError, NotFoundError
from headstart_server.core.executors import Executor
from headstart_server.core.principal import ANONYMOUS, Principal
from headstart_server.embedding_store.inventory import SpaceSummary
from headstart_server.rpc.embeddings import EmbeddingServicer
from headstart_server.service.embeddings import Embeddings, EmbedOrder

from tests.support.serving_here import served
from tests.support.stubs import stub_of

SPACE = "0123456789abcdef" * 2
BLOCK = 65_536
"""Numbers of an answer that are converted at a time."""


def summary(name: str, last_use: float, **changes: Any) -> SpaceSummary:
    return replace(SpaceSummary(name, {"dimension": "8", "kind": "text"}, 3, 400, 2, 0, last_use), **changes)


class FakeEmbeddings:
    """An EmbeddingService that records what it is asked, and answers as told."""

    def __init__(self) -> None:
        self.orders: list[EmbedOrder] = []
        self.callers: list[Principal] = []
        self.deleted: list[str] = []
        self.values: npt.NDArray[np.float32] = np.zeros((1, 2), np.float32)
        self.stored: list[SpaceSummary] = []
        self.error: Exception | None = None

    async def embed(self, caller: Principal, order: EmbedOrder) -> Embeddings:
        self.callers.append(caller)
        self.orders.append(order)
        if order.feature.name == "missing":
            raise NotFoundError("missing")
        return Embeddings(self.values, 5, SPACE, "bf16")

    async def spaces(self, caller: Principal) -> list[SpaceSummary]:
        self.callers.append(caller)
        return self.stored

    async def delete(self, caller: Principal, identifier: str) -> None:
        self.callers.append(caller)
        self.deleted.append(identifier)
        if self.error is not None:
            raise self.error


@pytest.fixture
def embeddings() -> FakeEmbeddings:
    return FakeEmbeddings()


@pytest.fixture
async def stub(embeddings: FakeEmbeddings) -> AsyncIterator[EmbeddingServiceStub]:
    rows = Executor("row", 1, 10)
    fake: Any = embeddings
    async with served(EmbeddingService=EmbeddingServicer(fake, rows)) as channel:
        yield stub_of(EmbeddingServiceStub, channel)
    rows.close()


def request(space: str = "", kind: str = "text", **preprocessing: Any) -> pb.EmbedRequest:
    """Two rows of a feature; its section of preprocessing is set where it says something."""
    feature = spec_pb2.Feature(name="t", type=kind)
    if preprocessing:
        feature.preprocessing.CopyFrom(spec_pb2.Preprocessing(**preprocessing))
    column = table_pb2.Column(name="t", strings=table_pb2.StringValues(values=["good", "bad"]))
    return pb.EmbedRequest(feature=feature, table=table_pb2.Table(columns=[column]), embedding_space=space)


async def refused(call: Any, code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT) -> str:
    """What an error says."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    assert error.value.code() is code
    return error.value.details() or ""


@pytest.mark.parametrize(
    ("preprocessing", "expected"),
    [
        ({}, "fp32"),
        ({"max_sequence_length": 7}, "fp32"),
        ({"embedding_precision": "bf16"}, "bf16"),
        ({"embedding_precision": "fp32"}, "fp32"),
        ({"embedding_precision": "auto", "max_sequence_length": 7}, None),
    ],
)
async def test_precision_is_fp32_unless_the_request_says_otherwise(
    stub: EmbeddingServiceStub, embeddings: FakeEmbeddings, preprocessing: dict[str, Any], expected: str | None
) -> None:
    await stub.Embed(request(**preprocessing))
    [order] = embeddings.orders
    assert order.feature.preprocessing.embedding_precision == expected
    assert order.feature.preprocessing.max_sequence_length == preprocessing.get("max_sequence_length")
    assert (order.feature.name, order.feature.type, order.space) == ("t", "text", "")
    assert order.read().to_pydict() == {"t": ["good", "bad"]}
    assert embeddings.callers == [ANONYMOUS]


async def test_a_named_space_is_passed_on_as_its_id(stub: EmbeddingServiceStub, embeddings: FakeEmbeddings) -> None:
    await stub.Embed(request(f"embeddingSpaces/{SPACE}", "image", bad_image_policy="drop"))
    [order] = embeddings.orders
    assert (order.space, order.feature.type) == (SPACE, "image")
    assert order.feature.preprocessing.embedding_precision == "fp32"
    assert order.feature.preprocessing.bad_image_policy == "drop"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            request(f"embeddingSpaces/{SPACE}", embedding_precision="fp32"),
            "embedding_space: excludes feature.preprocessing.embedding_precision",
        ),
        (request(SPACE), f"embedding_space: '{SPACE}' is not a resource name; expected 'embeddingSpaces/ID'"),
        (request(f"models/{SPACE}"), f"embedding_space: 'models/{SPACE}' is not a resource name"),
        (request("embeddingSpaces/"), "embedding_space: 'embeddingSpaces/' is not a resource name"),
        (request("embeddingSpaces/../x"), "embedding_space: 'embeddingSpaces/../x' is not a resource name"),
        (request(embedding_precision="fp8"), "feature.preprocessing.embedding_precision: 'fp8' is not known"),
    ],
    ids=["both", "no collection", "another collection", "no id", "a path", "precision"],
)
async def test_a_bad_request_is_named_and_asks_for_nothing(
    stub: EmbeddingServiceStub, embeddings: FakeEmbeddings, asked: pb.EmbedRequest, message: str
) -> None:
    assert (await refused(stub.Embed(asked))).startswith(message)
    assert embeddings.orders == []


@pytest.mark.parametrize("shape", [(1, 1), (BLOCK // 256, 256), (3 * BLOCK // 256 + 1, 256), (1, BLOCK + 1), (0, 7)])
async def test_an_answer_of_any_size_arrives_whole_and_in_order(
    stub: EmbeddingServiceStub, embeddings: FakeEmbeddings, shape: tuple[int, int]
) -> None:
    embeddings.values = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape) / np.float32(3)
    found = await stub.Embed(request())
    np.testing.assert_array_equal(np.array(found.embeddings, np.float32).reshape(shape), embeddings.values)
    assert (found.dimension, found.rows_found) == (shape[1], 5)
    assert (found.embedding_space, found.precision) == (f"embeddingSpaces/{SPACE}", "bf16")


async def test_a_stream_embeds_one_request_after_the_other_and_goes_on_after_a_bad_one(
    stub: EmbeddingServiceStub, embeddings: FakeEmbeddings
) -> None:
    first, unnamed, gone = request(f"embeddingSpaces/{SPACE}"), request(), request()
    unnamed.ClearField("feature")
    gone.feature.name = "missing"
    asked = [first, unnamed, request(SPACE), gone, unnamed]
    call = stub.EmbedStream(pb.EmbedStreamRequest(request=each, id=f"r{place}") for place, each in enumerate(asked))
    answers = [answer async for answer in call]
    assert [(answer.id, answer.WhichOneof("result")) for answer in answers] == [
        ("r0", "response"),
        ("r1", "response"),
        ("r2", "error"),
        ("r3", "error"),
        ("r4", "response"),
    ]
    assert [answers[place].error.code for place in (2, 3)] == [3, 5]
    assert answers[2].error.message.startswith("embedding_space:")
    assert answers[1].response == await stub.Embed(request())
    orders = embeddings.orders[:-1]
    assert [(order.feature.name, order.space, order.begun) for order in orders] == [
        ("t", SPACE, False),
        ("t", SPACE, True),
        ("missing", "", True),
        ("t", SPACE, True),
    ]


async def test_a_request_of_a_stream_may_name_another_space_of_the_first_ones_feature(
    stub: EmbeddingServiceStub, embeddings: FakeEmbeddings
) -> None:
    other = request(f"embeddingSpaces/{SPACE[::-1]}")
    other.ClearField("feature")
    call = stub.EmbedStream(pb.EmbedStreamRequest(request=each) for each in (request(), other, request(kind="image")))
    assert len([answer async for answer in call]) == 3
    assert [(order.feature.type, order.space) for order in embeddings.orders] == [
        ("text", ""),
        ("text", SPACE[::-1]),
        ("image", ""),
    ]


async def test_spaces_are_listed_by_last_use_page_by_page_each_once(
    stub: EmbeddingServiceStub, embeddings: FakeEmbeddings
) -> None:
    used = {"a": 5.0, "b": 1_700_000_000.5, "c": 900_000_000.0, "d": 1_700_000_000.5, "e": 1_700_000_000.25}
    embeddings.stored = [summary(name, seconds) for name, seconds in used.items()]
    found, token = list[str](), ""
    for size in (2, 2, 1):
        page = await stub.ListEmbeddingSpaces(pb.ListEmbeddingSpacesRequest(page_size=2, page_token=token))
        assert len(page.embedding_spaces) == size
        found += [space.name for space in page.embedding_spaces]
        token = page.next_page_token
    assert token == ""
    assert found == [f"embeddingSpaces/{name}" for name in "dbeca"]
    whole = await stub.ListEmbeddingSpaces(pb.ListEmbeddingSpacesRequest())
    assert [space.name for space in whole.embedding_spaces] == found


async def test_a_space_that_is_used_between_two_pages_is_not_listed_again(
    stub: EmbeddingServiceStub, embeddings: FakeEmbeddings
) -> None:
    embeddings.stored = [summary(name, 100.0 - place) for place, name in enumerate("abcd")]
    first = await stub.ListEmbeddingSpaces(pb.ListEmbeddingSpacesRequest(page_size=2))
    embeddings.stored[0] = summary("a", 200.0)
    rest = pb.ListEmbeddingSpacesRequest(page_size=2, page_token=first.next_page_token)
    pages = [first, await stub.ListEmbeddingSpaces(rest)]
    found = [space.name.removeprefix("embeddingSpaces/") for page in pages for space in page.embedding_spaces]
    assert found == list("abcd")


async def test_a_space_says_what_it_is_and_holds(stub: EmbeddingServiceStub, embeddings: FakeEmbeddings) -> None:
    described = {"kind": "text", "dimension": "384", "precision": "bf16"}
    embeddings.stored = [
        summary(SPACE, 1_700_000_000.5, description=described, rows=1 << 33, bytes=1 << 40, shards=7, quarantined=9)
    ]
    [space] = (await stub.ListEmbeddingSpaces(pb.ListEmbeddingSpacesRequest())).embedding_spaces
    assert (space.name, dict(space.description)) == (f"embeddingSpaces/{SPACE}", described)
    assert (space.row_count, space.size_bytes, space.dimension, space.shard_count) == (1 << 33, 1 << 40, 384, 7)
    assert space.last_use_time.ToJsonString() == "2023-11-14T22:13:20.500Z"


@pytest.mark.parametrize("asked", [{"page_size": -1}, {"page_token": SPACE}])
async def test_pages_that_cannot_be_are_refused(stub: EmbeddingServiceStub, asked: dict[str, Any]) -> None:
    said = await refused(stub.ListEmbeddingSpaces(pb.ListEmbeddingSpacesRequest(**asked)))
    assert said.startswith(f"{next(iter(asked))}: ")


async def test_a_space_is_deleted_by_its_id(stub: EmbeddingServiceStub, embeddings: FakeEmbeddings) -> None:
    await stub.DeleteEmbeddingSpace(pb.DeleteEmbeddingSpaceRequest(name=f"embeddingSpaces/{SPACE}"))
    assert (embeddings.deleted, embeddings.callers) == ([SPACE], [ANONYMOUS])
    for name in ("", SPACE, f"models/{SPACE}"):
        said = await refused(stub.DeleteEmbeddingSpace(pb.DeleteEmbeddingSpaceRequest(name=name)))
        assert said == f"name: '{name}' is not a resource name; expected 'embeddingSpaces/ID'"
    assert embeddings.deleted == [SPACE]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFoundError("there is no such space", field="name"), grpc.StatusCode.NOT_FOUND),
        (FailedPreconditionError("the space is in use"), grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
async def test_why_a_space_stays_is_told(
    stub: EmbeddingServiceStub, embeddings: FakeEmbeddings, error: Exception, code: grpc.StatusCode
) -> None:
    embeddings.error = error
    asked = pb.DeleteEmbeddingSpaceRequest(name=f"embeddingSpaces/{SPACE}")
    assert await refused(stub.DeleteEmbeddingSpace(asked), code) == str(error)
