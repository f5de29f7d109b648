"""LightGBM's side of boosted trees: one booster for each output (https://lightgbm.readthedocs.io)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.model.decoders import logit_columns
from headstart_server.model.losses import Loss
from headstart_server.model.trees import Node, Tree
from headstart_server.training.all_rows import Matrix
from headstart_server.training.boosting_settings import BoostingSettings

Floats = npt.NDArray[np.float64]
_Gradients = Callable[[npt.NDArray[Any], Any], tuple[npt.NDArray[Any], npt.NDArray[Any]]]
_REGRESSION = {
    "mean_squared_error": "regression",
    "mean_absolute_error": "regression_l1",
    "huber": "huber",
}
_RARE = 1e-7
"""Least share of rows that an item of a set is taken to be in, and to be missing in, for its first log-odds."""


class Booster:
    """The trees of one output: in every round one, or one for each label, item or dimension."""

    def __init__(
        self,
        feature: FittedFeature,
        loss: Loss,
        rows: Matrix,
        targets: npt.NDArray[Any],
        settings: BoostingSettings,
        threads: int,
    ) -> None:
        """Of training rows [n, d] and the targets [n] or [n, k] of the output that `feature` is."""
        self.columns = logit_columns(feature)
        self.bias: Floats = np.zeros(self.columns)
        self._scale: Floats = np.ones(self.columns)
        """What LightGBM's scores are multiplied by."""
        self._gradients: _Gradients | None = None
        # of two labels one column says all: softmax of (0, s) is the sigmoid of s
        self._first = 1 if feature.spec.type == "category" and self.columns == 2 else 0
        own: dict[str, Any] = {"num_class": self.columns} if self.columns > 1 and not self._first else {}
        labels, weights = np.asarray(targets), None
        if feature.spec.type in ("set", "vector"):
            # LightGBM's own objectives know one target per row
            own, labels = {"objective": "none", "num_class": self.columns}, np.zeros(len(rows))
            self.bias, self._scale, self._gradients = _of_columns(feature, np.asarray(targets, dtype=np.float64))
        elif feature.spec.type == "number":
            own["objective"] = _REGRESSION[feature.spec.loss.type or "mean_squared_error"]
            own["alpha"] = feature.spec.loss.delta or 1.0
        else:
            own["objective"] = "binary" if feature.spec.type == "binary" or self._first else "multiclass"
            weights = loss.row_weights(targets)
        parameters = _parameters(settings, threads) | own
        data = lightgbm.Dataset(rows, label=labels, weight=weights, params=parameters)
        if self._gradients is not None:
            begin = np.broadcast_to(self.bias / self._scale, (len(rows), self.columns))
            data.set_init_score(begin.ravel(order="F"))
        self._booster = lightgbm.Booster(parameters, data)
        self._iterations = [0]
        """LightGBM's after each round: one that finds nothing to split is none."""

    def grow(self) -> bool:
        """Makes a round; returns whether there was anything to split."""
        if self._gradients is None:
            finished: bool = self._booster.update()
        else:
            finished = self._booster.update(fobj=self._gradients)
        self._iterations.append(self._booster.current_iteration())
        return not finished

    def scores(self, rows: Matrix, since: int, until: int) -> Floats:
        """What the trees of some rounds, from 0, add to the scores of rows: [n, columns], without `bias`."""
        first, last = self._iterations[since], self._iterations[until]
        found = np.zeros((len(rows), self.columns))
        if first < last and len(rows):
            added = self._booster.predict(rows, start_iteration=first, num_iteration=last - first, raw_score=True)
            found[:, self._first :] = np.asarray(added).reshape(len(rows), -1) * self._scale[self._first :]
        return found

    def trees(self, rounds: int, first_column: int) -> list[Tree]:
        """Those of the first rounds, for columns from `first_column` on."""
        if not self._iterations[rounds]:
            return []
        described = self._booster.dump_model(num_iteration=self._iterations[rounds])
        per_round = described["num_tree_per_iteration"]
        columns = [self._first + index % per_round for index in range(len(described["tree_info"]))]
        return [
            tree_of(item, first_column + column, self._scale[column])
            for column, item in zip(columns, described["tree_info"], strict=True)
        ]


def _parameters(settings: BoostingSettings, threads: int) -> dict[str, Any]:
    return {
        **settings.parameters,
        "learning_rate": settings.learning_rate,
        "seed": settings.seed,
        "num_threads": threads,
        # the same trees from the same rows, whatever else the machine does
        "deterministic": True,
        "force_col_wise": True,
        # every input is a number by now; of what is filled in nothing is known that trees could use
        "use_missing": False,
        "feature_pre_filter": False,
        "verbosity": -1,
    }


def _of_columns(feature: FittedFeature, targets: Floats) -> tuple[Floats, Floats, _Gradients]:
    """Where the scores [k] of columns begin, what scores are counted in, and the gradients of the output's loss.

    A round changes what is told by the learning rate times a bounded gradient at most, but for squared errors: scores
    are counted in how far targets are from their median on average, so that it does not matter what these are told in.
    """
    one = np.ones(targets.shape[1])
    if feature.spec.type == "set":
        share = targets.mean(0).clip(_RARE, 1 - _RARE)
        return np.log(share / (1 - share)), one, lambda scores, _: _of_items(scores, targets)
    kind = feature.spec.loss.type or "mean_squared_error"
    if kind == "mean_squared_error":
        return targets.mean(0), one, lambda scores, _: (scores.reshape(targets.shape) - targets, np.ones_like(targets))
    centre = np.median(targets, axis=0)
    spread = np.abs(targets - centre).mean(0)
    spread[spread == 0] = 1.0
    wanted = targets / spread
    # as the absolute error beyond it, whose gradient is 1 here however small the bound
    bound = (feature.spec.loss.delta or 1.0) / spread
    curve = np.broadcast_to(np.minimum(bound, 1.0), targets.shape)

    def gradients(scores: npt.NDArray[Any], _: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        away = scores.reshape(targets.shape) - wanted
        return (away.clip(-bound, bound), curve) if kind == "huber" else (np.sign(away), np.ones_like(away))

    return centre, spread, gradients


def _of_items(scores: npt.NDArray[Any], targets: Floats) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Of the cross entropy of each item: its first and second derivatives."""
    likely = 1 / (1 + np.exp(-scores.reshape(targets.shape)))
    return likely - targets, likely * (1 - likely)


def tree_of(described: dict[str, Any], column: int, scale: float = 1.0) -> Tree:
    """A tree as LightGBM describes it in `tree_info`, its values multiplied by `scale`."""
    nodes: list[Node] = []
    waiting = [(described["tree_structure"], -1, "")]
    links: dict[int, dict[str, int]] = {}
    while waiting:
        item, parent, side = waiting.pop()
        place = len(nodes)
        if parent >= 0:
            links.setdefault(parent, {})[side] = place
        if "split_feature" not in item:
            nodes.append(Node(value=float(scale) * item["leaf_value"]))
            continue
        if item["decision_type"] != "<=":
            raise ValueError(f"a split by {item['decision_type']!r} is not known")
        nodes.append(Node(feature=item["split_feature"], threshold=float(item["threshold"])))
        waiting += [(item["left_child"], place, "left"), (item["right_child"], place, "right")]
    linked = [
        replace(node, **links[place]) if place in links else node  # a leaf has none
        for place, node in enumerate(nodes)
    ]
    return Tree(linked, column)
