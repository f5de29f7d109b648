"""Tensors read from safetensors files: of those that processes share, each reads its part."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load


def read_into(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Fills tensors, by name, from a folder's files, whole or in torch.distributed.checkpoint's shards.

    Of a sharded one (DTensor) this process's part is read. Raises RuntimeError or OSError where that fails.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a process that reads by itself is taken to be the only one
        load(dict(tensors), storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=True)


def described_tensors(folder: Path) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Shapes and types, of sharded tensors those of the whole, by name."""
    found = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    return {
        name: (tensor.size, tensor.properties.dtype)
        for name, tensor in found.items()
        if isinstance(tensor, TensorStorageMetadata)
    }
