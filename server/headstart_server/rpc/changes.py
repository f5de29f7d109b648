"""Which fields of a resource an Update changes, by its field mask (https://google.aip.dev/134)."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from headstart.v1 import model_pb2, training_pb2

from headstart_server.core.errors import invalid
from headstart_server.core.labels import check_labels
from headstart_server.rpc.job_orders import LENGTHS, check_priority
from headstart_server.rpc.messages import check_length


def changes_of(
    resource: training_pb2.TrainJob | model_pb2.Model,
    mask: FieldMask,
    labels: Mapping[str, str],
    field: str,
    *,
    priority: bool = False,
) -> dict[str, Any]:
    """The new values by field.

    Args:
        resource: The new values.
        mask: Which to take; empty, or `*`: those that are set.
        labels: Those that the resource has, of which a mask may name one.
        field: Of the request, where the resource is.
        priority: Whether it has a priority.

    Raises:
        InvalidInputError: A path that cannot be changed, or a value that the field cannot have.
    """
    allowed = ["display_name", "description", "labels", *(["priority"] if priority else [])]
    whole = not mask.paths or list(mask.paths) == ["*"]
    paths = [name for name in allowed if getattr(resource, name)] if whole else list(mask.paths)
    changes: dict[str, Any] = {}
    for path in paths:
        name, dot, key = path.partition(".")
        if name not in allowed or (dot and not (key and name == "labels")):
            raise invalid("update_mask", f"names {path!r}; use {', '.join(allowed)} or labels.KEY")
        if name == "labels" and key:
            changes["labels"] = _with_label(changes.get("labels", labels), key, resource.labels, f"{field}.labels")
        elif name == "labels":
            changes["labels"] = check_labels(resource.labels, f"{field}.labels")
        else:
            changes[name] = getattr(resource, name)
    for name in set(changes) & set(LENGTHS):
        check_length(f"{field}.{name}", changes[name], LENGTHS[name])
    if "priority" in changes:
        check_priority(changes["priority"], f"{field}.priority")
    return changes


def _with_label(labels: Mapping[str, str], key: str, given: Mapping[str, str], field: str) -> dict[str, str]:
    """The labels with one of those given, or without it where it is not given."""
    rest = {name: value for name, value in labels.items() if name != key}
    return check_labels({**rest, key: given[key]} if key in given else rest, field)
