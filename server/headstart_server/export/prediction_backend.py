"""What may be asked of the backend of a file of predictions."""

from headstart_server.core.errors import InvalidInputError, Violation, invalid
from headstart_server.engines.envelopes import PredictionsOrder
from headstart_server.model.bundle import Bundle
from headstart_server.planning.backend import plan_backend
from headstart_server.planning.resolution import Resolution
from headstart_server.serving.inputs import Reuse
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.unused import given

_FIELD = "predictions.backend"
_COUNTED = ("num_workers", "min_workers", "use_gpu", "resources_per_worker")


def check_backend(order: PredictionsOrder, bundle: Bundle) -> None:
    """Raises InvalidInputError for a backend that cannot read a model's rows, or that this server does not have."""
    backend = order.backend
    kept = _COUNTED if backend.type == "ray" else ()
    for key in type(backend.trainer).model_fields:
        if key not in kept and given(getattr(backend.trainer, key)):
            what = "is of trainings, and no model is trained" if backend.type == "ray" else "is of type: ray"
            raise invalid(f"{_FIELD}.trainer.{key}", f"{what}; leave it out")
    if backend.type != "ray":
        return
    if order.reuse == Reuse.NONE.value:
        message = "'ray' brings embeddings home through the store; use embedding_reuse exact or any, or local"
        raise invalid(f"{_FIELD}.type", message)
    trained = [name for name, reference in bundle.encoders.items() if reference.folder or reference.adapter]
    if trained:
        message = f"'ray' reads rows with frozen encoders, and that of {trained[0]!r} was trained; use local"
        raise invalid(f"{_FIELD}.type", message)
    try:
        spec = TrainSpec(backend=backend)
        plan_backend(spec, Resolution.of(spec), "cpu")
    except InvalidInputError as error:
        named = [Violation(f"predictions.{item.field}", item.message) for item in error.violations]
        raise InvalidInputError(named, reason=error.reason) from None
