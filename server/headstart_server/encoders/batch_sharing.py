"""How rows may share a batch of an encoder, so that an embedding depends on its text alone: measured, not believed.

Padding is masked out of attention, but not out of what else some models do with their tokens: convolutions, Fourier
transforms, landmarks, pools. No list of such models is complete, and weights decide, too.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import transformers
from torch import Tensor

from headstart_server.core.digests import fingerprint
from headstart_server.core.errors import StoreFullError
from headstart_server.core.files import read_json, write_json

PADDED, ONE_LENGTH, ALONE = "padded", "one length", "alone"
_SHORTEST_TRIED = 8
# Of rows and of batches: the narrowest batch pads no token of the longest row, the wider ones pad every row.
_LENGTHS = (9, 13, 10, 19)
_WIDTHS = (19, 24, 41)
_TOLERANCE = 5e-5
_ROUNDING = 1e-6
"""Mixtures of experts round one token otherwise when another token chooses another expert."""
_FORMAT = 1

States = Callable[[Tensor, Tensor | None], Tensor]
"""Token ids [b, t] and mask [b, t] to token vectors [b, t, d]."""


class UnsteadyError(ValueError):
    """A model whose embeddings depend on more than the text; the message says on what."""


@dataclass(frozen=True)
class BatchSharing:
    """What a batch may hold."""

    rows: str = PADDED
    """`padded`: rows of any length; `one length`: rows of one exact length; `alone`: a single row."""
    shortest: int = 1
    """Tokens that the model needs: shorter rows are padded to them, always alike."""
    width: int = 0
    """Width of a token's vector; 0 if nobody has measured it."""
    causal: bool = False
    """Whether a token's vector depends on none of the tokens after it."""

    @property
    def free(self) -> bool:
        """Whether nothing needs to be seen to: any rows may share a batch."""
        return self.rows == PADDED and self.shortest == 1


class Measurements:
    """Answers by encoder: those of one process, and, where they are kept in a `folder`, those of others."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._known: dict[str, BatchSharing] = {}

    def known(self, weights: str, pooled: bool, measure: Callable[[], BatchSharing]) -> BatchSharing:
        """See known_sharing."""
        versions = {"torch": torch.__version__, "transformers": transformers.__version__}
        key = fingerprint({"weights": weights, **versions, "pooled": str(pooled), "format": str(_FORMAT)})
        if key not in self._known:
            found = self._read(key)
            if found is None:
                found = measure()
                self._write(key, found)
            self._known[key] = found
        return self._known[key]

    def _read(self, key: str) -> BatchSharing | None:
        """What is kept; None where it cannot be read."""
        if self.folder is None:
            return None
        with suppress(OSError, ValueError, TypeError):
            found = BatchSharing(**read_json(self.folder / f"{key}.json"))
            return found if found.rows in (PADDED, ONE_LENGTH, ALONE) else None
        return None

    def _write(self, key: str, found: BatchSharing) -> None:
        if self.folder is None:
            return
        with suppress(StoreFullError, OSError):  # it holds for this process all the same
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / f"{key}.json", asdict(found))


_PROCESS = Measurements()


def keep_measurements(folder: Path) -> None:
    """Keeps answers in a folder from now on, a small file per encoder."""
    _PROCESS.folder = folder


def known_sharing(weights: str, pooled: bool, measure: Callable[[], BatchSharing]) -> BatchSharing:
    """The answer for an encoder by the digest of its weights and configuration, or `measure`'s, kept from then on.

    `pooled` says that the model's own pooler was measured, too.
    """
    return _PROCESS.known(weights, pooled, measure)


def measure_sharing(
    states: States, vocabulary: int, padding: int, limit: int | None = None, pooled: States | None = None
) -> BatchSharing:
    """Runs a few rows of random tokens alone and together, in the model's own precision; raises UnsteadyError.

    `limit` is the most tokens that the model reads. `pooled` gives what its own pooler makes of rows [b, d], where that
    is wanted, too.
    """
    most = min(limit or 1_000, 1_000)
    draw = torch.Generator().manual_seed(0)
    # Many vocabularies begin with their special tokens.
    first = min(5, vocabulary - 1)
    lengths = sorted({min(length, most) for length in _LENGTHS})
    rows = [_row(length, first, vocabulary, padding, draw) for length in lengths]
    with torch.inference_mode():
        shortest = _shortest(states, rows[-1])
        rows = [row for row in rows if row.shape[1] >= shortest]
        alone = [states(row, None) for row in rows]
        causal = _require_steady(states, rows[-1], alone[-1], first)
        wide = int(alone[0].shape[2])
        kinds = [(states, alone)]
        if pooled is not None:
            # As [b, 1, d], so that it is compared as one token's vectors are.
            kinds.append((lambda ids, mask: pooled(ids, mask)[:, None], [pooled(row, None)[:, None] for row in rows]))
        widths = {min(extent, most) for extent in _WIDTHS}
        if all(_padded_alike(kind, rows, single, width, padding) for kind, single in kinds for width in widths):
            return BatchSharing(PADDED, shortest, wide, causal)
        others = [_row(rows[-1].shape[1], first, vocabulary, padding, draw) for _ in range(2)]
        together = states(torch.cat([*others, rows[-1]]), None)
        return BatchSharing(ONE_LENGTH if _alike(together[-1:], alone[-1]) else ALONE, shortest, wide, causal)


def _row(length: int, first: int, vocabulary: int, padding: int, draw: torch.Generator) -> Tensor:
    row = torch.randint(first, vocabulary, (1, length), generator=draw)
    # A token with the id of padding would be masked by models that look at ids (XLM).
    return torch.where(row == padding, max(first - 1, 0), row)


def _shortest(states: States, row: Tensor) -> int:
    """The fewest tokens that the model reads."""
    reason = ""
    for count in range(1, min(_SHORTEST_TRIED, row.shape[1]) + 1):
        try:
            found = states(row[:, :count], None)
        except (RuntimeError, IndexError, ValueError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            continue
        if found.dim() != 3 or found.shape[1] != count:
            raise UnsteadyError("it does not give a vector for each token")
        if found.isfinite().all():
            return count
        reason = "its vectors are not finite"
    raise UnsteadyError(f"it cannot read a text alone: {reason}")


def _require_steady(states: States, row: Tensor, once: Tensor, other: int) -> bool:
    """Whether tokens depend only on those before them; raises UnsteadyError where on none, or where chance has a part.

    Vectors are compared in one shape, in which a model computes the same numbers each time but for rounding. Neighbours
    are looked at, too: attention may have a narrow window.
    """
    if not _alike(states(row, None), once):
        raise UnsteadyError("it draws random numbers whenever it runs, so that a text has another embedding each time")
    changed_end, changed_start = row.clone(), row.clone()
    changed_end[0, -1] = changed_start[0, 0] = other if other not in (row[0, -1], row[0, 0]) else other + 1
    earlier = not _alike(states(changed_end, None)[:, :-1], once[:, :-1], _ROUNDING)
    later = not _alike(states(changed_start, None)[:, 1:], once[:, 1:], _ROUNDING)
    if not earlier and not later and row.shape[1] > 1:
        raise UnsteadyError("its tokens do not attend to one another")
    return not earlier


def _padded_alike(states: States, rows: list[Tensor], alone: list[Tensor], width: int, padding: int) -> bool:
    rows = [row for row in rows if row.shape[1] <= width]
    ids = torch.full((len(rows), width), padding)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : row.shape[1]] = row[0]
        mask[index, : row.shape[1]] = 1
    try:
        together = states(ids, mask)
    except (RuntimeError, IndexError, ValueError):
        return False
    return all(_alike(together[index : index + 1, : row.shape[1]], alone[index]) for index, row in enumerate(rows))


def _alike(found: Tensor, expected: Tensor, tolerance: float = _TOLERANCE) -> bool:
    """Whether vectors are the same but for rounding: on the whole, and in the typical dimension.

    Some models have a few huge dimensions, beside which what changes in the others looks like rounding.
    """
    difference = (found.float() - expected.float()).abs()
    of_all = difference.max() / expected.float().abs().max().clamp(min=1e-30)
    of_each = difference.amax((0, 1)) / expected.float().abs().amax((0, 1)).clamp(min=1e-30)
    return bool(of_all <= tolerance) and bool(of_each.median() <= 4 * tolerance)
