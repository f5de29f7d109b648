"""Boosted trees as arrays: what they answer is found by tensor operations, as fast as rows are looked up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

ARRAYS = ("child", "feature", "threshold", "value", "root", "column", "depth", "bias")
_AT_ONCE = 512
"""Trees that are walked together."""


@dataclass(frozen=True)
class Node:
    """A split, or a leaf."""

    value: float = 0.0
    """Of a leaf."""
    feature: int = 0
    threshold: float = 0.0
    left: int = -1
    """The node of rows that are at most the threshold, by its place in the tree; below 0: it is a leaf."""
    right: int = -1


@dataclass(frozen=True)
class Tree:
    """Its nodes, the root first, and the column of scores that its leaves add to."""

    nodes: Sequence[Node]
    column: int


class Trees(nn.Module):
    """A sum of trees for every column of scores: [b, d] to [b, columns].

    Nodes of all trees lie in one array, children side by side: a row goes to `child` if its `feature` is at most
    `threshold`, otherwise to the node after it. A leaf is its own child, at a threshold that no row is above. Sums are
    float64, as LightGBM's are, so that they do not depend on the trees' order.
    """

    child: Tensor
    feature: Tensor
    threshold: Tensor
    value: Tensor
    root: Tensor
    column: Tensor
    depth: Tensor
    bias: Tensor

    def __init__(self, columns: int) -> None:
        super().__init__()
        empty = torch.zeros(0, dtype=torch.int64)
        for name in ("child", "feature", "root", "column", "depth"):
            self.register_buffer(name, empty)
        self.register_buffer("threshold", torch.zeros(0))
        self.register_buffer("value", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(columns, dtype=torch.float64))
        self._chunks: list[tuple[int, int, int]] = []

    def set(self, trees: Sequence[Tree], bias: npt.NDArray[np.float64]) -> None:
        """Takes the place of what was there; `bias` [columns] is added to every row's scores."""
        arrays = _arrays(trees)
        for name, array in arrays.items():
            setattr(self, name, torch.from_numpy(array).to(self.bias.device))
        self.bias.copy_(torch.from_numpy(bias))
        self._chunks = _chunks(self.depth)

    def forward(self, rows: Tensor) -> Tensor:
        """Scores, float64."""
        total = self.bias.unsqueeze(0).expand(rows.shape[0], -1)
        for start, stop, depth in self._chunks:
            node = self.root[start:stop].unsqueeze(0).expand(rows.shape[0], -1)
            for _ in range(depth):
                node = self.child[node] + (rows.gather(1, self.feature[node]) > self.threshold[node])
            total = total.index_add(1, self.column[start:stop], self.value[node])
        return total

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """How many trees there are is known from what was saved alone."""
        for name in ARRAYS:
            if (saved := state.get(f"{prefix}{name}")) is not None:
                setattr(self, name, torch.empty_like(saved, device=self.bias.device))
        super()._load_from_state_dict(state, prefix, *rest)
        self._chunks = _chunks(self.depth)


def _chunks(depth: Tensor) -> list[tuple[int, int, int]]:
    """(first, one past the last, depth) of trees that are walked together: as far as the deepest of them goes."""
    depths = depth.tolist()
    return [
        (start, min(start + _AT_ONCE, len(depths)), max(depths[start : start + _AT_ONCE]))
        for start in range(0, len(depths), _AT_ONCE)
    ]


def _arrays(trees: Sequence[Tree]) -> dict[str, npt.NDArray[Any]]:
    """All trees as arrays, the shallow ones first."""
    laid = sorted((_laid(tree) for tree in trees), key=lambda item: item.depth)
    sizes = np.array([len(item.child) for item in laid], dtype=np.int64)
    roots = np.cumsum(sizes) - sizes
    joined = {
        "feature": np.concatenate([item.feature for item in laid]) if laid else np.zeros(0, np.int64),
        "threshold": np.concatenate([item.threshold for item in laid]) if laid else np.zeros(0, np.float32),
        "value": np.concatenate([item.value for item in laid]) if laid else np.zeros(0),
        "child": np.concatenate([item.child + root for item, root in zip(laid, roots, strict=True)])
        if laid
        else np.zeros(0, np.int64),
    }
    return joined | {
        "root": roots,
        "column": np.array([item.column for item in laid], dtype=np.int64),
        "depth": np.array([item.depth for item in laid], dtype=np.int64),
    }


@dataclass(frozen=True)
class _Laid:
    child: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float32]
    value: npt.NDArray[np.float64]
    depth: int
    column: int


def _laid(tree: Tree) -> _Laid:
    """One tree's nodes in order of their depth, children side by side."""
    order, depths, child = [0], [0], [0]
    at = 0
    while at < len(order):
        node = tree.nodes[order[at]]
        if node.left < 0:
            child[at] = at
        else:
            child[at] = len(order)
            order += [node.left, node.right]
            depths += [depths[at] + 1] * 2
            child += [0, 0]
        at += 1
    nodes = [tree.nodes[index] for index in order]
    thresholds = [np.inf if node.left < 0 else node.threshold for node in nodes]
    return _Laid(
        child=np.array(child, dtype=np.int64),
        feature=np.array([node.feature for node in nodes], dtype=np.int64),
        threshold=rounded_down(np.array(thresholds, dtype=np.float64)),
        value=np.array([node.value for node in nodes], dtype=np.float64),
        depth=max(depths),
        column=tree.column,
    )


def rounded_down(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The greatest float32 that is at most each threshold: float32 rows are at most either or neither."""
    rounded = thresholds.astype(np.float32)
    above = rounded.astype(np.float64) > thresholds
    return np.where(above, np.nextafter(rounded, np.float32(-np.inf)), rounded)
