"""Input tensors become the columns that Predict would be sent, and every mistake names its tensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.tables import table_of_arrow
from headstart_server.rpc.inference import grpc_service_pb2 as pb
from headstart_server.rpc.inference.datatypes import DATATYPES
from headstart_server.rpc.inference.inputs import announced, input_table
from headstart_server.rpc.inference.tensors import packed
from hypothesis import given
from hypothesis import strategies as st

from tests.support.infer_requests import add_input, infer_request, named
from tests.support.tables import WHERE

INPUTS = [
    named("review", ["a", "b"], "text"),
    named("price", [1.0, 2.0], "number"),
    named("photo", [b"x"], "image"),
    named("shade", ["red", "blue"], "category"),
    named("tags", ["a b", "b"], "set"),
    named("spam", ["ham", "spam"], "binary"),
    named("point", ["1 2", "3 4"], "vector"),
]
BY_NAME = {feature.name: feature for feature in INPUTS}


def column(name: str, datatype: str, values: Any, shape: list[int] | None = None) -> list[Any]:
    """A column of the canonical table of one input alone."""
    request = pb.ModelInferRequest()
    add_input(request, name, datatype, values, shape)
    table = table_of_arrow(input_table(request, [BY_NAME[name]]), "table")
    found: list[Any] = table.rows.column(name).to_pylist()
    return found


def array(name: str, datatype: str, values: Any, shape: list[int] | None = None) -> list[Any]:
    """What the model reads of it."""
    request = pb.ModelInferRequest()
    add_input(request, name, datatype, values, shape)
    cells = table_of_arrow(input_table(request, [BY_NAME[name]]), "table").rows.column(name).combine_chunks()
    found: list[Any] = BY_NAME[name].transform(cells, WHERE).tolist()
    return found


@pytest.mark.parametrize("shape", [[3], [3, 1]])
def test_texts_come_flat_or_one_to_a_row_and_an_empty_one_is_missing(shape: list[int]) -> None:
    assert column("review", "BYTES", ["fein", "é字🦆", ""], shape) == ["fein", "é字🦆", None]


NUMBERS = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP32", "FP64"]


@pytest.mark.parametrize("datatype", NUMBERS)
@pytest.mark.parametrize("shape", [[3], [3, 1]])
def test_any_number_is_a_number(datatype: str, shape: list[int]) -> None:
    assert array("price", datatype, [1, 2, 7], shape) == array("price", "BYTES", ["1", "2", "7"])


def test_halves_are_numbers_too() -> None:
    request = pb.ModelInferRequest(raw_input_contents=[np.array([0.5, 2], "<f2").tobytes()])
    request.inputs.add(name="price", datatype="FP16", shape=[2])
    assert input_table(request, [BY_NAME["price"]]).column("price").to_pylist() == [0.5, 2.0]


def test_nan_is_a_missing_number() -> None:
    assert array("price", "FP64", [math.nan, 1.5]) == array("price", "BYTES", ["", "1.5"])


def test_a_large_whole_number_is_a_category_to_its_last_digit() -> None:
    assert column("shade", "INT64", [2**53 + 1]) == ["9007199254740993"]


def test_images_are_the_bytes_of_files_and_an_empty_one_is_missing() -> None:
    assert column("photo", "BYTES", [b"\xff\xd8\xff", b""]) == [b"\xff\xd8\xff", None]


@pytest.mark.parametrize(("datatype", "values"), [("BOOL", [True, False]), ("BYTES", ["spam", "ham"])])
def test_a_binary_column_takes_truth_values_and_its_words(datatype: str, values: list[Any]) -> None:
    assert array("spam", datatype, values) == [1.0, 0.0]


@pytest.mark.parametrize(("datatype", "values"), [("FP32", [1, 0]), ("INT32", [1, 0]), ("BYTES", ["yes", "0"])])
def test_a_binary_column_of_truth_values_takes_numbers(datatype: str, values: list[Any]) -> None:
    request = infer_request(watched=(datatype, values))
    feature = named("watched", ["true", "false"], "binary")
    cells = table_of_arrow(input_table(request, [feature]), "table").rows.column("watched").combine_chunks()
    assert feature.transform(cells, WHERE).tolist() == [1.0, 0.0]


def test_sets_are_texts_as_in_a_file() -> None:
    assert BY_NAME["tags"].classes == ["b", "a"]
    assert array("tags", "BYTES", ["a b", "b", "", "a\x1f"]) == [[1, 1], [1, 0], [0, 0], [0, 1]]


@given(st.lists(st.tuples(*[st.floats(width=32, allow_nan=False, allow_infinity=False)] * 2), min_size=1))
def test_vectors_come_to_the_last_bit(values: list[tuple[float, float]]) -> None:
    assert array("point", "FP32", values) == [list(row) for row in values]
    assert array("point", "FP64", values) == [list(row) for row in values]


def test_vectors_of_whole_numbers_and_a_row_of_nan_which_is_missing() -> None:
    assert array("point", "INT16", [[1, 2], [-3, 4]]) == [[1, 2], [-3, 4]]
    assert array("point", "BOOL", [[True, False]]) == [[1, 0]]
    assert column("point", "FP32", [[math.nan, math.nan], [1, 2]])[0] is None
    assert array("point", "FP32", [[math.nan, math.nan], [1, 2]]) == [[0, 0], [1, 2]]
    assert array("point", "BYTES", ["1 2", "[3, 4]"]) == [[1, 2], [3, 4]]


def test_an_input_that_may_be_missing_may_be_left_out() -> None:
    filled = named("price", [1.0, 2.0], "number", missing_value_strategy="fill_with_mean")
    default = named("photo", [b"x"], "image", bad_image_policy="default")
    table = input_table(infer_request(review=("BYTES", ["a", "b"])), [BY_NAME["review"], filled, default])
    assert table.to_pydict() == {"review": ["a", "b"], "price": [None, None], "photo": [None, None]}


@pytest.mark.parametrize("strategy", [None, "drop_row", "fail"])
def test_no_other_input_may_be_left_out(strategy: str | None) -> None:
    chosen: dict[str, Any] = {"missing_value_strategy": strategy} if strategy else {}
    inputs = [BY_NAME["review"], named("price", [1.0, 2.0], "number", **chosen), BY_NAME["tags"]]
    with pytest.raises(InvalidInputError) as refused:
        input_table(infer_request(review=("BYTES", ["a"])), inputs)
    assert [each.message for each in refused.value.listed] == [
        "'price' is missing; send it, too",
        "'tags' is missing; send it, too",
    ]
    assert refused.value.reason == "MISSING_COLUMN"


def test_a_request_of_nothing_is_refused_even_where_everything_may_be_missing() -> None:
    filled = named("price", [1.0, 2.0], "number", missing_value_strategy="fill_with_mean")
    with pytest.raises(InvalidInputError, match="inputs: is empty; send at least one input"):
        input_table(pb.ModelInferRequest(), [filled])


def of(name: str, datatype: str, shape: list[int], raw: bytes = b"") -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(raw_input_contents=[raw])
    request.inputs.add(name=name, datatype=datatype, shape=shape)
    return request


BAD: list[tuple[pb.ModelInferRequest, str, str]] = [
    (of("reviev", "BYTES", [1]), "inputs[0].name", "'reviev' is no input; did you mean 'review'? The inputs: "),
    (of("price", "FP65", [1]), "inputs[0].datatype", "'FP65' is no datatype"),
    (of("price", "FP64", [2, 2]), "inputs[0].shape", "has shape [2, 2], expected [-1] or [-1, 1]"),
    (of("point", "FP32", [2, 3]), "inputs[0].shape", "has shape [2, 3], expected [-1, 2]"),
    (of("point", "FP32", [2]), "inputs[0].shape", "has shape [2], expected [-1, 2]"),
    (of("photo", "UINT8", [9]), "inputs[0].datatype", "'photo' holds images: send the bytes of their files as BYTES"),
    (of("price", "FP64", [1], bytes(7)), "raw_input_contents[0]", "holds 7 bytes"),
    (of("review", "BYTES", [1], b"\1\0\0\0\xff"), "inputs[0]", "'review', row 1: is not UTF-8"),
]


@pytest.mark.parametrize(("request_", "field", "said"), BAD)
def test_what_does_not_fit_is_named(request_: pb.ModelInferRequest, field: str, said: str) -> None:
    features = [BY_NAME[request_.inputs[0].name]] if request_.inputs[0].name in BY_NAME else INPUTS
    with pytest.raises(InvalidInputError) as refused:
        input_table(request_, features)
    assert refused.value.field == field and said in refused.value.listed[0].message


def test_of_any_number_of_mistakes_the_first_are_told() -> None:
    request = pb.ModelInferRequest()
    for _ in range(5_000):
        request.inputs.add(name="x" * 10_000, datatype="FP32", shape=[1])
    with pytest.raises(InvalidInputError) as refused:
        input_table(request, INPUTS)
    assert len(refused.value.listed) == 20 and len(refused.value.listed[0].message) < 1_000


def test_every_input_that_is_wrong_is_named_at_once() -> None:
    request = infer_request(review=("BYTES", [b"\xff"]), price=("FP64", [[1.0, 2.0]]))
    with pytest.raises(InvalidInputError) as refused:
        input_table(request, INPUTS[:2])
    assert [each.field for each in refused.value.listed] == ["inputs[0]", "inputs[1].shape"]


def test_inputs_of_several_lengths_are_refused() -> None:
    request = infer_request(review=("BYTES", ["a", "b"]), price=("FP64", [1.0]))
    with pytest.raises(InvalidInputError, match=r"inputs\[1\].shape: 'price' has 1 rows, 'review' has 2"):
        input_table(request, INPUTS[:2])


def test_an_input_that_is_sent_twice_is_refused() -> None:
    request = infer_request(review=("BYTES", ["a"]))
    add_input(request, "review", "BYTES", ["b"])
    with pytest.raises(InvalidInputError, match=r"inputs\[1\].name: 'review' occurs more than once"):
        input_table(request, INPUTS[:1])


def test_raw_and_typed_contents_exclude_each_other() -> None:
    request = infer_request(review=("BYTES", ["a"]), price=("FP64", [1.0]))
    request.inputs[1].contents.fp64_contents.append(1.0)
    with pytest.raises(InvalidInputError, match=r"inputs\[1\].contents: excludes raw_input_contents"):
        input_table(request, INPUTS[:2])
    request.inputs[1].ClearField("contents")
    del request.raw_input_contents[1]
    with pytest.raises(InvalidInputError, match="raw_input_contents: holds 1 inputs, inputs 2; send one for each"):
        input_table(request, INPUTS[:2])


@pytest.mark.parametrize("name", ["shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"])
def test_shared_memory_is_refused_also_beside_others_that_are_sent(name: str) -> None:
    request = infer_request(review=("BYTES", ["a"]))
    request.inputs.add(name="price", datatype="FP64", shape=[1]).parameters[name].string_param = "x"
    with pytest.raises(InvalidInputError, match=r"inputs\[1\].parameters: .*memory is shared with nobody"):
        input_table(request, INPUTS[:2])


def test_typed_contents_that_hold_nothing_may_stand_beside_raw_bytes() -> None:
    request = infer_request(review=("BYTES", ["a"]))
    request.inputs[0].contents.SetInParent()
    assert input_table(request, INPUTS[:1]).column("review").to_pylist() == ["a"]


def test_typed_contents_are_what_raw_bytes_are() -> None:
    request = pb.ModelInferRequest()
    request.inputs.add(name="review", datatype="BYTES", shape=[1]).contents.bytes_contents.append(b"a")
    request.inputs.add(name="price", datatype="INT32", shape=[1]).contents.int_contents.append(7)
    request.inputs.add(name="spam", datatype="BOOL", shape=[1]).contents.bool_contents.append(True)
    request.inputs.add(name="point", datatype="FP32", shape=[1, 2]).contents.fp32_contents.extend([1.5, 2])
    names = [tensor.name for tensor in request.inputs]
    raw = infer_request(
        review=("BYTES", ["a"]), price=("INT32", [7]), spam=("BOOL", [True]), point=("FP32", [[1.5, 2]])
    )
    features = [BY_NAME[name] for name in names]
    assert input_table(request, features).equals(input_table(raw, features))


@pytest.mark.parametrize(("shape", "rows"), [([3], 3), ([0], 1), ([-5], 1), ([], 1)])
def test_a_request_announces_its_rows(shape: list[int], rows: int) -> None:
    request = of("review", "BYTES", shape, bytes(9))
    assert announced(request) == (rows, request.ByteSize())


def test_a_request_announces_no_more_rows_than_it_has_bytes() -> None:
    request = of("review", "BYTES", [2**62], bytes(9))
    assert announced(request) == (request.ByteSize(), request.ByteSize())
    assert announced(pb.ModelInferRequest()) == (1, 0)


ANY_SHAPE = st.lists(st.integers(-2, 4) | st.sampled_from([2**31, 2**62]), max_size=3)
DATATYPE = st.sampled_from([*DATATYPES, "", "STRING"])


@given(st.data())
def test_whatever_comes_is_a_table_or_refused(data: st.DataObject) -> None:
    """What a model reads of it, too: nothing that a caller sends is an error of the server's."""
    request = pb.ModelInferRequest(raw_input_contents=data.draw(st.lists(st.binary(max_size=40), max_size=3)))
    for name in data.draw(st.lists(st.sampled_from([*BY_NAME, "", "x"]), max_size=3)):
        request.inputs.add(name=name, datatype=data.draw(DATATYPE), shape=data.draw(ANY_SHAPE))
        if data.draw(st.booleans()):
            request.inputs[-1].contents.bytes_contents.extend(data.draw(st.lists(st.binary(max_size=3), max_size=3)))
            request.inputs[-1].contents.int_contents.extend(data.draw(st.lists(st.integers(-300, 300), max_size=3)))
    features = [BY_NAME[tensor.name] for tensor in request.inputs if tensor.name in BY_NAME]
    try:
        read(input_table(request, features), features)
    except InvalidInputError as error:
        assert error.listed


@given(st.sampled_from(list(DATATYPES)), st.integers(1, 4), st.data())
def test_whatever_fits_the_shape_is_read_or_refused(datatype: str, rows: int, data: st.DataObject) -> None:
    layout = DATATYPES[datatype].layout
    name = data.draw(st.sampled_from([name for name in BY_NAME if name != "photo" or layout is None]))
    shape = [rows, 2] if name == "point" and layout is not None else [rows]
    size = math.prod(shape)
    if layout is None:
        raw = packed(data.draw(st.lists(st.binary(max_size=9), min_size=size, max_size=size)))
    else:
        raw = data.draw(st.binary(min_size=size * layout.itemsize, max_size=size * layout.itemsize))
    try:
        assert read(input_table(of(name, datatype, shape, raw), [BY_NAME[name]]), [BY_NAME[name]]) == rows
    except InvalidInputError as error:
        assert error.reason in ("BAD_CELL", "UNSEEN_LABEL", "UNREADABLE_DATA", "INVALID_INPUT")


def read(table: pa.Table, features: list[FittedFeature]) -> int:
    """Has a model's features read a table, as Predict does; returns the number of rows."""
    canonical = table_of_arrow(table, "table")
    for feature in features:
        cells = canonical.rows.column(feature.name).combine_chunks()
        if feature.spec.type == "text":
            feature.texts(cells)
        elif feature.spec.type != "image":
            feature.transform(cells, WHERE)
    return canonical.row_count
