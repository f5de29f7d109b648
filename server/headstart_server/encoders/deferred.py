"""DeferredEncoders: encoders whose parameters have yet to be read, by processes of which each holds a part of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

Module = TypeVar("Module", bound=nn.Module)
META = torch.device("meta")


@dataclass(frozen=True)
class DeferredEncoder:
    """An encoder whose `model`, one of transformers, is on the meta device, and where its weights are.

    `names` are those of the files by those of the model's state.
    """

    encoder: nn.Module
    folder: Path
    names: Mapping[str, str]

    def read(self, device: torch.device) -> None:
        """Makes the parameters real on a device and reads them, of sharded ones (DTensors) this process's part."""
        from headstart_server.storage.tensor_files import read_into  # torch.distributed.checkpoint takes a second

        materialise(self.encoder, device)
        state = self.encoder.get_submodule("model").state_dict()
        wanted = {file_name: state[name] for name, file_name in self.names.items()}
        read_into(wanted, self.folder)


@contextmanager
def without_parameters() -> Iterator[None]:
    """What is made inside has its parameters on the meta device, and its buffers where they are needed: here.

    Source: `init_empty_weights` of Hugging Face's accelerate. Not for several threads.
    """
    modules: Any = nn.Module
    register = nn.Module.register_parameter

    def register_on_meta(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None and not parameter.is_meta:
            parameter = nn.Parameter(parameter.to(META), requires_grad=parameter.requires_grad)
        register(module, name, parameter)

    modules.register_parameter = register_on_meta
    try:
        yield
    finally:
        modules.register_parameter = register


def names_in_files(model: Any, folder: Path) -> dict[str, str] | None:
    """Names in a folder's safetensors files by names in a transformers model's state.

    None where the files hold the weights in another form than the model: missing some, or to be converted.
    """
    # Here, for they bring torch.distributed.tensor: a second that only sharded trainings are worth.
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    steps, state, shapes = get_model_conversion_mapping(model), model.state_dict(), _shapes(folder)
    renamings = [step for step in steps if isinstance(step, WeightRenaming)]
    converters = [step for step in steps if isinstance(step, WeightConverter)]
    files: dict[str, str] = {}
    for file_name in shapes:
        name, converted = rename_source_key(file_name, renamings, converters, model.base_model_prefix, state)
        # What is converted on its way in (merged, split, transposed) is in no file as the model has it.
        if converted is None:
            files[name] = file_name
    names = {}
    for group in _tied(model):
        name = next((name for name in group if name in files), None)
        if name is None or shapes[files[name]] != list(state[name].shape):
            return None
        names[name] = files[name]
    return names


def names_of_part(model: nn.Module, part: nn.Module, names: Mapping[str, str] | None = None) -> dict[str, str]:
    """Names in a model by names in a part of it: of tied tensors the model's first. With `names`, those in files."""
    whole: dict[int, str] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if names is None:
            whole.setdefault(id(tensor), name)
        elif name in names:
            whole[id(tensor)] = names[name]
    state = part.state_dict(keep_vars=True).items()
    return {name: whole[id(tensor)] for name, tensor in state if id(tensor) in whole}


def materialise(module: nn.Module, device: torch.device) -> None:
    """Gives memory, of unknown content, to parameters on the meta device. Tied ones stay tied."""
    owners: dict[nn.Parameter, list[tuple[nn.Module, str]]] = {}
    for owner in module.modules():
        for name, parameter in owner.named_parameters(recurse=False):
            if parameter.is_meta:
                owners.setdefault(parameter, []).append((owner, name))
    for parameter, places in owners.items():
        real = nn.Parameter(torch.empty_like(parameter, device=device), requires_grad=parameter.requires_grad)
        for owner, name in places:
            owner.register_parameter(name, real)


def placed(module: Module, device: torch.device) -> Module:
    """The module, everything of it that is real moved to a device."""
    # Module.to raises where anything is on the meta device.
    apply: Callable[..., object] = module._apply
    apply(lambda tensor: tensor if tensor.is_meta else tensor.to(device))
    return module


def _shapes(folder: Path) -> dict[str, list[int]]:
    """Of every tensor of a folder; empty where a name is in two files, or a file is damaged."""
    found: dict[str, list[int]] = {}
    try:
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - no mapping
                    if name in found:
                        return {}
                    found[name] = file.get_slice(name).get_shape()
    except SafetensorError:
        return {}
    return found


def _tied(model: nn.Module) -> list[list[str]]:
    """Names in a model's state, those of one tensor together."""
    groups: dict[int, list[str]] = {}
    # With keep_vars, since each detached tensor would be an object of its own.
    for name, tensor in model.state_dict(keep_vars=True).items():
        groups.setdefault(id(tensor), []).append(name)
    return list(groups.values())
