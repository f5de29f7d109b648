"""A frozen encoder's pass as one call of compiled code, in which no thread waits for Python's lock.

A pass in Python takes the lock anew after each of hundreds of operations, and waits each time that another thread has
it: docs/decisions/0053 has the numbers. torch deprecates tracing, so one file holds what will go one day.
"""

import threading
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
import torch
from torch import Tensor, nn

Pass = Callable[..., Tensor]
_log = structlog.get_logger()

TEXT_FAMILIES = frozenset({"albert", "bert", "camembert", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta"})
"""Model types whose pass is the same sequence of operations for all token ids, as a trace must be: not so mixtures of
experts, say, or attention that hashes. `tests/unit/server/encoders/test_traced.py` looks at each."""


_MOST_KEPT = 64
_kept: dict[Hashable, Pass] = {}
"""Recordings by architecture. torch keeps each for as long as the process lives, some megabytes: so they hold no
weights, and are shared by all encoders that are built alike."""
_lock = threading.Lock()


def traced(read: Pass, model: nn.Module, built: Hashable, examples: Sequence[tuple[Tensor, ...]]) -> Pass | None:
    """A pass that gives bit for bit what `read` gives; None where tracing it does not.

    Args:
        read: A pass of tensors of any sizes, whose operations depend on no values.
        model: What holds all weights that it reads, and changes no more.
        built: Equal for passes whose operations are the same, whatever their weights are.
        examples: Its arguments, of several sizes. The trace is of the first, and compared at all of them.
    """
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # what the tracer suspects is settled by the comparison
        try:
            found = _recorded(read, model, built, examples[0])
            if found is not None and all(torch.equal(found(*example), read(*example)) for example in examples):
                return found
            why = "it differs, or there are too many others"
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            why = str(error)
    _log.debug("an encoder's pass is not traced", reason=why)
    return None


class _Held(nn.Module):
    """Tensors that compiled code holds, too.

    Of one that Python alone holds, torch takes Python's lock whenever compiled code has used it: once for each weight.
    """

    def __init__(self, tensors: list[Tensor]) -> None:
        super().__init__()
        self.tensors = tensors

    def forward(self) -> int:
        return len(self.tensors)


@contextmanager
def _holding(model: nn.Module, names: Sequence[str], weights: Sequence[Tensor]) -> Iterator[None]:
    """Puts tensors in the places of a model's weights for a while, as torch.func.functional_call does, though not where
    something is traced."""
    places = []
    for name in names:
        path, _, last = name.rpartition(".")
        owner = model.get_submodule(path)
        held: dict[str, Any] = owner._parameters if last in owner._parameters else owner._buffers
        places.append((held, last, held[last]))
    try:
        for (held, last, _), weight in zip(places, weights, strict=True):
            held[last] = weight
        yield
    finally:
        for held, last, weight in places:
            held[last] = weight


def _recorded(read: Pass, model: nn.Module, built: Hashable, example: tuple[Tensor, ...]) -> Pass | None:
    named = dict([*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)])
    names, weights = tuple(named), tuple(named.values())
    key = built, names, tuple((weight.shape, weight.dtype) for weight in weights)

    # taken away below: what torch gives back holds on to the function
    recorded: list[tuple[Pass, nn.Module]] = [(read, model)]

    def called(weights: tuple[Tensor, ...], *given: Tensor) -> Tensor:
        [(read, model)] = recorded
        with _holding(model, names, weights):
            return read(*given)

    with _lock:
        if key not in _kept:
            if len(_kept) >= _MOST_KEPT:
                return None
            trace: Callable[..., Pass] = torch.jit.trace
            _kept[key] = trace(called, (weights, *example), check_trace=False)
        recorded.clear()
        graph = _kept[key]

    held = torch.jit.script(_Held(list(weights)))

    def run(*given: Tensor, _held: nn.Module = held) -> Tensor:
        # as it was recorded: optimising it takes seconds for each size that is new
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined, unused-ignore]
            return graph(weights, *given)

    return run
