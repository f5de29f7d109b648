"""Predictions to output tensors: all of a model's, or those that are wanted, and their most probable classes."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headstart_server.core.errors import MAX_VIOLATIONS, InvalidInputError, invalid
from headstart_server.core.reasons import Reason
from headstart_server.core.suggest import choices
from headstart_server.data.canonical import text_of
from headstart_server.data.features.cells import split_items
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.sets import SetStatistics
from headstart_server.rpc.inference import grpc_service_pb2 as pb
from headstart_server.rpc.inference.datatypes import BYTES, FP64, Datatype
from headstart_server.rpc.inference.signature import TensorSpec, output_specs
from headstart_server.rpc.inference.tensors import Elements, raw_of
from headstart_server.serving.decode import Decoded

CLASSIFICATION = "classification"
_NAME_LENGTH = 200


@dataclass(frozen=True)
class Wanted:
    """An output that a request asks for."""

    spec: TensorSpec
    top: int = 0
    """How many classes per row, most probable first, in place of the values; 0: the values."""


def wanted_outputs(request: pb.ModelInferRequest, outputs: Iterable[FittedFeature]) -> list[Wanted]:
    """What a request asks for, by default all; raises InvalidInputError naming outputs that are not to be had."""
    specs = output_specs(outputs)
    found: list[Wanted] = []
    errors: list[InvalidInputError] = []
    seen: set[str] = set()
    for index, output in enumerate(request.outputs):
        try:
            found.append(_wanted(output, specs, seen, f"outputs[{index}]"))
        except InvalidInputError as error:
            errors.append(error)
        seen.add(output.name)
        if len(errors) == MAX_VIOLATIONS:  # there may be any number of them
            break
    if errors:
        raise InvalidInputError.of_all(errors, Reason.INVALID_INPUT)
    return found or [Wanted(spec) for spec in specs.values()]


def add_outputs(response: pb.ModelInferResponse, wanted: Iterable[Wanted], decoded: Iterable[Decoded]) -> None:
    """Adds the outputs that are wanted to a response."""
    answers = {item.feature.name: item for item in decoded}
    for item in wanted:
        elements, datatype, shape = _tensor(item, answers[item.spec.feature.name])
        response.outputs.add(name=item.spec.name, datatype=datatype.name, shape=shape)
        response.raw_output_contents.append(raw_of(elements, datatype))


def _wanted(
    output: pb.ModelInferRequest.InferRequestedOutputTensor,
    specs: Mapping[str, TensorSpec],
    seen: Container[str],
    field: str,
) -> Wanted:
    spec, shown = specs.get(output.name), output.name[:_NAME_LENGTH]
    if spec is None:
        raise invalid(f"{field}.name", f"{shown!r} is no output{choices(shown, specs, 'the outputs')}")
    if output.name in seen:
        raise invalid(f"{field}.name", f"{shown!r} occurs more than once; ask for each output once")
    for name in output.parameters:
        if name.startswith("shared_memory_"):
            raise invalid(f"{field}.parameters", f"{name[:80]!r}: memory is shared with nobody; leave it out")
    if CLASSIFICATION not in output.parameters:
        return Wanted(spec)
    value, path = output.parameters[CLASSIFICATION], f"{field}.parameters[{CLASSIFICATION!r}]"
    if not spec.feature.classes:
        raise invalid(path, f"{shown!r} has no classes; leave it out, or ask for another output")
    top = getattr(value, value.WhichOneof("parameter_choice") or "int64_param")
    if value.WhichOneof("parameter_choice") not in ("int64_param", "uint64_param") or top < 1:
        raise invalid(path, "is no number of classes; set int64_param to 1 or more")
    return Wanted(spec, min(top, len(spec.feature.classes)))


def _tensor(wanted: Wanted, answer: Decoded) -> tuple[Elements, Datatype, list[int]]:
    """Elements, datatype and shape of one output."""
    spec, rows = wanted.spec, len(answer.values)
    if wanted.top:
        assert answer.probabilities is not None
        return _classified(answer.probabilities, answer.classes, wanted.top), BYTES, [rows, wanted.top]
    if spec.probabilities:
        assert answer.probabilities is not None
        return answer.probabilities, spec.datatype, [rows, len(answer.classes)]
    if spec.datatype is not BYTES:
        dtype = np.float64 if spec.datatype is FP64 else None
        return np.array(answer.values, dtype), spec.datatype, [rows, *spec.shape[1:]]
    if isinstance(answer.feature.statistics, SetStatistics):
        return _set_texts(answer.values, answer.feature.statistics), BYTES, [rows]
    return [label.encode() for label in answer.values], BYTES, [rows]


def _classified(probabilities: npt.NDArray[np.float32], classes: Sequence[str], top: int) -> list[bytes]:
    """`probability:index:label` of the most probable classes, row after row; digits enough to tell the float32."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return [
        f"{np.format_float_positional(row[index], trim='0')}:{index}:{classes[index]}".encode()
        for row, indices in zip(probabilities, order.tolist(), strict=True)
        for index in indices
    ]


def _set_texts(rows: Sequence[Sequence[str]], statistics: SetStatistics) -> list[bytes]:
    """The items of each row as an input would have them: with the separator of the data between them.

    Where an item of the model would be read as something else, each is followed by U+001F.
    """
    separator = statistics.separator or " "
    if any(split_items(item, statistics.separator) != [item] for item in statistics.vocabulary):
        return [text_of(list(row)).encode() if row else b"" for row in rows]
    return [separator.join(row).encode() for row in rows]
