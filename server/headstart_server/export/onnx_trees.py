"""Boosted trees in ONNX: one TreeEnsembleRegressor, an operation of ai.onnx.ml, in the graph of all else."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from onnxscript.onnx_opset import opset_ai_onnx_ml3
from torch import nn

from headstart_server.model.tree_head import TreeHead
from headstart_server.model.trees import Trees


def tree_translations(graph: nn.Module) -> dict[Callable[..., Any], Callable[..., Any]]:
    """What torch's exporter writes for the trees in a graph, as its `custom_translation_table`."""
    heads = [module for module in graph.modules() if isinstance(module, TreeHead)]
    if not heads:
        return {}
    [head] = heads
    attributes = _attributes(head.trees)

    def translated(rows: Any, columns: int) -> Any:
        return opset_ai_onnx_ml3.TreeEnsembleRegressor(rows, n_targets=columns, **attributes)

    return {torch.ops.headstart.trees.default: translated}


def _attributes(trees: Trees) -> Mapping[str, Any]:
    """Nodes tree by tree, as the operation has them: a tree's nodes count from its root, and leaves name targets."""
    child, root = trees.child, trees.root
    nodes = torch.arange(len(child))
    tree = torch.searchsorted(root, nodes, right=True) - 1
    place, leaf = nodes - root[tree], child == nodes
    inner = torch.where(leaf, 0, child - root[tree])
    leaves = nodes[leaf]
    return {
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": place.tolist(),
        "nodes_featureids": trees.feature.tolist(),
        "nodes_modes": ["LEAF" if each else "BRANCH_LEQ" for each in leaf.tolist()],
        "nodes_values": torch.where(leaf, 0.0, trees.threshold).tolist(),
        "nodes_truenodeids": inner.tolist(),
        "nodes_falsenodeids": torch.where(leaf, 0, inner + 1).tolist(),
        "target_treeids": tree[leaves].tolist(),
        "target_nodeids": place[leaves].tolist(),
        "target_ids": trees.column[tree[leaves]].tolist(),
        "target_weights": trees.value[leaves].float().tolist(),
        "base_values": trees.bias.float().tolist(),
    }
