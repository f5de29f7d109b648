"""Rules of the learning rate's scheduler: which of its settings belong to which decay."""

from collections.abc import Iterator

from headstart_server.core.errors import Violation
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.unused import given

_PATH = "trainer.learning_rate_scheduler"
OF_DECAY = {
    "decay_rate": "exponential",
    "decay_steps": "exponential",
    "staircase": "exponential",
    "eta_min": "cosine",
    "t_0": "cosine",
}
"""Settings that one decay reads alone."""
OF_PLATEAU = ("reduce_on_plateau_patience", "reduce_on_plateau_rate", "reduce_eval_metric", "reduce_eval_split")
"""Settings that have an effect only with `reduce_on_plateau`."""


def scheduler_rules(spec: TrainSpec) -> Iterator[Violation]:
    """Settings that nothing would read, and a least rate that is none."""
    scheduler, rate = spec.trainer.learning_rate_scheduler, spec.trainer.learning_rate
    for key, decay in OF_DECAY.items():
        if given(getattr(scheduler, key)) and scheduler.decay != decay:
            yield Violation(f"{_PATH}.{key}", f"is for decay: {decay}; set that, or leave it out")
    if (scheduler.t_mult or 1) > 1 and scheduler.t_0 is None:
        yield Violation(f"{_PATH}.t_mult", "needs t_0, the steps of the first cycle; set that, or leave it out")
    for key in OF_PLATEAU:
        if getattr(scheduler, key) is not None and not scheduler.reduce_on_plateau:
            yield Violation(f"{_PATH}.{key}", "has no effect without reduce_on_plateau; set that, or leave it out")
    if rate is not None and scheduler.eta_min and scheduler.eta_min >= rate:
        yield Violation(f"{_PATH}.eta_min", f"{scheduler.eta_min:g} must be below learning_rate, {rate:g}")
