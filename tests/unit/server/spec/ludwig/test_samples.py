"""Whole files as people write them: read, or refused by name; and what is read is told, and written, the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.spec.parse import parse_yaml
from headstart_server.spec.yaml_writer import spec_text

FILES = sorted((Path(__file__).parent / "configs").glob("*.yaml"))
ACCEPTED = [path for path in FILES if path.read_text().startswith("# accepted")]
REFUSED = [path for path in FILES if path not in ACCEPTED]


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_a_file_is_read_and_written_as_the_same_spec_without_notes(path: Path) -> None:
    spec = parse_yaml(path.read_text())
    assert spec.notes
    again = parse_yaml(spec_text(spec))
    assert again.compact() == spec.model_copy(update={"notes": []}).compact()


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_a_file_is_refused_where_it_asks_for_what_there_is_not(path: Path) -> None:
    _, field, use = path.read_text().splitlines()[0].split(": ", 2)
    with pytest.raises(InvalidInputError) as caught:
        parse_yaml(path.read_text())
    assert any(item.field == field and use in item.message for item in caught.value.violations), caught.value
