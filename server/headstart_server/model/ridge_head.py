"""The head of `model_type: ridge`: linear least squares with a penalty, in closed form (Hoerl and Kennard 1970)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.model.scored_head import FittedHead, wanted_scores
from headstart_server.spec.model import CombinerSpec

PENALTIES = tuple(10.0 ** (step / 2) for step in range(-6, 11))
"""On the square of the weights, beside the sum of the rows' squared errors."""
SCALES = tuple(2.0 ** (step / 2) for step in range(-2, 15))
"""Of scores of labels, whose indicators are 0 and 1 and say nothing of how sure a model may be."""
_BLOCK = 8_192
_LARGEST = 1e25
"""Of an input, in standard deviations of what was trained on."""


class RidgeHead(FittedHead):
    """A linear map from the inputs to the scores. Of labels, the indicators are regressed on.

    The penalty of each output is the one whose squared error on the training rows is least where each row is left out
    (Allen's PRESS statistic, 1974, by the eigenvalues of the rows' products: no fit is made again).
    """

    kind = "ridge"
    squares = 4.0
    """Products, eigenvectors, and what is made on the way to them."""
    weight: Tensor
    bias: Tensor
    penalty: Tensor

    def __init__(self, widths: Sequence[int], outputs: Sequence[FittedFeature], combiner: CombinerSpec) -> None:
        super().__init__(widths, outputs, combiner)
        self._kinds = [feature.spec.type for feature in outputs]
        self.register_buffer("weight", torch.zeros(sum(widths), sum(self.columns)))
        self.register_buffer("bias", torch.zeros(sum(self.columns)))
        self.register_buffer("penalty", torch.zeros(len(self.columns)))

    def scores(self, rows: Tensor) -> Tensor:
        """See ScoredHead."""
        # float32 ends not far above the largest numbers that a cell may hold, and infinities cancel to nothing
        return rows.clamp(-_LARGEST, _LARGEST) @ self.weight + self.bias

    def fit(
        self, rows: Tensor, targets: Mapping[str, Tensor], weights: Mapping[str, Tensor | None] | None = None
    ) -> None:
        """See FittedHead."""
        alike: _Rows | None = None
        at = 0
        for index, (name, kind, columns) in enumerate(zip(self.output_names, self._kinds, self.columns, strict=True)):
            counts = (weights or {}).get(name)
            if counts is not None:
                of_output = _Rows.of(rows, counts)
            else:
                of_output = alike = alike or _Rows.of(rows, None)
            wanted = wanted_scores(kind, targets[name], columns)
            fit = _best(of_output, wanted, targets[name], kind)
            self.weight[:, at : at + columns] = fit.weight
            self.bias[at : at + columns] = fit.bias
            self.penalty[index] = fit.penalty
            at += columns


@dataclass(frozen=True)
class _Fit:
    weight: Tensor
    bias: Tensor
    penalty: float


@dataclass(frozen=True)
class _Rows:
    """Training rows as a regression sees them: less their mean, and turned to the axes of their products."""

    rows: Tensor
    """[n, d]."""
    counts: Tensor
    """How much each row counts, [n], float64, 1 on average."""
    mean: Tensor
    axes: Tensor
    """[d, d], float64: eigenvectors of the centred rows' products, in columns."""
    spreads: Tensor
    """The eigenvalues, [d], at least 0."""

    @classmethod
    def of(cls, rows: Tensor, counts: Tensor | None) -> "_Rows":
        """Of rows [n, d] that count so much [n], or alike."""
        one = rows.new_ones(len(rows), dtype=torch.float64) if counts is None else counts.double()
        one = one / one.mean()
        mean = rows.new_zeros(rows.shape[1], dtype=torch.float64)
        products = rows.new_zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
        for start in range(0, len(rows), _BLOCK):
            mean += one[start : start + _BLOCK] @ rows[start : start + _BLOCK].double() / len(rows)
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK].double() - mean
            products += block.T @ (block * one[start : start + _BLOCK, None])
        spreads, axes = torch.linalg.eigh(products)
        return cls(rows, one, mean, axes, spreads.clamp(min=0.0))

    def turned(self) -> Iterator[tuple[slice, Tensor]]:
        """(which rows, those along the axes [b, d]), block by block."""
        for start in range(0, len(self.rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            yield part, (self.rows[part].double() - self.mean) @ self.axes

    def along(self, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """(the mean of the wanted scores [k], products of the axes with what they differ from it [d, k])."""
        level = self.counts @ wanted.double() / len(wanted)
        found = self.axes.new_zeros(len(self.axes), wanted.shape[1])
        for part, block in self.turned():
            found += block.T @ (self.counts[part, None] * (wanted[part].double() - level))
        return level, found


def _best(rows: _Rows, wanted: Tensor, targets: Tensor, kind: str) -> _Fit:
    """The regression of the penalty that does best on rows left out."""
    level, along = rows.along(wanted)
    fits = [(penalty, along / (rows.spreads + penalty)[:, None]) for penalty in PENALTIES]
    errors = rows.spreads.new_zeros(len(fits))
    for part, block in rows.turned():
        for index, fit in enumerate(fits):
            residual = wanted[part].double() - _left_out(rows, block, part, wanted[part], level, *fit)
            errors[index] += (rows.counts[part] * residual.square().sum(1)).sum()
    penalty, shrunk = fits[int(errors.argmin())]
    scale = 1.0
    if kind not in ("number", "vector"):
        losses = rows.spreads.new_zeros(len(SCALES))
        for part, block in rows.turned():
            scores = _left_out(rows, block, part, wanted[part], level, penalty, shrunk)
            losses += rows.counts[part] @ _losses(scores, targets[part], kind)
        scale = SCALES[int(losses.argmin())]
    weight = rows.axes @ shrunk
    bias = level - rows.mean @ weight - _middle(kind)
    return _Fit((scale * weight).float(), (scale * bias).float(), penalty)


def _left_out(
    rows: _Rows, block: Tensor, part: slice, wanted: Tensor, level: Tensor, penalty: float, shrunk: Tensor
) -> Tensor:
    """What is said of each of the rows [b] by all others: scores [b, k]."""
    counts = rows.counts[part]
    own = counts * (block.square() @ (1 / (rows.spreads + penalty)) + 1 / len(rows.rows))
    away = (wanted.double() - level - block @ shrunk) / (1 - own).clamp(min=1e-6)[:, None]
    return wanted.double() - away


def _losses(scores: Tensor, targets: Tensor, kind: str) -> Tensor:
    """How unlikely scores [b, k] make the labels at each scale, [b, scales]."""
    found = []
    for scale in SCALES:
        if kind == "category":
            found.append(functional.cross_entropy(scale * scores, targets.long(), reduction="none"))
        else:
            labels = targets.double().reshape(scores.shape)
            loss = functional.binary_cross_entropy_with_logits(
                scale * (scores - _middle(kind)), labels, reduction="none"
            )
            found.append(loss.sum(1))
    return torch.stack(found, 1)


def _middle(kind: str) -> float:
    """Of scores whose sigmoid is a probability, the one that is as likely as not."""
    return 0.5 if kind in ("binary", "set") else 0.0
