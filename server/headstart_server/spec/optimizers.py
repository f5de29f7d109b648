"""Which options each optimizer has, beside its weight decay, by torch's names; and the rules that follow."""

from collections.abc import Iterator

from headstart_server.core.errors import Violation
from headstart_server.spec.training_sections import OptimizerSpec
from headstart_server.spec.unused import given

OPTIONS: dict[str, tuple[str, ...]] = {
    "adamw": ("betas", "eps", "amsgrad"),
    "adam": ("betas", "eps", "amsgrad"),
    "sgd": ("momentum", "dampening", "nesterov"),
    "adafactor": (),
    "nadam": ("betas", "eps", "momentum_decay"),
    "radam": ("betas", "eps"),
    "adagrad": ("eps", "initial_accumulator_value", "lr_decay"),
    "adadelta": ("eps", "rho"),
    "adamax": ("betas", "eps"),
    "rmsprop": ("eps", "momentum", "alpha", "centered"),
    "asgd": (),
}
DEFAULT = "adamw"
_FOR_ALL = ("type", "weight_decay")


def optimizer_rules(optimizer: OptimizerSpec, path: str) -> Iterator[Violation]:
    """Options that an optimizer does not have, and options that exclude or need each other."""
    kind = optimizer.type or DEFAULT
    for name in OptimizerSpec.model_fields:
        value = getattr(optimizer, name)
        if name in _FOR_ALL or name in OPTIONS[kind] or not given(value):
            continue
        suited = ", ".join(other for other, options in OPTIONS.items() if name in options)
        yield Violation(f"{path}.{name}", f"{kind} has none; it is for {suited}; leave it out")
    if optimizer.betas and "betas" in OPTIONS[kind] and len(optimizer.betas) != 2:
        yield Violation(f"{path}.betas", f"{optimizer.betas} must be two numbers in [0, 1)")
    if kind == "sgd":
        yield from _sgd(optimizer, path)


def _sgd(optimizer: OptimizerSpec, path: str) -> Iterator[Violation]:
    if optimizer.nesterov and not optimizer.momentum:
        yield Violation(f"{path}.nesterov", "needs momentum above 0; set trainer.optimizer.momentum, e.g. 0.9")
    if optimizer.dampening and not optimizer.momentum:
        yield Violation(f"{path}.dampening", "is of momentum, which is 0; set that, or leave it out")
    elif optimizer.dampening and optimizer.nesterov:
        yield Violation(f"{path}.dampening", "excludes nesterov; leave one of them out")
