"""Names of a graph's inputs that no two share, whatever people call their columns."""

from collections.abc import Iterable
from dataclasses import replace

from headstart_server.export.graph_inputs import GraphInput


def distinct(inputs: Iterable[GraphInput], outputs: Iterable[str]) -> list[GraphInput]:
    """The inputs, each with a name that no other and no output has; likewise their varying axes.

    An input that is named as its feature keeps that name where no output has it; what is derived from a feature's name
    (`text_input_ids`) makes way, as `text_input_ids_2`.
    """
    given = list(inputs)
    names, axes = set(outputs), {"batch"}
    chosen: dict[int, str] = {}
    for position in sorted(range(len(given)), key=lambda index: given[index].name != given[index].feature):
        chosen[position] = unused(given[position].name, names)
    named = [replace(item, name=chosen[position]) for position, item in enumerate(given)]
    of_features: dict[tuple[str, str], str] = {}
    for item in named:
        for axis in item.axes:
            if isinstance(axis, str) and axis != "batch" and (item.feature, axis) not in of_features:
                of_features[item.feature, axis] = unused(axis, axes)
    return [
        replace(item, axes=tuple(of_features.get((item.feature, str(axis)), axis) for axis in item.axes))
        for item in named
    ]


def unused(name: str, taken: set[str]) -> str:
    """The name, or the first of `name_2`, `name_3`, ... that is not taken, which it then is."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found)
    return found
