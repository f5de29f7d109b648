"""Ludwig's spellings of what the typed spec says in one way, as one table: older names, and keys without effect here.

Each row reads one section of a spec's plain values, changes it in place, and tells what it did. A key that neither a
row nor the typed spec knows stays where it is, and is refused there.
"""

from __future__ import annotations

import copy

from headstart_server.core.errors import InvalidInputError
from headstart_server.spec.ludwig.features import FEATURE_SPELLINGS
from headstart_server.spec.ludwig.preprocessing import PREPROCESSING_SPELLINGS
from headstart_server.spec.ludwig.rewriting import Reading, Section, Spelling, sections
from headstart_server.spec.ludwig.trainer import TRAINER_SPELLINGS

SPELLINGS: tuple[Spelling, ...] = (*PREPROCESSING_SPELLINGS, *FEATURE_SPELLINGS, *TRAINER_SPELLINGS)


def with_current_spelling(values: Section) -> tuple[Section, list[str]]:
    """The values in the typed spec's spelling, and a note for each thing that was read otherwise than written.

    Raises InvalidInputError for spellings that contradict each other or mean nothing here.
    """
    written, reading = copy.deepcopy(values), Reading()
    for row in SPELLINGS:
        for section, path in sections(written, row.section):
            if row.key in section:
                row.write(section, f"{path}.{row.key}" if path else row.key, reading)
    if reading.violations:
        raise InvalidInputError(reading.violations)
    return written, reading.notes
