"""Which stored embeddings may stand in, in the contract and here."""

from collections.abc import Mapping

from headstart.v1 import prediction_pb2 as pb

from headstart_server.core.errors import invalid
from headstart_server.serving.inputs import Reuse

_REUSE: Mapping[int, Reuse] = {
    pb.PredictRequest.EMBEDDING_REUSE_EXACT: Reuse.EXACT,
    pb.PredictRequest.EMBEDDING_REUSE_ANY: Reuse.ANY,
    pb.PredictRequest.EMBEDDING_REUSE_NONE: Reuse.NONE,
}


def reuse_of(given: int, field: str = "embedding_reuse") -> Reuse:
    """What a request asks for, exact ones by default; raises InvalidInputError naming `field` for an unknown number."""
    found = _REUSE.get(given or pb.PredictRequest.EMBEDDING_REUSE_EXACT)
    if found is None:
        raise invalid(field, f"{given} is unknown")
    return found
