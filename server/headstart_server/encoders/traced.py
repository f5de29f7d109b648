"""A frozen encoder's pass as one call of compiled code, in which no thread waits for Python's lock.

A pass in Python takes the lock anew after each of hundreds of operations, and waits each time that another thread has
it: docs/decisions/0053 has the numbers. torch deprecates tracing, so one file holds what will go one day.
"""

import warnings
from collections.abc import Callable, Sequence

import structlog
import torch
from torch import Tensor, nn

Pass = Callable[..., Tensor]
_log = structlog.get_logger()

TEXT_FAMILIES = frozenset({"albert", "bert", "camembert", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta"})
"""Model types whose pass is the same sequence of operations for all token ids, as a trace must be: not so mixtures of
experts, say, or attention that hashes. `tests/unit/server/encoders/test_traced.py` looks at each."""


def traced(read: Pass, model: nn.Module, examples: Sequence[tuple[Tensor, ...]]) -> Pass | None:
    """A pass that gives bit for bit what `read` gives; None where tracing it does not.

    Args:
        read: A pass of tensors of any sizes, whose operations depend on no values.
        model: What holds all weights that it reads.
        examples: Its arguments, of several sizes. The trace is of the first, and compared at all of them.
    """
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # what the tracer suspects is settled by the comparison
        try:
            found = _recorded(read, model, examples[0])
            if all(torch.equal(found(*example), read(*example)) for example in examples):
                return found
            why = "it differs"
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            why = str(error)
    _log.debug("an encoder's pass is not traced", reason=why)
    return None


class _Module(nn.Module):
    """A pass and the model whose weights it reads.

    The tracer keeps what it records for as long as the process lives, and with it each tensor that it takes for a
    constant: those are all that belong to no module which it traces.
    """

    def __init__(self, read: Pass, model: nn.Module) -> None:
        super().__init__()
        self._read, self.model = read, model

    def forward(self, *given: Tensor) -> Tensor:
        return self._read(*given)


def _recorded(read: Pass, model: nn.Module, example: tuple[Tensor, ...]) -> Pass:
    trace: Callable[..., Pass] = torch.jit.trace
    graph = trace(_Module(read, model), example, check_trace=False)

    def run(*given: Tensor) -> Tensor:
        # as it was recorded: optimising it takes seconds for each size that is new
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined, unused-ignore]
            return graph(*given)

    return run
