"""Elements of tensors travel whole, as raw bytes and as typed contents, and what does not fit is named."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.rpc.inference import grpc_service_pb2 as pb
from headstart_server.rpc.inference.datatypes import BYTES, DATATYPES, datatype_of
from headstart_server.rpc.inference.tensors import packed, raw_elements, raw_of, shape_of, typed_elements
from hypothesis import given
from hypothesis import strategies as st

FORMATS = {
    "BOOL": "?",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
"""Of Python's struct, which knows nothing of NumPy."""
ANSWERED = ["BOOL", "FP32", "FP64"]


def values_of(name: str) -> st.SearchStrategy[list[Any]]:
    """Lists of what a datatype holds."""
    bits: Any = 8 * struct.calcsize(FORMATS[name])
    if name == "BOOL":
        return st.lists(st.booleans())
    if name.startswith("FP"):
        return st.lists(st.floats(width=bits))
    return st.lists(
        st.integers(0, 2**bits - 1) if name[0] == "U" else st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )


def same(found: Any, values: list[Any]) -> bool:
    pairs = zip(found.tolist(), values, strict=True)
    return all(one == other or (one != one and other != other) for one, other in pairs)


def written(name: str, values: list[Any]) -> bytes:
    return struct.pack(f"<{len(values)}{FORMATS[name]}", *values)


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
def test_numbers_of_every_datatype_are_read_from_raw_bytes(name: str, data: st.DataObject) -> None:
    values = data.draw(values_of(name))
    assert same(raw_elements(written(name, values), DATATYPES[name], [len(values)], "x"), values)


@pytest.mark.parametrize("name", ANSWERED)
@given(data=st.data())
def test_what_is_answered_is_written_as_it_is_read(name: str, data: st.DataObject) -> None:
    values = data.draw(values_of(name))
    assert raw_of(np.array(values), DATATYPES[name]) == written(name, values)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "FP16"])
@given(data=st.data())
def test_numbers_of_every_datatype_are_read_from_typed_contents(name: str, data: st.DataObject) -> None:
    values = data.draw(values_of(name))
    contents = pb.InferTensorContents()
    getattr(contents, DATATYPES[name].contents).extend(values)
    found = typed_elements(contents, DATATYPES[name], [len(values)], "x")
    raw = raw_elements(written(name, values), DATATYPES[name], [len(values)], "x")
    assert same(found, values)
    assert isinstance(found, np.ndarray) and isinstance(raw, np.ndarray) and found.dtype == raw.dtype


@given(st.lists(st.binary(max_size=300)))
def test_bytes_come_back_from_raw_bytes_and_typed_contents(values: list[bytes]) -> None:
    raw = b"".join(struct.pack("<I", len(value)) + value for value in values)
    assert packed(values) == raw
    assert raw_elements(raw, BYTES, [len(values)], "x") == values
    assert typed_elements(pb.InferTensorContents(bytes_contents=values), BYTES, [len(values), 1], "x") == values


@given(st.lists(st.floats(width=16)))
def test_bf16_is_the_upper_half_of_a_float(values: list[float]) -> None:
    halves = [struct.pack("<f", value)[2:] for value in values]
    found = raw_elements(b"".join(halves), DATATYPES["BF16"], [len(values)], "x")
    assert same(found, [struct.unpack("<f", b"\0\0" + half)[0] for half in halves])


@given(st.lists(st.binary(max_size=5), min_size=1), st.integers(0, 10_000), st.integers(0, 8))
def test_bytes_that_are_cut_or_followed_by_others_are_refused(values: list[bytes], cut: int, more: int) -> None:
    raw = packed(values)
    for wrong in (raw[: cut % len(raw)], raw + bytes(more + 1)):
        with pytest.raises(InvalidInputError, match="x: holds"):
            raw_elements(wrong, BYTES, [len(values)], "x")


REFUSED: list[tuple[str, bytes, list[int], str]] = [
    ("FP64", bytes(12), [2], "holds 12 bytes; FP64 of shape [2] takes 2 times 8"),
    ("INT16", bytes(4), [2, 2], "holds 4 bytes; INT16 of shape [2, 2] takes 4 times 2"),
    ("BYTES", bytes(4), [2], "holds 4 bytes, which end within element 2 of 2; put its length before each element"),
    ("BYTES", b"\xff\xff\xff\xffa", [1], "which end within element 1 of 1"),
    ("BYTES", bytes(9), [1], "holds 5 bytes behind its 1 elements; leave them out"),
    ("BYTES", b"", [2**62], "which end within element 1 of 4611686018427387904"),
    ("FP32", b"", [2**62, 2**62], "takes 21267647932558653966460912964485513216 times 4"),
]


@pytest.mark.parametrize(("name", "raw", "shape", "said"), REFUSED)
def test_raw_bytes_that_do_not_fill_the_shape_are_refused(name: str, raw: bytes, shape: list[int], said: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        raw_elements(raw, DATATYPES[name], shape, "raw_input_contents[0]")
    assert refused.value.field == "raw_input_contents[0]" and said in refused.value.message


CONTENTS = pb.InferTensorContents
WRONG: list[tuple[str, pb.InferTensorContents, list[int], str, str]] = [
    ("INT8", CONTENTS(int_contents=[1, 128]), [2], "int_contents", "element 2 is 128; INT8 holds -128 to 127"),
    ("UINT16", CONTENTS(uint_contents=[65536]), [1], "uint_contents", "element 1 is 65536; UINT16 holds 0 to 65535"),
    ("FP32", CONTENTS(fp64_contents=[1]), [1], "fp64_contents", "FP32 travels in fp32_contents; send it there"),
    ("FP64", CONTENTS(fp64_contents=[1]), [2], "fp64_contents", "holds 1 elements; shape [2] takes 2"),
    ("BYTES", CONTENTS(), [1], "bytes_contents", "holds 0 elements; shape [1] takes 1"),
]


@pytest.mark.parametrize(("name", "contents", "shape", "field", "said"), WRONG)
def test_typed_contents_that_do_not_fit_are_refused_by_their_field(
    name: str, contents: pb.InferTensorContents, shape: list[int], field: str, said: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        typed_elements(contents, DATATYPES[name], shape, "inputs[0].contents")
    assert (refused.value.field, refused.value.listed[0].message) == (f"inputs[0].contents.{field}", said)


@pytest.mark.parametrize("name", ["FP16", "BF16"])
def test_halves_have_no_typed_contents(name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{name} has no typed contents; send raw_input_contents"):
        typed_elements(pb.InferTensorContents(), DATATYPES[name], [0], "x")


@pytest.mark.parametrize("shape", [[], [-1], [2, -1], [1] * 9])
def test_a_shape_that_no_tensor_has_is_refused(shape: list[int]) -> None:
    with pytest.raises(InvalidInputError, match=r"inputs\[3\].shape: 'x' has shape"):
        shape_of(pb.ModelInferRequest.InferInputTensor(name="x", shape=shape), "inputs[3]")


def test_a_datatype_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidInputError, match=r"'STRING' is no datatype; use one of BOOL, .*, BYTES"):
        datatype_of("STRING", "inputs[0].datatype")
