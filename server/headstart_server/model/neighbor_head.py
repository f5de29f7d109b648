"""The head of `model_type: knn`: the nearest training rows vote (Fix and Hodges 1951; Cover and Hart 1967)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from headstart_server.core.errors import TrainingFailedError
from headstart_server.core.reasons import Reason
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.model.scored_head import FittedHead, wanted_scores
from headstart_server.spec.model import CombinerSpec

NEIGHBORS = (1, 2, 3, 5, 8, 12, 20, 32, 50)
_MOST_BYTES = 512 << 20
"""Of all training rows, which the model holds."""
_MOST_DISTANCES = 4_000_000
"""That are in memory at a time."""
_JUDGED = 2_048
_ROUNDING = 1e-5
"""Of squared distances and lengths: rows as far away as the last neighbour are neighbours, too."""
_LEAST = 1e-6
_FURTHEST = 1e15
"""From the center, in any column: squares of it add up in float32."""
_STATE = ("points", "values", "counts")


class NeighborHead(FittedHead):
    """Holds the training rows, equal ones as one. A row's scores are those of its neighbours, the nearer the more.

    Neighbours are the rows at most as far away, by the encoded inputs, as the k-th: of rows equally far all or none, so
    that scores do not depend on an order. One at a distance of d counts 1 - d^2 / (2 d_k^2); for labels the share of
    each among all rows counts as one neighbour more. k is for each output the one of `NEIGHBORS` that makes training
    rows likeliest by their neighbours without themselves (of numbers, with the least squared error), at 2,048 of them.
    """

    kind = "knn"
    points: Tensor
    """Less `center`, as rows are that are compared with them: far from 0 squares would lose the digits that differ."""
    center: Tensor
    values: Tensor
    counts: Tensor
    levels: Tensor
    neighbors: Tensor

    def __init__(self, widths: Sequence[int], outputs: Sequence[FittedFeature], combiner: CombinerSpec) -> None:
        super().__init__(widths, outputs, combiner)
        self._kinds = [feature.spec.type for feature in outputs]
        columns = sum(self.columns)
        self.register_buffer("points", torch.zeros(0, sum(widths)))
        self.register_buffer("center", torch.zeros(sum(widths)))
        self.register_buffer("values", torch.zeros(0, columns))
        self.register_buffer("counts", torch.zeros(0, len(outputs)))
        self.register_buffer("levels", torch.zeros(columns))
        self.register_buffer("neighbors", torch.ones(len(outputs), dtype=torch.int64))
        self._neighbors = [1] * len(outputs)

    def scores(self, rows: Tensor) -> Tensor:
        """See ScoredHead."""
        rows = _bounded(rows - self.center)
        # a graph has no loops over so many rows as come
        if torch.compiler.is_exporting() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            return self._scores(rows, self._distances(rows), self._neighbors)
        blocks = torch.split(rows, max(1, _MOST_DISTANCES // max(1, len(self.points))))
        return torch.cat([self._scores(block, self._distances(block), self._neighbors) for block in blocks])

    def fit(
        self, rows: Tensor, targets: Mapping[str, Tensor], weights: Mapping[str, Tensor | None] | None = None
    ) -> None:
        """See FittedHead; raises TrainingFailedError where a model would hold too much."""
        self.center = rows.double().mean(0).float()
        rows = (rows - self.center).clamp_(-_FURTHEST, _FURTHEST)  # in place: all training rows are many
        points, place = torch.unique(rows, dim=0, return_inverse=True)
        _require_few(points, sum(self.columns))
        self.points = points
        values, counts, levels = [], [], []
        for name, kind, columns in zip(self.output_names, self._kinds, self.columns, strict=True):
            wanted = wanted_scores(kind, targets[name], columns)
            given = (weights or {}).get(name)
            one = wanted.new_ones(len(wanted)) if given is None else given.float() / given.float().mean()
            count = one.new_zeros(len(points)).index_add(0, place, one)
            total = wanted.new_zeros(len(points), columns).index_add(0, place, wanted * one[:, None])
            values.append(total / count[:, None])
            counts.append(count)
            levels.append((wanted * one[:, None]).mean(0))
        self.values, self.counts = torch.cat(values, 1), torch.stack(counts, 1)
        self.levels = torch.cat(levels)
        self._neighbors = self._best(rows, targets, weights or {}, place)
        self.neighbors.copy_(torch.tensor(self._neighbors))

    def _best(
        self,
        rows: Tensor,
        targets: Mapping[str, Tensor],
        weights: Mapping[str, Tensor | None],
        place: Tensor,
    ) -> list[int]:
        """The k of each output by which rows without themselves do best, each row as much as it counts."""
        judged = torch.linspace(0, len(rows) - 1, min(_JUDGED, len(rows))).long().to(rows.device)
        fitting = [each for each in NEIGHBORS if each < len(self.points)] or [1]
        losses = rows.new_zeros(len(fitting), len(self.columns), dtype=torch.float64)
        for chosen in torch.split(judged, max(1, _MOST_DISTANCES // len(self.points))):
            distances = self._distances(rows[chosen])
            distances[torch.arange(len(chosen), device=rows.device), place[chosen]] = torch.inf
            known = {name: each[chosen] for name, each in targets.items()}
            counts = {name: None if each is None else each[chosen] for name, each in weights.items()}
            for index, neighbors in enumerate(fitting):
                scores = self._scores(rows[chosen], distances, [neighbors] * len(self.columns))
                losses[index] += torch.stack(list(self._losses(scores, known, counts)))
        return [fitting[int(best)] for best in losses.argmin(0)]

    def _distances(self, rows: Tensor) -> Tensor:
        """Squared, of rows [b, d] to all points: [b, n]."""
        lengths = rows.square().sum(1, keepdim=True) + self.points.square().sum(1)
        return (lengths - 2.0 * (rows @ self.points.T)).clamp(min=0.0)

    def _closeness(self, rows: Tensor, distances: Tensor, neighbors: int) -> Tensor:
        """How much each point counts [b, n] where so many of them do."""
        nearest = distances.topk(min(neighbors, len(self.points)), dim=1, largest=False).values
        furthest = nearest[:, -1:]
        reach = furthest + _ROUNDING * (furthest + rows.square().sum(1, keepdim=True)) + _LEAST
        return (distances <= reach) * (1.0 - 0.5 * (distances / reach).clamp(max=1.0))

    def _scores(self, rows: Tensor, distances: Tensor, neighbors: Sequence[int]) -> Tensor:
        """Of rows [b, d] that are so far from the points [b, n], by the neighbours of each output: [b, columns]."""
        closeness = {each: self._closeness(rows, distances, each) for each in dict.fromkeys(neighbors)}
        found = []
        parts = zip(
            self._kinds, torch.split(self.values, self.columns, 1), torch.split(self.levels, self.columns), strict=True
        )
        for index, (kind, values, level) in enumerate(parts):
            votes = closeness[neighbors[index]] * self.counts[:, index]
            total, mass = votes @ values, votes.sum(1, keepdim=True)
            if kind in ("number", "vector"):
                found.append(total / mass)
                continue
            share = ((total + level) / (mass + 1.0)).clamp(min=_LEAST, max=1.0 - _LEAST)
            found.append(share.log() if kind == "category" else share.log() - (1.0 - share).log())
        return torch.cat(found, 1)

    def _losses(
        self, scores: Tensor, targets: Mapping[str, Tensor], weights: Mapping[str, Tensor | None]
    ) -> Iterator[Tensor]:
        """By output, the sum over rows, float64."""
        functional = torch.nn.functional
        for name, kind, each in zip(self.output_names, self._kinds, torch.split(scores, self.columns, 1), strict=True):
            wanted = targets[name]
            match kind:
                case "category":
                    losses = functional.cross_entropy(each, wanted.long(), reduction="none")
                case "binary" | "set":
                    labels = wanted.float().reshape(each.shape)
                    losses = functional.binary_cross_entropy_with_logits(each, labels, reduction="none").sum(1)
                case _:
                    losses = (each - wanted.float().reshape(each.shape)).square().sum(1)
            counts = weights.get(name)
            yield losses.double().sum() if counts is None else losses.double() @ counts.double()

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """How many rows there are is known from what was saved alone."""
        for name in _STATE:
            if (saved := state.get(f"{prefix}{name}")) is not None:
                setattr(self, name, torch.empty_like(saved, device=self.levels.device))
        # models of earlier releases have one k for all outputs, and points where they lie
        own = dict(state)
        own.setdefault(f"{prefix}center", torch.zeros_like(self.center))
        if (known := own.get(f"{prefix}neighbors")) is not None:
            own[f"{prefix}neighbors"] = known.expand(len(self.columns)).clone()
        super()._load_from_state_dict(own, prefix, *rest)
        self._neighbors = self.neighbors.tolist()


def _bounded(rows: Tensor) -> Tensor:
    """Rows whose squares add up in float32: beyond, all are far away, and none is nowhere."""
    return rows.clamp(-_FURTHEST, _FURTHEST)


def _require_few(points: Tensor, columns: int) -> None:
    """Raises TrainingFailedError where the model would hold more than `_MOST_BYTES`."""
    needed = 4 * len(points) * (points.shape[1] + columns)
    if needed > _MOST_BYTES:
        raise TrainingFailedError(
            f"the model holds all training rows, to look for neighbours among them: {len(points):,} rows take "
            f"{needed >> 20} MiB, and at most {_MOST_BYTES >> 20} MiB are held; set preprocessing.sample_size, or "
            "another model_type",
            reason=Reason.OUT_OF_MEMORY,
            field="model_type",
        )
