"""Processes that share a model by DeepSpeed's ZeRO: a part of the optimizer's state each, and of more by stage.

Source: Rajbhandari et al., ZeRO: Memory Optimizations Toward Training Trillion Parameter Models, 2020
(https://arxiv.org/abs/1910.02054).
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from headstart_server.model.ecd import ECD, Batch
from headstart_server.model.world import World
from headstart_server.training.parallel.base import Alone, State
from headstart_server.training.precision import Precision
from headstart_server.training.stepping import Clipping


class ZeRO(Alone):
    """Stage 1 parts the optimizer's state, 2 gradients, too, 3 also parameters. Clips to a global norm, or not at all.

    What the optimizer is built over, DeepSpeed takes apart: `adopt` gives what steps in its place.
    """

    clips = True

    def __init__(self, model: ECD, world: World, stage: int, *, half: bool) -> None:
        super().__init__(model, world)
        world.broadcast(model.learned_state().values())
        self.in_parts = stage == 3
        self._stage, self._half = stage, half
        self._engine: Any = None
        self._last = True

    def adopt(self, optimizer: Optimizer, clipping: Clipping | None) -> Optimizer:
        """Has DeepSpeed take over a model and its optimizer."""
        deepspeed = _deepspeed(next(self.model.parameters()).device)
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._engine, *_ = deepspeed.initialize(
            model=self.model,
            optimizer=optimizer,
            dist_init_required=False,
            config={
                "train_micro_batch_size_per_gpu": 1,  # of no effect: batches come from the loop
                "gradient_clipping": clipping[1] if clipping is not None else 0.0,
                "zero_optimization": {"stage": self._stage},
                "zero_allow_untested_optimizer": True,
                "zero_force_ds_cpu_optimizer": False,
                "torch_autocast": {"enabled": self._half, "dtype": "bfloat16", "lower_precision_safe_modules": []},
            },
        )
        return ZeROOptimizer(self._engine, optimizer, parameters, self.world)

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Runs the model."""
        if not self.model.training:
            return super().__call__(batch)
        logits: dict[str, Tensor] = self._engine(batch)
        return logits

    def synced(self, last: bool, *, idle: bool) -> AbstractContextManager[object]:
        """Gradients are summed up where they belong until the last."""
        self._last = last
        self._engine.set_gradient_accumulation_boundary(last)
        return super().synced(last, idle=idle)

    def backward(self, loss: Tensor, precision: Precision) -> None:
        """Backpropagates; gradients are averaged over processes."""
        del precision
        self._engine.backward(loss)
        if not self._last:
            self._engine.step()  # counts

    def snapshot(self) -> State:
        """The learned state; of a parameter in parts, the part."""
        parts = self._parts()
        state = self.model.learned_state()
        return {
            key: (parts[key].ds_tensor if key in parts else tensor).detach().cpu().clone()
            for key, tensor in state.items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Loads it, also into what the optimizer steps."""
        parts, names = self._parts(), dict(self.model.named_parameters(remove_duplicate=False))
        own = self.model.learned_state()
        for key, whole in self.wholes(state):
            if key in parts:
                _set_part(parts[key], whole, self.world)
            else:
                own[key].copy_(whole)
                if key in names and self._stage < 3 and names[key].requires_grad:
                    _utilities().safe_set_full_fp32_param(names[key], whole.to(own[key].device))

    def wholes(self, state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        """Asks everybody for their parts."""
        parts = self._parts()
        for key, tensor in state.items():
            if key in parts:
                gathered = self.world.all_gather(tensor, [len(tensor)] * self.world.size)
                tensor = gathered[: parts[key].ds_numel].view(parts[key].ds_shape)
            yield key, tensor

    def kept(self, state: State) -> State:
        """Whole, in rank 0."""
        return {key: whole for key, whole in self.wholes(state) if self.world.leads}

    def taken(self, state: State) -> State:
        """Of whole tensors what a snapshot has."""
        parts = self._parts()
        return {
            key: _part(tensor, parts[key].ds_tensor.numel(), self.world) if key in parts else tensor
            for key, tensor in state.items()
        }

    def _parts(self) -> dict[str, Any]:
        """Parameters that no process holds all of, by name."""
        named = self.model.named_parameters(remove_duplicate=False)
        return {name: parameter for name, parameter in named if hasattr(parameter, "ds_tensor")}


class ZeROOptimizer(Optimizer):
    """What steps a model that DeepSpeed has taken over. Its state is whole in rank 0 when it is saved."""

    def __init__(self, engine: Any, given: Optimizer, parameters: list[Any], world: World) -> None:
        self._engine, self._given, self._world = engine, given, world
        self._parameters = parameters
        self.defaults = given.defaults

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """DeepSpeed's, whose rates count."""
        groups: list[dict[str, Any]] = self._engine.optimizer.param_groups
        return groups

    def step(self, closure: Any = None) -> Any:
        """Steps, and forgets the gradients."""
        del closure
        self._engine.step()

    def state_dict(self) -> dict[str, Any]:
        """State of parameters by the given optimizer's order, in rank 0; all processes put it together."""
        self._link()
        first: dict[str, Any] = next(iter(self._given.state.values()), {})
        found: dict[int, dict[str, Any]] = {}
        for index, parameter in enumerate(self._parameters):
            whole = {key: self._whole(parameter, key, value) for key, value in first.items()}
            if self._world.leads:
                found[index] = whole
        return {"state": found, "param_groups": []}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse, of whole tensors, in all processes."""
        state = state_dict["state"]
        if not state:
            return
        # torch makes states in its first step; until then there is nothing that DeepSpeed could link to parameters
        for flat in self._flat():
            self._given.state[flat] = {
                key: torch.zeros_like(flat) if isinstance(value, Tensor) and value.ndim else _copied(value)
                for key, value in state[0].items()
            }
        self._link()
        for index, parameter in enumerate(self._parameters):
            for key, value in state[index].items():
                if isinstance(value, Tensor) and value.ndim:
                    _set_state(parameter, value.to(parameter.device), key, self._world)

    def _whole(self, parameter: Any, key: str, value: Any) -> Any:
        """A value of a parameter's state; all processes have the numbers, and each a part of the tensors."""
        if not isinstance(value, Tensor) or value.ndim == 0:
            return value
        return _utilities().safe_get_full_optimizer_state(parameter, key).cpu()

    def _flat(self) -> list[Tensor]:
        """What the given optimizer steps: this process's parts, one after another."""
        engine = self._engine.optimizer
        flat: list[Tensor] = (
            engine.fp32_partitioned_groups_flat
            if hasattr(engine, "fp32_partitioned_groups_flat")
            else engine.single_partition_of_fp32_groups
        )
        return flat

    def _link(self) -> None:
        """DeepSpeed links states to parameters after its first group's first step, when the others have none yet."""
        engine = self._engine.optimizer
        if hasattr(engine, "fp32_partitioned_groups_flat"):
            return
        for parameters, flat in zip(engine.bit16_groups, engine.single_partition_of_fp32_groups, strict=True):
            _utilities().lazy_init_hp_params_optimizer_state(parameters, flat, self._given.state)


def _set_part(parameter: Any, whole: Tensor, world: World) -> None:
    part = _part(whole, parameter.ds_tensor.numel(), world).to(parameter.ds_tensor.device)
    _utilities().safe_set_local_fp32_param(parameter, part)
    parameter.ds_tensor.copy_(part)
    if parameter.numel() == whole.numel() and parameter.numel():  # small ones stay whole everywhere
        parameter.data.copy_(whole)


def _set_state(parameter: Any, whole: Tensor, key: str, world: World) -> None:
    if hasattr(parameter, "ds_tensor"):
        part = _part(whole, parameter.ds_tensor.numel(), world)
        _utilities().safe_set_local_optimizer_state(parameter, part, key)
    else:
        _utilities().safe_set_full_optimizer_state(parameter, whole, key)


def _part(whole: Tensor, size: int, world: World) -> Tensor:
    """A process's part of a parameter, the last one's padded."""
    flat = torch.nn.functional.pad(whole.flatten(), (0, size * world.size - whole.numel()))
    return flat[size * world.rank : size * (world.rank + 1)]


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _deepspeed(device: torch.device) -> Any:
    # before the import, which chooses an accelerator by itself otherwise
    os.environ.setdefault("DS_ACCELERATOR", device.type)
    os.environ.setdefault("LOCAL_RANK", str(device.index or 0))
    import deepspeed

    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    return deepspeed


def _utilities() -> Any:
    from deepspeed import utils

    return utils
