"""Chooses how a world shares a model."""

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.reasons import Reason
from headstart_server.model.ecd import ECD
from headstart_server.model.world import World
from headstart_server.training.blocks import recompute
from headstart_server.training.parallel.base import Alone, Parallel, Sharing
from headstart_server.training.parallel.ddp import Replicated
from headstart_server.training.parallel.fsdp import Sharded


def parallelise(model: ECD, world: World, sharing: Sharing) -> Parallel:
    """The model as a world trains it. Optimizers are built over what its parameters are then."""
    if sharing.recompute:
        for item in model.pretrained().values():
            if item.tuning.trains:
                recompute(item.encoder)
    if sharing.strategy != "ddp" and world.size > 1:
        _require_one_pass(model, sharing.strategy)
    if sharing.strategy == "fsdp":
        return Sharded(model, world, sharing)
    if sharing.strategy == "deepspeed":
        from headstart_server.training.parallel.deepspeed import ZeRO

        return ZeRO(model, world, sharing.stage, half=sharing.half)
    return Alone(model) if world.size == 1 else Replicated(model, world)


def _require_one_pass(model: ECD, strategy: str) -> None:
    """Raises FailedPreconditionError for text encoders that read a batch in several passes.

    Processes that hold parts of a model run its blocks together; how many lengths a batch has differs among them.
    """
    for name, item in model.pretrained().items():
        if not item.one_pass:
            raise FailedPreconditionError(
                f"the encoder of {name!r} reads texts of one length at a time, which {strategy} cannot; "
                "set backend.trainer.strategy to ddp",
                reason=Reason.STRATEGY_UNSUITED,
                field="backend.trainer.strategy",
            )
