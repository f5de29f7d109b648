"""The datatypes of the Open Inference Protocol: names, bytes, fields of typed contents, numbers in configurations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from headstart_server.core.errors import invalid
from headstart_server.rpc.inference import grpc_service_pb2 as pb


@dataclass(frozen=True)
class Datatype:
    """One of them."""

    name: str
    config: pb.DataType
    layout: np.dtype[Any] | None
    """Of an element in raw bytes; None: each element has its length before it."""
    contents: str = ""
    """The field of `InferTensorContents`; empty: its elements travel as raw bytes alone."""


def _number(name: str, config: pb.DataType, layout: str, contents: str = "") -> Datatype:
    return Datatype(name, config, np.dtype(layout), contents)


BOOL = _number("BOOL", pb.TYPE_BOOL, "u1", "bool_contents")
BF16 = _number("BF16", pb.TYPE_BF16, "<u2")
FP32 = _number("FP32", pb.TYPE_FP32, "<f4", "fp32_contents")
FP64 = _number("FP64", pb.TYPE_FP64, "<f8", "fp64_contents")
BYTES = Datatype("BYTES", pb.TYPE_STRING, None, "bytes_contents")
DATATYPES: Mapping[str, Datatype] = {
    each.name: each
    for each in (
        BOOL,
        _number("INT8", pb.TYPE_INT8, "i1", "int_contents"),
        _number("INT16", pb.TYPE_INT16, "<i2", "int_contents"),
        _number("INT32", pb.TYPE_INT32, "<i4", "int_contents"),
        _number("INT64", pb.TYPE_INT64, "<i8", "int64_contents"),
        _number("UINT8", pb.TYPE_UINT8, "u1", "uint_contents"),
        _number("UINT16", pb.TYPE_UINT16, "<u2", "uint_contents"),
        _number("UINT32", pb.TYPE_UINT32, "<u4", "uint_contents"),
        _number("UINT64", pb.TYPE_UINT64, "<u8", "uint64_contents"),
        _number("FP16", pb.TYPE_FP16, "<f2"),
        BF16,
        FP32,
        FP64,
        BYTES,
    )
}
"""By name."""


def datatype_of(name: str, field: str) -> Datatype:
    """The datatype of this name; raises InvalidInputError naming `field`."""
    if name not in DATATYPES:
        raise invalid(field, f"{name[:80]!r} is no datatype; use one of {', '.join(DATATYPES)}")
    return DATATYPES[name]
