"""Parameters of a request: the one that has a meaning, and warnings of those that have none."""

from collections.abc import Iterable, Iterator, Mapping

from headstart_server.core.errors import invalid
from headstart_server.core.suggest import did_you_mean
from headstart_server.rpc.inference import grpc_service_pb2 as pb
from headstart_server.rpc.inference.outputs import CLASSIFICATION
from headstart_server.serving.inputs import Reuse

REUSE = "embedding_reuse"
_MOST_PARAMETERS = 100
"""Of a request, an input or an output."""
_MOST_WARNINGS = 10
_HINTS = ("priority", "timeout", "sequence_id", "sequence_start", "sequence_end", "binary_data", "binary_data_output")
"""Of clients that send them to every server: how a server may go about it, nothing of the answer."""
_OWN_PREFIX = "triton_"
"""Of parameters that Triton's clients keep to themselves."""


def reuse_of(request: pb.ModelInferRequest) -> Reuse:
    """Which stored embeddings may stand in for the encoder; raises InvalidInputError."""
    if REUSE not in request.parameters:
        return Reuse.EXACT
    given = request.parameters[REUSE].string_param
    if given not in (known := [each.value for each in Reuse]):
        raise invalid(
            f"parameters[{REUSE!r}]", f"{given[:80]!r} is no choice; set string_param to one of {', '.join(known)}"
        )
    return Reuse(given)


def check_parameters(request: pb.ModelInferRequest) -> None:
    """Raises InvalidInputError for more parameters than anybody reads."""
    owners = [("parameters", request.parameters)]
    owners += [(f"inputs[{index}].parameters", each.parameters) for index, each in enumerate(request.inputs)]
    owners += [(f"outputs[{index}].parameters", each.parameters) for index, each in enumerate(request.outputs)]
    for field, parameters in owners:
        if len(parameters) > _MOST_PARAMETERS:
            raise invalid(field, f"holds {len(parameters)} parameters; send at most {_MOST_PARAMETERS}")


def ignored(request: pb.ModelInferRequest) -> list[str]:
    """What to say of parameters that have no effect; most clients send some, so that they are no error."""
    said = [*_unknown(request.parameters, "parameters", (REUSE,))]
    for index, tensor in enumerate(request.inputs):
        said += _unknown(tensor.parameters, f"inputs[{index}].parameters", ())
    for index, output in enumerate(request.outputs):
        said += _unknown(output.parameters, f"outputs[{index}].parameters", (CLASSIFICATION,))
    left = len(said) - _MOST_WARNINGS
    return [*said[:_MOST_WARNINGS], *([f"and {left} more parameters have no effect"] if left > 0 else [])]


def _unknown(parameters: Mapping[str, pb.InferParameter], field: str, known: Iterable[str]) -> Iterator[str]:
    # in the order of their names: a map has none of its own
    for name in sorted(parameters):
        if name not in known and name not in _HINTS and not name.startswith(_OWN_PREFIX):
            yield f"{field}[{name[:80]!r}] has no effect{did_you_mean(name[:80], known)}"
