"""No two inputs of a graph share a name, nor does an input have an output's."""

from __future__ import annotations

import torch
from headstart_server.export.graph_inputs import GraphInput
from headstart_server.export.graph_names import distinct


def text(feature: str, axis: str) -> list[GraphInput]:
    """The two inputs of a text."""
    return [
        GraphInput(f"{feature}_{role}", feature, role, torch.int64, ("batch", axis), feature)
        for role in ("input_ids", "attention_mask")
    ]


def value(name: str) -> GraphInput:
    """The input of a number."""
    return GraphInput(name, name, "value", torch.float64, ("batch",), name)


def test_a_derived_name_makes_way_for_a_feature_of_that_name() -> None:
    found = distinct([*text("t", "t_length"), value("t_input_ids"), value("t_input_ids_2")], ["y"])
    assert [item.name for item in found] == ["t_input_ids_3", "t_attention_mask", "t_input_ids", "t_input_ids_2"]


def test_inputs_make_way_for_outputs() -> None:
    found = distinct([*text("t", "t_length"), value("x")], ["t_attention_mask"])
    assert [item.name for item in found] == ["t_input_ids", "t_attention_mask_2", "x"]


def test_axes_of_two_features_never_share_a_name() -> None:
    found = distinct([*text("a b", "a_b_length"), *text("a_b", "a_b_length")], [])
    assert [item.axes[1] for item in found] == ["a_b_length", "a_b_length", "a_b_length_2", "a_b_length_2"]
