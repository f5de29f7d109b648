"""Input tensors to the Arrow table of a model's columns, with every mistake named by tensor."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headstart_server.core.errors import MAX_VIOLATIONS, InvalidInputError, invalid
from headstart_server.core.reasons import Reason
from headstart_server.core.suggest import choices
from headstart_server.data.features.binary import BinaryStatistics
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.vector import VectorStatistics
from headstart_server.rpc.inference import grpc_service_pb2 as pb
from headstart_server.rpc.inference.datatypes import BOOL, BYTES, Datatype, datatype_of
from headstart_server.rpc.inference.signature import TensorSpec, input_specs
from headstart_server.rpc.inference.tensors import Elements, raw_elements, shape_of, typed_elements

_NAME_LENGTH = 200


def announced(request: pb.ModelInferRequest) -> tuple[int, int]:
    """(rows, bytes) of a request that nobody has read: as many rows as it says, and no more than it can hold."""
    size = request.ByteSize()
    rows = request.inputs[0].shape[0] if request.inputs and request.inputs[0].shape else 1
    return max(1, min(rows, size)), size


def input_table(request: pb.ModelInferRequest, inputs: Sequence[FittedFeature]) -> pa.Table:
    """The columns of a model's inputs, those that were left out missing; raises InvalidInputError naming tensors."""
    specs = input_specs(inputs)
    _check_names(request, specs)
    _check_contents(request)
    arrays: dict[str, pa.Array] = {}
    errors: list[InvalidInputError] = []
    for index, tensor in enumerate(request.inputs):
        try:
            arrays[tensor.name] = _column(request, index, specs[tensor.name])
        except InvalidInputError as error:
            errors.append(error)
    if errors:
        raise InvalidInputError.of_all(errors, Reason.BAD_COLUMN)
    rows = len(arrays[request.inputs[0].name])
    for index, tensor in enumerate(request.inputs):
        if len(arrays[tensor.name]) != rows:
            raise invalid(
                f"inputs[{index}].shape",
                f"{tensor.name!r} has {len(arrays[tensor.name])} rows, {request.inputs[0].name!r} has {rows}; make "
                "them equal",
            )
    left_out = {name: pa.nulls(rows, pa.large_string()) for name in specs if name not in arrays}
    return pa.table({**arrays, **left_out})


def _check_names(request: pb.ModelInferRequest, specs: Mapping[str, TensorSpec]) -> None:
    """Raises InvalidInputError naming inputs that the model does not read, and those that it lacks."""
    errors: list[InvalidInputError] = []
    seen: set[str] = set()
    for index, tensor in enumerate(request.inputs):
        name, field = tensor.name[:_NAME_LENGTH], f"inputs[{index}].name"
        if tensor.name not in specs:
            errors.append(invalid(field, f"{name!r} is no input{choices(name, specs, 'the inputs')}"))
        elif tensor.name in seen:
            errors.append(invalid(field, f"{name!r} occurs more than once; send each input once"))
        seen.add(tensor.name)
        if len(errors) == MAX_VIOLATIONS:  # there may be any number of them
            break
    errors += [
        invalid("inputs", f"{name[:_NAME_LENGTH]!r} is missing; send it, too", reason=Reason.MISSING_COLUMN)
        for name, spec in specs.items()
        if name not in seen and not spec.optional
    ]
    if not seen and not errors:
        errors.append(invalid("inputs", "is empty; send at least one input, which tells how many rows there are"))
    if errors:
        raise InvalidInputError.of_all(errors, Reason.INVALID_INPUT)


def _check_contents(request: pb.ModelInferRequest) -> None:
    """Raises InvalidInputError where some inputs come as raw bytes and others do not, or in memory that is shared."""
    for index, tensor in enumerate(request.inputs):
        _refuse_shared_memory(tensor, f"inputs[{index}]")
    raw = len(request.raw_input_contents)
    if not raw:
        return
    for index, tensor in enumerate(request.inputs):
        if tensor.contents.ByteSize():
            raise invalid(f"inputs[{index}].contents", "excludes raw_input_contents; send one of them for all inputs")
    if raw != len(request.inputs):
        raise invalid("raw_input_contents", f"holds {raw} inputs, inputs {len(request.inputs)}; send one for each")


def _column(request: pb.ModelInferRequest, index: int, spec: TensorSpec) -> pa.Array:
    """One input as the column that `Predict` would be sent."""
    tensor, field = request.inputs[index], f"inputs[{index}]"
    datatype, shape = datatype_of(tensor.datatype, f"{field}.datatype"), shape_of(tensor, field)
    _check_shape(tensor.name, datatype, shape, spec, field)
    if request.raw_input_contents:
        elements = raw_elements(request.raw_input_contents[index], datatype, shape, f"raw_input_contents[{index}]")
    else:
        elements = typed_elements(tensor.contents, datatype, shape, f"{field}.contents")
    return _array(elements, datatype, shape, spec.feature, field)


def _refuse_shared_memory(tensor: pb.ModelInferRequest.InferInputTensor, field: str) -> None:
    for name in tensor.parameters:
        if name.startswith("shared_memory_"):
            raise invalid(f"{field}.parameters", f"{name[:80]!r}: memory is shared with nobody; send the elements")


def _check_shape(name: str, datatype: Datatype, shape: tuple[int, ...], spec: TensorSpec, field: str) -> None:
    vector = isinstance(spec.feature.statistics, VectorStatistics) and datatype is not BYTES
    if vector and shape != (shape[0], *spec.shape[1:]):
        raise invalid(f"{field}.shape", f"{name!r} has shape {list(shape)}, expected {list(spec.shape)}, -1 being rows")
    if not vector and shape[1:] not in ((), (1,)):
        raise invalid(f"{field}.shape", f"{name!r} has shape {list(shape)}, expected [-1] or [-1, 1], -1 being rows")
    if spec.feature.spec.type == "image" and datatype is not BYTES:
        raise invalid(f"{field}.datatype", f"{name!r} holds images: send the bytes of their files as BYTES")


def _array(
    elements: Elements, datatype: Datatype, shape: tuple[int, ...], feature: FittedFeature, field: str
) -> pa.Array:
    statistics = feature.statistics
    if datatype is BYTES:
        return _bytes_array(list(elements), feature, field)
    values = np.asarray(elements)
    if values.dtype == np.float16:
        values = values.astype(np.float64)
    if isinstance(statistics, VectorStatistics):
        return _vectors(values.reshape(shape))
    if datatype is BOOL and isinstance(statistics, BinaryStatistics):
        return pa.array(np.where(values, statistics.true_label, statistics.false_label).tolist(), pa.large_string())
    return pa.array(values)


def _bytes_array(elements: list[Any], feature: FittedFeature, field: str) -> pa.Array:
    if feature.spec.type == "image":
        return pa.array([element or None for element in elements], pa.large_binary())
    return pa.array(list(_texts(elements, feature.spec.source, field)), pa.large_string())


def _texts(elements: Sequence[bytes], name: str, field: str) -> Iterator[str]:
    for row, element in enumerate(elements):
        try:
            yield element.decode()
        except UnicodeDecodeError:
            message = f"{name!r}, row {row + 1}: is not UTF-8; encode the text so"
            raise invalid(field, message, reason=Reason.BAD_CELL) from None


def _vectors(values: npt.NDArray[Any]) -> pa.Array:
    """A list per row; one of NaN alone is a missing cell."""
    rows, size = values.shape
    numbers = values.astype(np.uint8) if values.dtype == np.bool_ else values
    missing = np.isnan(numbers).all(1)
    offsets = pa.array(np.arange(rows + 1) * size, pa.int64())
    return pa.LargeListArray.from_arrays(offsets, pa.array(numbers.ravel()), mask=pa.array(missing))
