"""A frozen encoder's pass as one call of compiled code, in which no thread waits for Python's lock.

A pass in Python takes the lock anew after each of hundreds of operations, and waits each time that another thread has
it: docs/decisions/0053 has the numbers. torch deprecates tracing, so one file holds what will go one day.
"""

import threading
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
import torch
from torch import Tensor, nn

Pass = Callable[..., Tensor]
_log = structlog.get_logger()

TEXT_FAMILIES = frozenset({"albert", "bert", "camembert", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta"})
"""Model types whose pass is the same sequence of operations for all token ids, as a trace must be: not so mixtures of
experts, say, or attention that hashes. `tests/unit/server/encoders/test_traced.py` looks at each."""

_MOST_GRAPHS = 64
_graphs: dict[Hashable, Pass] = {}
"""By architecture. torch keeps what is traced for as long as the process lives, some megabytes each: so a graph holds
no weights, and all encoders that are built alike share it (`findings/torch_trace_keeps_weights_for_good.sh`)."""
_lock = threading.Lock()


def traced(read: Pass, model: nn.Module, built: Hashable, examples: Sequence[tuple[Tensor, ...]]) -> Pass | None:
    """A pass that gives bit for bit what `read` gives; None, and a warning in the log, where tracing it does not.

    Args:
        read: A pass of tensors of any sizes, whose operations depend on no values.
        model: What holds all weights that it reads, and changes no more.
        built: Equal for passes whose operations are the same, whatever their weights are.
        examples: Its arguments, of several sizes. The trace is of the first, and compared at all of them.
    """
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # what the tracer suspects is settled by the comparison
        try:
            found = _TracedPass.of(read, model, built, examples[0])
            if all(torch.equal(found(*example), read(*example)) for example in examples):
                return found
            why = "the trace gives something else"
        except (RuntimeError, IndexError, ValueError, TypeError, AttributeError) as error:
            why = str(error)
    _log.warning("an encoder is not traced: it is slower while the server is busy", reason=why)
    return None


class _Holder(nn.Module):
    """Tensors in the hands of compiled code."""

    def __init__(self, tensors: list[Tensor]) -> None:
        super().__init__()
        self.tensors = tensors

    def forward(self) -> int:
        return len(self.tensors)


@dataclass(frozen=True)
class _TracedPass:
    """A graph and the weights of one encoder."""

    graph: Pass
    weights: tuple[Tensor, ...]
    holder: nn.Module
    """Holds the weights, too: of each that Python alone holds, torch takes Python's lock whenever the graph lets go of
    it (`findings/torch_takes_pythons_lock_to_let_go_of_tensors.sh`)."""

    def __call__(self, *given: Tensor) -> Tensor:
        # as it was recorded: optimising it takes seconds for each size that is new
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined, unused-ignore]
            return self.graph(self.weights, *given)

    @classmethod
    def of(cls, read: Pass, model: nn.Module, built: Hashable, example: tuple[Tensor, ...]) -> "_TracedPass":
        """Traced, or with the graph of another that is built alike; raises RuntimeError where there are too many."""
        named = dict([*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)])
        weights = tuple(named.values())
        key = built, tuple((name, weight.shape, weight.dtype) for name, weight in named.items())
        with _lock:
            if key not in _graphs:
                if len(_graphs) >= _MOST_GRAPHS:
                    raise RuntimeError(f"{_MOST_GRAPHS} other architectures are traced already")
                _graphs[key] = _graph(read, model, named, example)
            return cls(_graphs[key], weights, torch.jit.script(_Holder(list(weights))))


def _graph(read: Pass, model: nn.Module, named: Mapping[str, Tensor], example: tuple[Tensor, ...]) -> Pass:
    """The operations of a pass, whose first argument are the weights in the order of their names."""
    source, names = [(read, model)], tuple(named)

    def call(weights: tuple[Tensor, ...], *given: Tensor) -> Tensor:
        [(read, model)] = source
        with _weights_of(model, dict(zip(names, weights, strict=True))):
            return read(*given)

    trace: Callable[..., Pass] = torch.jit.trace
    graph = trace(call, (tuple(named.values()), *example), check_trace=False)
    source.clear()  # the graph holds on to the function, which must not hold on to an encoder
    return graph


@contextmanager
def _weights_of(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Has a model compute with other tensors for a while, as torch.func.functional_call does, which refuses where
    something is traced."""
    places = []
    for name in weights:
        path, _, last = name.rpartition(".")
        owner = model.get_submodule(path)
        held: dict[str, Any] = owner._parameters if last in owner._parameters else owner._buffers
        places.append((held, last, held[last]))
    try:
        for (held, last, _), weight in zip(places, weights.values(), strict=True):
            held[last] = weight
        yield
    finally:
        for held, last, weight in places:
            held[last] = weight
