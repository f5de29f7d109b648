"""Resolves the backend section: on how many workers a job trains, and how they share the model."""

import importlib.util
from dataclasses import dataclass

from headstart_server.core.errors import invalid
from headstart_server.core.reasons import Notice, Reason
from headstart_server.planning.resolution import Origin, Resolution
from headstart_server.spec.model import TrainSpec

_DEEPSPEED = (
    "'deepspeed' needs DeepSpeed on the server and on the workers, which is not installed here: "
    "pip install 'headstart[deepspeed]', or use 'fsdp'"
)
_HOROVOD = "Horovod averaged gradients over copies of the model, as torch's DDP does; the job trains by ddp"


@dataclass(frozen=True)
class BackendPlan:
    """Workers, as the job asks for them."""

    type: str = "local"
    """`local` or `ray`."""
    workers: int = 1
    least_workers: int = 1
    """With how few it begins and goes on."""
    strategy: str = "ddp"
    """`ddp`, `fsdp` or `deepspeed`."""
    zero_stage: int = 2
    """Of `deepspeed`."""
    recompute: bool = False
    """Whether encoders' blocks compute their activations again in the backward pass."""
    offload: bool = False
    """Whether what is sharded lies in the machine's memory."""
    image_workers: int | None = None
    """How many processes load images for all workers together; None: as many as half of the idle cores."""
    use_gpu: bool = False
    resources: tuple[tuple[str, float], ...] = ()
    """What each worker reserves, by Ray's names, its GPU included."""
    warnings: tuple[tuple[str, str], ...] = ()

    @property
    def elastic(self) -> bool:
        """Whether it goes on with fewer workers than it asks for."""
        return self.least_workers < self.workers

    @property
    def shares_gpus(self) -> bool:
        """Whether two workers may be placed on one GPU, between which NCCL does not talk."""
        return self.workers > 1 and dict(self.resources).get("GPU", 1.0) < 1.0

    def device_type(self, own: str) -> str:
        """`cuda` or `cpu`: where encoders run, for a process whose device is `own`."""
        if self.type == "local":
            return own
        return "cuda" if self.use_gpu else "cpu"


def plan_backend(spec: TrainSpec, resolution: Resolution, device_type: str) -> BackendPlan:
    """Resolves `backend`; raises InvalidInputError for a cluster that this server cannot talk to."""
    if spec.backend.type != "ray":
        return BackendPlan()
    if importlib.util.find_spec("ray") is None:
        raise invalid(
            "backend.type",
            "'ray' needs Ray on the server, which is not installed there: pip install 'headstart[ray]', or use 'local'",
            reason=Reason.RAY_NOT_INSTALLED,
        )
    trainer, path = spec.backend.trainer, "backend.trainer"
    workers = resolution.settle(f"{path}.num_workers", trainer.num_workers, 1)
    strategy = resolution.settle(f"{path}.strategy", trainer.strategy, "ddp")
    horovod = strategy == "horovod"
    if horovod:
        strategy = resolution.record(f"{path}.strategy", "ddp", Origin.RULE, _HOROVOD)
    _require_known(spec)
    given_gpu = True if trainer.use_gpu is None and "GPU" in trainer.resources_per_worker else trainer.use_gpu
    use_gpu = resolution.settle(
        f"{path}.use_gpu", given_gpu, device_type == "cuda", "the server has a GPU" * (device_type == "cuda")
    )
    resources = {"CPU": 1.0, **({"GPU": 1.0} if use_gpu else {}), **trainer.resources_per_worker}
    return BackendPlan(
        type="ray",
        workers=workers,
        least_workers=resolution.settle(f"{path}.min_workers", trainer.min_workers, workers),
        strategy=strategy,
        zero_stage=resolution.settle(f"{path}.zero_stage", trainer.zero_stage, 2) if strategy == "deepspeed" else 2,
        recompute=resolution.settle(f"{path}.activation_checkpointing", trainer.activation_checkpointing, False),
        offload=resolution.settle(f"{path}.cpu_offload", trainer.cpu_offload, False),
        image_workers=trainer.image_workers,
        use_gpu=use_gpu,
        resources=tuple(resources.items()),
        warnings=((Notice.HOROVOD, _HOROVOD),) * horovod,
    )


def _require_known(spec: TrainSpec) -> None:
    """Raises InvalidInputError for what no worker could train with."""
    trainer, path = spec.backend.trainer, "backend.trainer"
    if trainer.use_gpu is False and "GPU" in trainer.resources_per_worker:
        raise invalid(
            f"{path}.resources_per_worker.GPU", "is reserved although use_gpu is false; leave one of them out"
        )
    parted = trainer.strategy in ("fsdp", "deepspeed") and (trainer.num_workers or 1) > 1
    if parted and trainer.resources_per_worker.get("GPU", 1.0) < 1.0:
        raise invalid(
            f"{path}.resources_per_worker.GPU",
            "workers that share a GPU can hold copies of the model, not parts of it; use strategy ddp, or whole GPUs",
        )
    if "TPU" in trainer.resources_per_worker:
        raise invalid(f"{path}.resources_per_worker.TPU", "TPUs are not trained on; use CPU or GPU")
    if trainer.strategy in ("fsdp", "deepspeed") and spec.trainer.optimizer.type == "adafactor":
        raise invalid(
            "trainer.optimizer.type", "adafactor does not step sharded parameters; use adamw, or strategy ddp"
        )
    if trainer.strategy == "deepspeed":
        _require_deepspeed(spec)


def _require_deepspeed(spec: TrainSpec) -> None:
    """Raises InvalidInputError where DeepSpeed is missing, or asked for what it does not do."""
    if importlib.util.find_spec("deepspeed") is None:
        raise invalid("backend.trainer.strategy", _DEEPSPEED, reason=Reason.DEEPSPEED_NOT_INSTALLED)
    clipping = spec.trainer.gradient_clipping
    for kind in ("clipnorm", "clipvalue"):
        if getattr(clipping, kind) is not None:
            raise invalid(
                f"trainer.gradient_clipping.{kind}",
                "DeepSpeed clips the norm of all gradients together; use clipglobalnorm, or strategy fsdp",
            )
    if spec.trainer.regularization_lambda:
        raise invalid(
            "trainer.regularization_lambda",
            "DeepSpeed keeps gradients to itself; use trainer.optimizer.weight_decay, or strategy fsdp",
        )
