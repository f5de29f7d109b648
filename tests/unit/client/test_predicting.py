"""Predictions come back in the order of the rows, in one table or in many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import headstart
import pytest

from tests.support.fake_server import FakeServer


def test_each_kind_of_output_becomes_python_values(server: FakeServer, client: headstart.Client) -> None:
    predictions = client.predict("m1", {"review": ["b a", "splendid"]}, top_k=1)
    assert predictions["label"].values == ["short", "long"]
    assert predictions["label"].classes == ("long", "short")
    assert predictions["label"].probabilities == [[0.25, 0.75], [0.75, 0.25]]
    assert predictions["label"].top == [[("short", 0.75)], [("long", 0.75)]]
    assert predictions["length"].values == [3.0, 8.0]
    assert predictions["tags"].values == [["a", "b"], ["splendid"]]
    assert predictions["shape"].values == [[1.0, 3.0], [1.0, 8.0]]
    assert predictions.row_count == predictions.rows_found == 2
    assert predictions.model == "models/m1"


def test_columns_are_named_by_feature_and_class(client: headstart.Client) -> None:
    columns = client.predict("m1", [{"review": "abc"}], top_k=1).columns()
    assert list(columns) == [
        "label_prediction",
        "label_probability_long",
        "label_probability_short",
        "label_top_1",
        "label_top_1_probability",
        "length_prediction",
        "tags_prediction",
        "shape_prediction",
    ]


def test_probabilities_may_be_left_out(server: FakeServer, client: headstart.Client) -> None:
    predictions = client.predict("m1", [{"review": "abc"}], probabilities=False, embedding_reuse="any")
    assert not predictions["label"].probabilities
    client.predict("m1", [{"review": "abc"}])
    assert [request.probabilities for request in server.prediction.requests] == [False, True]


def test_an_unknown_reuse_is_refused_by_name(client: headstart.Client) -> None:
    with pytest.raises(headstart.InvalidArgument, match="exact, any, none"):
        client.predict("m1", [{"review": "abc"}], embedding_reuse="some")


def batches() -> Iterator[dict[str, list[str]]]:
    for size in range(1, 40):
        yield {"review": ["x" * size] * size}


async def async_batches() -> AsyncIterator[dict[str, list[str]]]:
    for batch in batches():
        yield batch


def test_a_stream_answers_batch_by_batch_in_order(client: headstart.Client) -> None:
    lengths = [answer["length"].values for answer in client.predict_stream("m1", batches())]
    assert lengths == [[float(size)] * size for size in range(1, 40)]


@pytest.mark.parametrize("source", [batches, async_batches])
async def test_an_async_stream_takes_either_kind_of_iterable(async_client: headstart.AsyncClient, source: Any) -> None:
    lengths = [answer["length"].values async for answer in async_client.predict_stream("m1", source())]
    assert lengths == [[float(size)] * size for size in range(1, 40)]


def test_no_batches_are_no_answers(client: headstart.Client) -> None:
    assert list(client.predict_stream("m1", [])) == []


def broken() -> Iterator[dict[str, list[str]]]:
    yield {"review": ["a"]}
    yield {"review": ["b"]}
    raise OSError("the disk went away")


def test_an_error_of_the_callers_own_is_raised_as_it_is_after_the_answers_before_it(client: headstart.Client) -> None:
    stream = client.predict_stream("m1", broken())
    assert next(stream)["length"].values == [1.0]
    assert next(stream)["length"].values == [1.0]
    with pytest.raises(OSError, match="the disk went away"):
        next(stream)


async def test_an_error_of_the_callers_own_reaches_asyncio_too(async_client: headstart.AsyncClient) -> None:
    with pytest.raises(OSError, match="the disk went away"):
        async for _ in async_client.predict_stream("m1", broken()):
            pass


def test_a_bad_batch_in_a_stream_is_the_servers_to_name(client: headstart.Client) -> None:
    with pytest.raises(headstart.InvalidArgument) as raised:
        list(client.predict_stream("m1", [{"review": ["a"]}, {"text": ["b"]}]))
    assert raised.value.violations[0].field == "table.columns"


def test_errors_may_be_had_in_their_place_and_the_stream_goes_on(client: headstart.Client) -> None:
    batches = [{"review": ["a"]}, {"text": ["b"]}, {"review": ["no image"]}, {"review": ["abc", "d"]}]
    first, missing, bad, last = client.predict_stream("m1", batches, errors="return")
    assert (first["length"].values, last["length"].values) == ([1.0], [3.0, 1.0])
    assert isinstance(missing.error, headstart.InvalidArgument)
    assert (missing.error.reason, missing.error.violations[0].field) == ("MISSING_COLUMN", "table.columns")
    assert (missing.model, missing.row_count, missing.columns()) == ("models/m1", 0, {})
    with pytest.raises(headstart.InvalidArgument, match="row 1: is no image"):
        bad["length"]
    assert first.error is last.error is None


async def test_errors_have_their_place_in_asyncio_too(async_client: headstart.AsyncClient) -> None:
    batches = [{"text": ["b"]}, {"review": ["a"]}]
    found = [answer async for answer in async_client.predict_stream("m1", batches, errors="return")]
    assert [answer.error is None for answer in found] == [False, True]


def test_what_to_do_with_errors_is_named_where_it_is_unknown(client: headstart.Client) -> None:
    with pytest.raises(headstart.InvalidArgument, match="'ignore' is unknown; use one of raise, return"):
        list(client.predict_stream("m1", batches(), errors="ignore"))


def test_bad_rows_may_be_left_out(server: FakeServer, client: headstart.Client) -> None:
    sent = [{"review": ["a", "bad", "abc", "bad"]}, {"review": ["ab"]}, {"review": ["bad"]}]
    mixed, good, none = client.predict_stream("m1", sent, skip_bad_rows=True)
    assert mixed["length"].values == [1.0, 3.0]
    assert (mixed.row_count, mixed.rows_read, list(mixed.row_errors)) == (2, 4, [1, 3])
    assert (mixed.row_errors[3].reason, mixed.row_errors[3].code) == ("BAD_CELL", grpc.StatusCode.INVALID_ARGUMENT)
    assert (good["length"].values, good.row_errors, none.rows_read) == ([2.0], {}, 1)


async def test_a_bad_batch_keeps_its_status_while_others_are_under_way(async_client: headstart.AsyncClient) -> None:
    large = {"review": ["x" * 10_000] * 100}
    for _ in range(10):
        with pytest.raises(headstart.InvalidArgument):
            async for _ in async_client.predict_stream("m1", [large, {"text": ["b"]}, large, large, large]):
                pass


async def test_cancelling_a_task_ends_its_stream(async_client: headstart.AsyncClient) -> None:
    async def endless() -> AsyncIterator[dict[str, list[str]]]:
        yield {"review": ["a"]}
        await asyncio.sleep(3600)

    async def read() -> None:
        async for _ in async_client.predict_stream("m1", endless()):
            answered.set()

    answered = asyncio.Event()
    task = asyncio.create_task(read())
    await answered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_batches_without_an_answer_are_an_error(server: FakeServer, client: headstart.Client) -> None:
    server.prediction.answers_left = 1
    with pytest.raises(headstart.Internal, match="unanswered"):
        list(client.predict_stream("m1", [{"review": ["a"]}, {"review": ["b"]}]))


def test_leaving_a_stream_half_read_leaves_the_client_usable(client: headstart.Client) -> None:
    endless = iter(lambda: {"review": ["a"]}, None)
    stream: Any = client.predict_stream("m1", endless)
    next(stream)
    stream.close()
    assert client.predict("m1", {"review": ["a"]}).row_count == 1


async def test_embeddings_are_rows_and_one_flat_buffer(async_client: headstart.AsyncClient) -> None:
    embeddings = await async_client.embed({"name": "review", "type": "text"}, ["a b", "abcd"])
    assert list(embeddings) == [[3.0, 2.0], [4.0, 1.0]]
    assert len(embeddings) == 2
    assert memoryview(embeddings.flat).format == "f"
    with pytest.raises(IndexError):
        embeddings[2]


def test_a_column_of_a_table_can_be_embedded(client: headstart.Client) -> None:
    assert list(client.embed({"name": "review", "type": "text"}, {"review": ["a"], "label": ["x"]})) == [[1.0, 1.0]]


def test_a_stream_embeds_batch_by_batch(server: FakeServer, client: headstart.Client) -> None:
    feature = {"name": "review", "type": "text"}
    batches = [["a b", "c"], {"review": ["abc"], "label": ["x"]}, {"label": ["x"]}, ["d"]]
    answers = list(client.embed_stream(feature, batches, errors="return"))
    assert [list(answer) for answer in answers] == [[[3.0, 2.0], [1.0, 1.0]], [[3.0, 1.0]], [], [[1.0, 1.0]]]
    assert [answer.error is None for answer in answers] == [True, True, False, True]
    with pytest.raises(headstart.InvalidArgument, match="column that is missing"):
        list(client.embed_stream(feature, batches))


async def test_a_stream_of_asyncio_embeds_what_an_async_iterable_gives(async_client: headstart.AsyncClient) -> None:
    found = [list(answer) async for answer in async_client.embed_stream({"name": "review", "type": "text"}, lists())]
    assert found == [[[1.0, 1.0]], [[2.0, 1.0]]]


async def lists() -> AsyncIterator[list[str]]:
    yield ["a"]
    yield ["ab"]
