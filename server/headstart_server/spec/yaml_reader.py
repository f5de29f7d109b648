"""Reads YAML as YAML 1.2 reads it (`1e-5` is a number, `no` a word), bounded in size, depth and aliases."""

import re
from collections.abc import Hashable
from typing import Any, ClassVar

import yaml

from headstart_server.core.errors import invalid

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 50_000
_FIELD = "spec_yaml"


_TAG = "tag:yaml.org,2002:"
_WORDS = {"true": True, "false": False}


class _Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's core schema, plain keys, and none of them repeated."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - declared so by the base class
    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        kind: yaml.SafeLoader.yaml_constructors[kind]
        for kind in (f"{_TAG}map", f"{_TAG}seq", f"{_TAG}str", f"{_TAG}null", None)
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {str(key.value)[:80]!r} is repeated", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in [
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf)|\.nan|\.NaN", None),
]:
    _Loader.add_implicit_resolver(f"{_TAG}{_tag}", re.compile(rf"^(?:{_pattern})$"), _first or list("-+.0123456789"))


def _construct_bool(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> bool:
    text = str(loader.construct_scalar(node))
    if text.lower() not in _WORDS:
        raise ValueError(f"{text[:80]!r} is neither true nor false")
    return _WORDS[text.lower()]


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | float:
    text = str(loader.construct_scalar(node))
    return int(text) if len(text) <= 20 else float(text)


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(str(loader.construct_scalar(node)).lower().replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor(f"{_TAG}bool", _construct_bool)
_Loader.add_constructor(f"{_TAG}int", _construct_int)
_Loader.add_constructor(f"{_TAG}float", _construct_float)


def read_yaml(text: str) -> dict[str, Any]:
    """The mapping that a YAML document holds; raises InvalidInputError naming line and column."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise invalid(_FIELD, f"larger than {MAX_BYTES} bytes; a spec is a page")
    try:
        _check_bounds(text)
        value = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise invalid(_FIELD, f"not valid YAML{where}: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise invalid(_FIELD, f"not valid YAML: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise invalid(_FIELD, f"must be a mapping with input_features and output_features, not {type(value).__name__}")
    return value


def _check_bounds(text: str) -> None:
    """Walks the parser's events, which needs no recursion, before anything is built from them."""
    depth = 0
    for nodes, event in enumerate(yaml.parse(text, Loader=_Loader), 1):
        if isinstance(event, yaml.ScalarEvent):
            event.value.encode()  # refuses half a character, such as "\\ud800", before anything stores it
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            raise invalid(_FIELD, "aliases (*name) are not accepted; repeat the value or use 'defaults'")
        if depth > MAX_DEPTH:
            raise invalid(_FIELD, f"nested more than {MAX_DEPTH} deep; no spec needs that")
        if nodes > MAX_NODES:
            raise invalid(_FIELD, f"holds more than {MAX_NODES} values; a spec is a page")
