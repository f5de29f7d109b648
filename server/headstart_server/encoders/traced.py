"""A frozen encoder's pass as one call of compiled code, in which no thread waits for Python's lock.

A pass in Python takes the lock anew after each of hundreds of operations, and waits each time that another thread has
it: docs/decisions/0053 has the numbers. torch deprecates tracing, so one file holds what will go one day.
"""

import warnings
from collections.abc import Callable, Sequence

import structlog
import torch
from torch import Tensor

Pass = Callable[..., Tensor]
_log = structlog.get_logger()

TEXT_FAMILIES = frozenset({"albert", "bert", "camembert", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta"})
"""Model types whose pass is the same sequence of operations for all token ids, as a trace must be: not so mixtures of
experts, say, or attention that hashes. `tests/unit/server/encoders/test_traced.py` looks at each."""


def traced(read: Pass, examples: Sequence[tuple[Tensor, ...]]) -> Pass | None:
    """A pass that gives bit for bit what `read` gives; None where tracing it does not.

    Args:
        read: A pass of tensors of any sizes, whose operations depend on no values.
        examples: Its arguments, of several sizes. The trace is of the first, and compared at all of them.
    """
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # what the tracer suspects is settled by the comparison
        try:
            found = _recorded(read, examples[0])
            if all(torch.equal(found(*example), read(*example)) for example in examples):
                return found
            why = "it differs"
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            why = str(error)
    _log.debug("an encoder's pass is not traced", reason=why)
    return None


def _recorded(read: Pass, example: tuple[Tensor, ...]) -> Pass:
    trace: Callable[..., Pass] = torch.jit.trace
    graph = trace(lambda *given: read(*given), example, check_trace=False)  # it takes no method of a module

    def run(*given: Tensor) -> Tensor:
        # as it was recorded: optimising it takes seconds for each size that is new
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined, unused-ignore]
            return graph(*given)

    return run
