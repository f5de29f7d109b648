"""Passes of an encoder over token columns: batches by length and token budget, one stream of them per CPU core."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from headstart_server.encoders.batch_sharing import ALONE, PADDED
from headstart_server.encoders.batches import Cut, by_length
from headstart_server.encoders.last_layers import LayersBelow
from headstart_server.encoders.streams import cores, streamed, threads
from headstart_server.encoders.text_encoder import TextEncoder
from headstart_server.encoders.thread_choice import few_threads
from headstart_server.encoders.tokens import TokenColumn

CPU_BATCH_TOKENS = 2_048
CUDA_BATCH_TOKENS = 131_072
_CPU_FEW_TOKENS = 512
_CPU_WASTE = 0.1
_SHORT_TOKENS = 64
"""Of a batch below which a single thread may read it faster than all."""

Encoded = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
"""(rows, embeddings [n, d])."""


def encode_batches(
    encoder: TextEncoder | LayersBelow,
    tokens: TokenColumn,
    padding: int,
    device: torch.device,
    *,
    cut: Cut | None = None,
) -> Iterator[Encoded]:
    """Encodes a token column; yields (rows, embeddings float32 [n, d]), longest rows first; of layers below [n, t, d].

    `cut` says which rows share a batch. Unless it is given, a batch on a CPU holds rows of one exact length, so that no
    token is padding and attention needs no mask; only lengths too rare to keep a core busy share theirs with others up
    to a tenth shorter. On GPUs rows of any length share a batch, padded to a multiple of 8. Encoders whose embeddings
    padding would change read batches of one exact length on any device, whatever `cut` says.
    """
    on_cpu = device.type == "cpu"
    rows_share = encoder.sharing.rows
    if rows_share != PADDED:
        budget = 1 if rows_share == ALONE else CPU_BATCH_TOKENS if on_cpu else CUDA_BATCH_TOKENS
        cut = partial(by_length, budget=budget, waste=0.0, few=0)
    elif cut is None and on_cpu:
        cut = partial(by_length, budget=CPU_BATCH_TOKENS, waste=_CPU_WASTE, few=_CPU_FEW_TOKENS)
    elif cut is None:
        cut = partial(by_length, budget=CUDA_BATCH_TOKENS, waste=1.0, few=CUDA_BATCH_TOKENS)
    batches = list(cut(tokens.lengths))
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
        few = len(tokens.ids) < _SHORT_TOKENS
        with few_threads(encoder, len(tokens.ids).bit_length()) if few else threads(cores()):
            encoded = encode(batches[0])
        # Outside of `threads`, whose setting is the whole process's: the caller's work goes on with all cores.
        yield encoded
    else:
        yield from streamed(encode, batches, cores())
