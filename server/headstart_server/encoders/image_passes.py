"""Passes of an image encoder over crops: small batches on every CPU core, large ones ahead of each other on GPUs."""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from headstart_server.encoders.image import ImageEncoder
from headstart_server.encoders.streams import cores, streamed
from headstart_server.encoders.thread_choice import few_threads

LOADED_IMAGES = 64
"""Images that are loaded at a time; also a batch on a GPU, unless crops are small."""
_CPU_PIXELS = 4 * 224 * 224
"""Of a batch on one core: small ones stay in its caches from layer to layer."""
_IN_FLIGHT = 2

Crops = tuple[npt.NDArray[np.int64], Tensor]
"""(rows, crops uint8 [n, 3, h, w])."""


def encode_crops(
    encoder: ImageEncoder, batches: Iterable[Crops], device: torch.device
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
    """Encodes batches of crops in order; yields (rows, embeddings float32 [n, d])."""
    if device.type != "cpu":
        yield from _on_gpu(encoder, batches, device)
        return

    def encode(batch: Crops) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        rows, crops = batch
        with torch.inference_mode():
            return rows, encoder(crops).float().numpy()

    yield from streamed(encode, _small(batches), cores())


def encode_few(encoder: ImageEncoder, crops: Tensor, device: torch.device) -> npt.NDArray[np.float32]:
    """Embeddings float32 [n, d] of crops that wait for an answer: a single one may be worth all cores."""
    rows = np.arange(len(crops))
    if device.type == "cpu" and len(crops) == 1:
        with few_threads(encoder, 0), torch.inference_mode():
            return np.asarray(encoder(crops).float().numpy())
    return np.concatenate([embeddings for _, embeddings in encode_crops(encoder, [(rows, crops)], device)])


def _small(batches: Iterable[Crops]) -> Iterator[Crops]:
    for rows, crops in batches:
        size = max(1, _CPU_PIXELS // (crops.shape[2] * crops.shape[3]))
        for start in range(0, len(rows), size):
            yield rows[start : start + size], crops[start : start + size]


def _on_gpu(
    encoder: ImageEncoder, batches: Iterable[Crops], device: torch.device
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
    """A batch is fetched back only when the next one is on its way, so that the GPU never waits for the copy."""
    running: deque[tuple[npt.NDArray[np.int64], Tensor]] = deque()
    for rows, crops in batches:
        with torch.inference_mode():
            # From memory that is not pinned the copy would not run beside the computing.
            running.append((rows, encoder(crops.pin_memory().to(device, non_blocking=True)).float()))
        if len(running) >= _IN_FLIGHT:
            done, embeddings = running.popleft()
            yield done, embeddings.cpu().numpy()
    for done, embeddings in running:
        yield done, embeddings.cpu().numpy()
