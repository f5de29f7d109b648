"""Keys: 128 bits of BLAKE2b over a row's bytes, and nothing else."""

from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Keys = npt.NDArray[np.uint64]
"""Keys as uint64 [n, 2]; the bytes of row i are key i's 16 bytes."""

KEY_BYTES = 16


def keys_of_texts(texts: pa.Array) -> Keys:
    """Keys of a large_string array without nulls, uint64 [n, 2]."""
    if len(texts) == 0:
        return np.empty((0, 2), np.uint64)
    _, offsets_buffer, data_buffer = texts.buffers()
    # the buffers are those of the whole array, in which a slice has an offset
    offsets = np.frombuffer(offsets_buffer, np.int64)[texts.offset : texts.offset + len(texts) + 1].tolist()
    data = memoryview(data_buffer or b"")  # may be None where every text is empty
    joined = b"".join([blake2b(data[start:end], digest_size=KEY_BYTES).digest() for start, end in pairwise(offsets)])
    return np.frombuffer(joined, np.uint64).reshape(-1, 2)


def keys_of_chunks(chunks: Sequence[pa.Array]) -> Keys:
    """Keys of several arrays, one after the other."""
    return np.concatenate([np.empty((0, 2), np.uint64), *map(keys_of_texts, chunks)])


def keys_of_tokens(keys: Keys, lengths: npt.NDArray[np.int64]) -> Keys:
    """Keys of every token of some texts, one text after the other: that of its text and its place in it.

    Each place turns the bits of a text's key, which are as good as random, in a way of its own (the constants are those
    of splitmix64, Steele et al. 2014).
    """
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    places = (np.arange(int(lengths.sum())) - np.repeat(starts, lengths)).astype(np.uint64) + np.uint64(1)
    turned = places * np.uint64(0x9E3779B97F4A7C15)
    turned = (turned ^ (turned >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    turned = (turned ^ (turned >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    of_texts = np.repeat(keys, lengths, axis=0)
    found: Keys = of_texts ^ np.stack([turned, turned ^ (turned >> np.uint64(31))], axis=1)
    return found


def distinct(keys: Keys) -> npt.NDArray[np.int64]:
    """One row of each distinct key: the first that has it."""
    order = np.argsort(keys[:, 0], kind="stable")
    ordered = keys[order]
    new = np.ones(len(keys), bool)
    new[1:] = ordered[1:, 0] != ordered[:-1, 0]
    if (~new[1:] & (ordered[1:, 1] != ordered[:-1, 1])).any():  # two keys share their first half: sort by both
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        ordered = keys[order]
        new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order[new]


def pack(keys: Keys) -> npt.NDArray[np.uint8]:
    """Keys as uint8 [n, 16], as shards keep them."""
    return np.ascontiguousarray(keys).view(np.uint8).reshape(-1, KEY_BYTES)


def unpack(packed: npt.NDArray[np.uint8]) -> Keys:
    """The inverse of `pack`."""
    return np.ascontiguousarray(packed).view(np.uint64).reshape(-1, 2)
