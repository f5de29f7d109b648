"""Passes of an encoder over token columns: batches by length and token budget, one stream of them per CPU core."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from headstart_server.encoders.batch_sharing import ALONE, PADDED
from headstart_server.encoders.last_layers import LayersBelow
from headstart_server.encoders.streams import cores, crowded, streamed, threads
from headstart_server.encoders.text_encoder import TextEncoder
from headstart_server.encoders.tokens import TokenColumn

CPU_BATCH_TOKENS = 2_048
CUDA_BATCH_TOKENS = 131_072
_CPU_FEW_TOKENS = 512
_CPU_WASTE = 0.1
_SHORT_TOKENS = 64

Encoded = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
"""(rows, embeddings [n, d])."""


def encode_batches(
    encoder: TextEncoder | LayersBelow,
    tokens: TokenColumn,
    padding: int,
    device: torch.device,
    *,
    waste: float | None = None,
) -> Iterator[Encoded]:
    """Encodes a token column; yields (rows, embeddings float32 [n, d]), longest rows first; of layers below [n, t, d].

    `waste` is the part of a batch's width that may be padding. Unless it is given, a batch on a CPU holds rows of one
    exact length, so that no token is padding and attention needs no mask; only lengths too rare to keep a core busy
    share theirs with others up to a tenth shorter. On GPUs rows of any length share a batch, padded to a multiple of 8.
    Encoders whose embeddings padding would change read batches of one exact length on any device.
    """
    on_cpu = device.type == "cpu"
    rows_share = encoder.sharing.rows
    if rows_share != PADDED:
        budget = 1 if rows_share == ALONE else CPU_BATCH_TOKENS if on_cpu else CUDA_BATCH_TOKENS
        batches = list(cut_by_length(tokens.lengths, budget, 0.0, 0))
    elif on_cpu:
        few = _CPU_FEW_TOKENS if waste is None else CPU_BATCH_TOKENS
        batches = list(cut_by_length(tokens.lengths, CPU_BATCH_TOKENS, _CPU_WASTE if waste is None else waste, few))
    else:
        batches = list(
            cut_by_length(tokens.lengths, CUDA_BATCH_TOKENS, 1.0 if waste is None else waste, CUDA_BATCH_TOKENS)
        )

    multiple = 1 if on_cpu or rows_share != PADDED else 8

    def encode(rows: npt.NDArray[np.int64]) -> Encoded:
        ids, mask = tokens.padded(rows, padding, multiple, encoder.positions)
        with torch.inference_mode():
            embeddings = encoder(
                torch.from_numpy(ids).to(device, non_blocking=True),
                None if mask is None else torch.from_numpy(mask).to(device, non_blocking=True),
            )
            return rows, embeddings.float().cpu().numpy()  # numpy has no bfloat16

    if not on_cpu:
        yield from map(encode, batches)
    elif len(batches) == 1:
        with threads(1 if len(tokens.ids) < _SHORT_TOKENS and crowded() else cores()):
            encoded = encode(batches[0])
        # Outside of `threads`, whose setting is the whole process's: the caller's work goes on with all cores.
        yield encoded
    else:
        yield from streamed(encode, batches, cores())


def cut_by_length(
    lengths: npt.NDArray[np.int64], budget: int, waste: float, few: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Rows in batches of at most `budget` tokens.

    Rows of one length are a batch if they have `few` tokens or more. Fewer are filled up to `few` with rows that are
    shorter, but at least (1 - waste) as long.
    """
    order = np.argsort(-lengths, kind="stable")
    falling = -lengths[order]
    start = 0
    while start < len(order):
        length = -int(falling[start])
        alike = int(np.searchsorted(falling, -length, side="right"))
        end = min(alike, start + max(1, budget // max(1, length)))
        if (end - start) * length < few:
            similar = int(np.searchsorted(falling, int(waste * length) - length, side="right"))
            end = min(similar, start + max(1, few // max(1, length)))
        yield order[start:end]
        start = end
