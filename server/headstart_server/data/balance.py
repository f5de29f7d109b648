"""Training rows of rare labels drawn again, and rows of frequent labels left out."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Oversampling:
    """Rows of rarer labels are repeated until each label has `ratio` of the most frequent one's rows."""

    output: str
    """Name of the output whose labels count."""
    ratio: float
    seed: int

    def drawn(self, rows: Rows, labels: npt.NDArray[np.int64]) -> Rows:
        """`rows` [n] with repetitions, ascending; `labels` [n] are theirs, -1 for none.

        Each row of a label comes as often as the next or once more; which do is drawn from (seed, label) alone.
        """
        kinds, counts = np.unique(labels[labels >= 0], return_counts=True)
        wanted = round(self.ratio * int(counts.max(initial=0)))
        found = [rows]
        for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
            own = rows[labels == kind]
            times, rest = divmod(max(0, wanted - count), count)
            found += [np.repeat(own, times), _generator(self.seed, kind).permutation(own)[:rest]]
        return np.sort(np.concatenate(found))


def left_out(rows: Rows, labels: npt.NDArray[np.int64], ratio: float, seed: int) -> Rows:
    """Those of `rows` [n] to leave out so that the rarest label has `ratio` of each label's rows. -1 is no label."""
    kinds, counts = np.unique(labels[labels >= 0], return_counts=True)
    # Rounded down, so that no label keeps more than was asked for.
    most = int(min(counts, default=0) / ratio)
    gone = [rows[:0]]
    for kind in kinds[counts > most].tolist():
        gone.append(_generator(seed, kind).permutation(rows[labels == kind])[most:])
    return np.sort(np.concatenate(gone))


def _generator(seed: int, kind: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, 2, kind]))
