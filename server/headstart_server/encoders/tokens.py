"""Token columns: ragged token ids of a text column, cached on disk by content."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from headstart_server.core.files import published_file
from headstart_server.core.pruning import mark_used


@dataclass(frozen=True)
class TokenColumn:
    """Row i's token ids are `ids[offsets[i]:offsets[i + 1]]`, special tokens included."""

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens per row."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def of(cls, rows: list[list[int]]) -> "TokenColumn":
        """Packs token lists."""
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        flat = np.fromiter((token for row in rows for token in row), np.int32, count=int(offsets[-1]))
        return cls(flat, offsets)

    @classmethod
    def join(cls, columns: Sequence["TokenColumn"]) -> "TokenColumn":
        """Several columns, one after the other."""
        offsets = np.concatenate([[0], np.cumsum(np.concatenate([column.lengths for column in columns]))])
        return cls(np.concatenate([column.ids for column in columns]), offsets.astype(np.int64))

    def select(self, rows: npt.NDArray[np.int64]) -> "TokenColumn":
        """Some rows, in the order given."""
        parts = [self.ids[self.offsets[row] : self.offsets[row + 1]] for row in rows.tolist()]
        offsets = np.concatenate([[0], np.cumsum(self.lengths[rows])]).astype(np.int64)
        return TokenColumn(np.concatenate([np.empty(0, np.int32), *parts]), offsets)

    def padded(
        self, rows: npt.NDArray[np.int64], padding: int, multiple: int = 1, limit: int | None = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64] | None]:
        """(ids, mask) of some rows, int64 [n, longest]; the mask is None where all rows are equally long.

        The width is rounded up to a `multiple`, but not above `limit`, the most that the encoder has positions for.
        """
        starts, lengths = self.offsets[rows], self.lengths[rows]
        longest = max(1, int(lengths.max()))
        width = -(-longest // multiple) * multiple
        if limit is not None:
            width = max(longest, min(width, limit))
        positions = np.arange(width)
        if width == longest and (lengths == longest).all():
            return self.ids[starts[:, None] + positions].astype(np.int64), None
        mask = positions < lengths[:, None]
        # Places of padding point at the first id, which the next line replaces.
        index = np.where(mask, starts[:, None] + positions, 0)
        return np.where(mask, self.ids[index], padding).astype(np.int64), mask.astype(np.int64)


class TokenCache:
    """Token columns on disk, by digest of what they depend on. A file that cannot be read is a miss."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, preparation: str, max_length: int, keys: npt.NDArray[np.uint64]) -> Path:
        """Where the tokens of rows with these keys lie."""
        digest = blake2b(f"{preparation}:{max_length}:".encode(), digest_size=16)
        digest.update(np.ascontiguousarray(keys).data)
        return self._folder / f"{digest.hexdigest()}.safetensors"

    def load(self, path: Path) -> TokenColumn | None:
        """The column, or None if it is not there."""
        try:
            with safe_open(path, "numpy") as file:
                column = TokenColumn(file.get_tensor("ids"), file.get_tensor("offsets"))
                # safetensors checks its header alone; what is damaged behind it would be read.
                if (file.metadata() or {}).get("crc32") == _checksum(column):
                    mark_used(path)
                    return column
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError):
            pass
        path.unlink(missing_ok=True)
        return None

    def save(self, path: Path, column: TokenColumn) -> None:
        """Publishes a column."""
        with published_file(path) as temporary:
            tensors: dict[str, npt.NDArray[Any]] = {"ids": column.ids, "offsets": column.offsets}
            save_file(tensors, temporary, {"crc32": _checksum(column)})


def _checksum(column: TokenColumn) -> str:
    ids, offsets = np.ascontiguousarray(column.ids), np.ascontiguousarray(column.offsets)
    return f"{zlib.crc32(offsets.data, zlib.crc32(ids.data)):08x}"
