"""Reads YAML as YAML 1.2 reads it (`1e-5` is a number, `no` a word), bounded in size, depth and aliases."""

import re
from collections.abc import Hashable
from typing import Any, ClassVar

import yaml

from headstart_server.core.errors import invalid

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 30_000
FIELD = "spec_yaml"


_TAG = "tag:yaml.org,2002:"
_WORDS = {"true": True, "false": False}


class HalfCharacterError(ValueError):
    """Text holds one half of a UTF-16 pair, which nothing can store or send."""


def check_characters(text: str) -> None:
    """Raises HalfCharacterError for text that is not made of whole characters."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise HalfCharacterError(
            f"{text[:80]!r} holds half a character ({text[error.start]!r}); "
            "write the character itself, or both halves of its escape"
        ) from None


def _joined(text: str) -> str:
    """The text with pairs of halves (`\\ud83d\\ude00`, as JSON writes them) joined; refuses a half on its own."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    check_characters(joined)
    return joined


class _Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's core schema, plain keys, none repeated, and bounds kept as it reads."""

    depth = nodes = 0

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - declared so by the base class
    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        kind: yaml.SafeLoader.yaml_constructors[kind]
        for kind in (f"{_TAG}map", f"{_TAG}seq", f"{_TAG}str", f"{_TAG}null", None)
    }

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth, self.nodes = self.depth + 1, self.nodes + 1
        if self.check_event(yaml.AliasEvent):
            raise invalid(FIELD, "aliases (*name) are not accepted; repeat the value or use 'defaults'")
        # the root is at depth 1 here, and at 0 in `json_reader`
        if self.depth > MAX_DEPTH + 1:
            raise invalid(FIELD, f"nested more than {MAX_DEPTH} deep; no spec needs that")
        if self.nodes > MAX_NODES:
            raise invalid(FIELD, f"holds more than {MAX_NODES} values; a spec is a page")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def compose_scalar_node(self, anchor: dict[Any, yaml.Node]) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        try:
            node.value = _joined(node.value)
        except HalfCharacterError as error:
            raise yaml.MarkedYAMLError(problem=str(error), problem_mark=node.start_mark) from None
        return node

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
    # other words come here by an explicit tag alone (`!!bool maybe`)
    if text.lower() not in _WORDS:
        raise ValueError(f"{text[:80]!r} is neither true nor false")
    return _WORDS[text.lower()]


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | float:
    return read_int(str(loader.construct_scalar(node)))


def read_int(text: str) -> int | float:
    """A whole number; longer than any spec needs, a float."""
    return int(text) if len(text) <= 20 else float(text)


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(str(loader.construct_scalar(node)).lower().replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor(f"{_TAG}bool", _construct_bool)
_Loader.add_constructor(f"{_TAG}int", _construct_int)
_Loader.add_constructor(f"{_TAG}float", _construct_float)


def read_yaml(text: str) -> dict[str, Any]:
    """The mapping that a YAML document holds; raises InvalidInputError naming line and column."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise invalid(FIELD, f"larger than {MAX_BYTES} bytes; a spec is a page")
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise invalid(FIELD, f"not valid YAML{where}: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise invalid(FIELD, f"not valid YAML: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise invalid(FIELD, f"must be a mapping with input_features and output_features, not {type(value).__name__}")
    return value
