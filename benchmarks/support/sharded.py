"""One process of several that train one large encoder, and the memory that it needs: started by `fsdp_memory`."""

import ctypes
import gc
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
import torch.distributed as dist
from headstart_server.data.features.cells import Where
from headstart_server.data.features.fitted import fit_feature
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text import defer_encoder, dimension_of, load_encoder
from headstart_server.encoders.tuning import Tuning
from headstart_server.model.ecd import ECD, PretrainedInput, Tokens
from headstart_server.model.world import World
from headstart_server.spec.model import CombinerSpec, FeatureSpec
from headstart_server.spec.training_sections import OptimizerSpec
from headstart_server.training.optimizer import build_optimizer
from headstart_server.training.parallel.base import Parallel, Sharing
from headstart_server.training.parallel.strategies import parallelise
from torch import Tensor

from benchmarks.support.memory import PeakMemory, allocated

_ROWS, _TOKENS, _STEPS = 2, 32, 2


def main(weights: Path, strategy: str, rank: int, size: int, port: int) -> dict[str, float]:
    """Trains two steps; returns bytes."""
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=size, timeout=timedelta(minutes=5))
    try:
        _warm_up()
        before, loading = allocated(), PeakMemory()
        model = _model(weights, in_parts=strategy == "fsdp")
        whole = sum(parameter.nbytes for parameter in model.parameters())
        parallel = parallelise(model, World(rank, size), Sharing(strategy))
        loaded = loading.growth()
        optimizer = build_optimizer(model, OptimizerSpec(), 1e-5, 1e-3, fused=not parallel.in_parts)
        for _ in range(_STEPS):
            _step(parallel, optimizer)
        states = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        return {
            "model": whole,
            "parameters": sum(_held(parameter) for parameter in model.parameters()),
            "optimizer": sum(_held(state) for state in states),
            "allocated": allocated() - before,
            "loading": loaded,
        }
    finally:
        dist.destroy_process_group()


def _warm_up() -> None:
    """What torch and transformers load when they are first used is nobody's parameter."""
    from torch._dynamo import config  # noqa: F401
    from transformers import BertModel  # noqa: F401


def _model(weights: Path, *, in_parts: bool) -> ECD:
    where = Where("benchmark", "text", lambda row: f"row {row}")
    columns = {"text": pa.array(["a", "b"], pa.large_string()), "label": pa.array(["p", "q"], pa.large_string())}
    text, label = (
        fit_feature(FeatureSpec(name=name, type=kind), [(0, columns[name])], where, output=output)
        for name, kind, output in (("text", "text", False), ("label", "category", True))
    )
    source = ModelSource("benchmark", weights)
    item = PretrainedInput(dimension_of(source), Tuning.FULL)
    if in_parts:
        deferred = defer_encoder(source, "mean")
        assert deferred is not None
        item.defer(deferred)
    else:
        item.restore(load_encoder(source, "mean", use_pretrained=True, field="benchmark"))
    return ECD([text], [label], CombinerSpec(), {"text": item})


def _step(parallel: Parallel, optimizer: torch.optim.Optimizer) -> None:
    ids = torch.randint(10, 1_000, (_ROWS, _TOKENS), generator=torch.Generator().manual_seed(parallel.world.rank))
    with parallel.synced(last=True, idle=False):
        logits = parallel({"text": Tokens(ids, None)})["label"]
        loss = torch.nn.functional.cross_entropy(logits, torch.zeros(_ROWS, dtype=torch.int64))
        torch.autograd.backward(loss)
    optimizer.step()
    for parameter in parallel.model.parameters():
        parameter.grad = None


def _held(tensor: Any) -> int:
    """Bytes of a tensor that lie in this process."""
    local: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return local.nbytes


if __name__ == "__main__":
    folder, kind, *numbers = sys.argv[1:]
    print(json.dumps(main(Path(folder), kind, *map(int, numbers))))
