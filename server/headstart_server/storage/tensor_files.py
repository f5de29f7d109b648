"""Tensors in safetensors files: of those that processes share, each reads and writes its part."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save


def read_into(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Fills tensors, by name, from a folder's files, whole or in torch.distributed.checkpoint's shards.

    Of a sharded one (DTensor) this process's part is read. Raises what reading does, RuntimeError for a missing name.
    """
    with _own_errors(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a process that reads by itself is taken to be the only one
        load(dict(tensors), storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=True)


def write_parts(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Writes this process's part of tensors as `shard-{rank + 1:05d}-...`; all processes write at once.

    What is sharded (DTensor) each writes of, what all have one does. Raises what writing does, in any of them.
    """
    with _own_errors():
        save(dict(tensors), storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))


@contextmanager
def _own_errors() -> Iterator[None]:
    """torch.distributed.checkpoint's own is no Exception; raises what was behind it."""
    try:
        yield
    except CheckpointException as error:
        rank, (cause, _) = next(iter(error.failures.items()), (0, (error, None)))
        if isinstance(cause, Exception):
            raise cause from error
        raise RuntimeError(f"rank {rank}: {cause!r}") from error


def described_tensors(folder: Path) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Shapes and types, of sharded tensors those of the whole, by name."""
    found = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    return {
        name: (tensor.size, tensor.properties.dtype)
        for name, tensor in found.items()
        if isinstance(tensor, TensorStorageMetadata)
    }
