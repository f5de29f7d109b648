"""Elements of tensors: from raw bytes and typed contents, checked against shape and datatype, and to raw bytes."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart_server.core.errors import invalid
from headstart_server.rpc.inference import grpc_service_pb2 as pb
from headstart_server.rpc.inference.datatypes import BF16, BOOL, BYTES, Datatype

Elements = npt.NDArray[Any] | Sequence[bytes]
"""One after the other: numbers or truth values of a datatype, or the bytes of each."""
_LENGTH_BYTES = 4
_MOST_DIMENSIONS = 8
_WIDEST = {"i": np.int64, "u": np.uint64, "f": np.float64}
"""What holds any value of a field of typed contents, by kind."""


def shape_of(tensor: pb.ModelInferRequest.InferInputTensor, field: str) -> tuple[int, ...]:
    """The shape of an input; raises InvalidInputError for one that no tensor has."""
    shape = tuple(tensor.shape)
    if not shape or len(shape) > _MOST_DIMENSIONS or min(shape) < 0:
        shown = list(shape[:_MOST_DIMENSIONS])
        raise invalid(f"{field}.shape", f"{tensor.name[:80]!r} has shape {shown}; give the number of rows first")
    return shape


def raw_elements(data: bytes, datatype: Datatype, shape: Sequence[int], field: str) -> Elements:
    """The elements that raw bytes hold; raises InvalidInputError where they do not fill the shape."""
    count = math.prod(shape)
    if datatype.layout is None:
        return _unpacked(data, count, field)
    size = datatype.layout.itemsize
    if len(data) != count * size:
        raise invalid(
            field,
            f"holds {len(data)} bytes; {datatype.name} of shape {list(shape)} takes {count} times {size}",
        )
    values: npt.NDArray[Any] = np.frombuffer(data, datatype.layout)
    if datatype is BOOL:
        return values.astype(np.bool_)
    # BF16 is the upper half of a float32
    return (values.astype(np.uint32) << np.uint32(16)).view(np.float32) if datatype is BF16 else values


def typed_elements(contents: pb.InferTensorContents, datatype: Datatype, shape: Sequence[int], field: str) -> Elements:
    """The elements of typed contents; raises InvalidInputError where they do not fill the shape in their own field."""
    if not datatype.contents:
        raise invalid(field, f"{datatype.name} has no typed contents; send raw_input_contents")
    for other, _ in contents.ListFields():
        if other.name != datatype.contents:
            raise invalid(f"{field}.{other.name}", f"{datatype.name} travels in {datatype.contents}; send it there")
    found = getattr(contents, datatype.contents)
    if len(found) != (count := math.prod(shape)):
        raise invalid(f"{field}.{datatype.contents}", f"holds {len(found)} elements; shape {list(shape)} takes {count}")
    if datatype.layout is None:
        return list(found)
    return _narrowed(np.array(found, _WIDEST[datatype.layout.kind]), datatype, f"{field}.{datatype.contents}")


def raw_of(elements: Elements, datatype: Datatype) -> bytes:
    """The raw bytes of elements of FP32, FP64, BOOL or BYTES."""
    if datatype is BYTES:
        return packed(elements)
    return np.asarray(elements).astype(datatype.layout).tobytes()


def packed(elements: Iterable[bytes]) -> bytes:
    """Bytes with the length of each before it, in 4 bytes, little-endian."""
    parts: list[bytes] = []
    for element in elements:
        parts += [len(element).to_bytes(_LENGTH_BYTES, "little"), element]
    return b"".join(parts)


def _unpacked(data: bytes, count: int, field: str) -> list[bytes]:
    elements: list[bytes] = []
    end = 0
    while len(elements) < count:
        start = end + _LENGTH_BYTES
        end = start + int.from_bytes(data[end:start], "little")
        if end > len(data):
            raise invalid(
                field,
                f"holds {len(data)} bytes, which end within element {len(elements) + 1} of {count}; put its length "
                f"before each element, as {_LENGTH_BYTES} bytes, little-endian",
            )
        elements.append(data[start:end])
    if end != len(data):
        raise invalid(field, f"holds {len(data) - end} bytes behind its {count} elements; leave them out")
    return elements


def _narrowed(values: npt.NDArray[Any], datatype: Datatype, field: str) -> npt.NDArray[Any]:
    """The values in their own datatype, which the field may be wider than."""
    if datatype is BOOL:
        return values.astype(np.bool_)
    layout = datatype.layout
    assert layout is not None
    if layout.kind in "iu" and len(values):
        limits = np.iinfo(layout)
        outside = (values < limits.min) | (values > limits.max)
        if outside.any():
            place = int(np.argmax(outside))
            raise invalid(
                field, f"element {place + 1} is {values[place]}; {datatype.name} holds {limits.min} to {limits.max}"
            )
    return values.astype(layout)
