"""Writes a spec as YAML that `yaml_reader` reads as the same spec, and so does any reader of YAML 1.1 or 1.2."""

import re
import textwrap
from typing import Any

import yaml

from headstart_server.spec.model import TrainSpec

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NOT_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
"""Words that YAML 1.1 or 1.2 takes for something else."""


class _Dumper(yaml.SafeDumper):
    """Quotes every text that is not plainly a word, and indents lists."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(text) and text.lower() not in _NOT_WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _represent_text)


def spec_text(spec: TrainSpec) -> str:
    """The spec in the current spelling, without its notes, each of which is a comment at its head."""
    values: dict[str, Any] = spec.compact()
    notes = [_line(note) for note in values.pop("notes", [])]
    return "".join(f"# {note}\n" for note in notes) + yaml_text(values)


def yaml_text(values: Any) -> str:
    """Plain values as YAML, read as the same ones by any reader."""
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110))


def comment(text: str, width: int) -> list[str]:
    """Lines of a comment, none of which ends it, whatever the text holds."""
    return [f"# {line}" for line in textwrap.wrap(_line(text), width - 2, break_on_hyphens=False)]


def _line(note: str) -> str:
    return "".join(character if character.isprintable() else " " for character in note)
