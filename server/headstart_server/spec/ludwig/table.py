"""Ludwig's spellings of what the typed spec says in one way, as one table: older names, and keys without effect here.

Each row reads one section of a spec's plain values, changes it in place, and tells what it did. A key that neither a
row nor the typed spec knows stays where it is, and is refused there.
"""

from __future__ import annotations

from headstart_server.core.errors import InvalidInputError, Violation
from headstart_server.spec.ludwig.adapters import ADAPTER_SPELLINGS
from headstart_server.spec.ludwig.features import FEATURE_SPELLINGS, LAST_SPELLINGS
from headstart_server.spec.ludwig.hyperopt import HYPEROPT_SPELLINGS
from headstart_server.spec.ludwig.normalization import NORMALIZATION
from headstart_server.spec.ludwig.outputs import OUTPUT_SPELLINGS
from headstart_server.spec.ludwig.preprocessing import PREPROCESSING_SPELLINGS
from headstart_server.spec.ludwig.rewriting import Reading, Section, Spelling, rewritten
from headstart_server.spec.ludwig.trainer import TRAINER_SPELLINGS

SPELLINGS: tuple[Spelling, ...] = (
    # in this order: `preprocessing.<type>` goes to `defaults.<type>` before rows that read those, and features are left
    # out last, so that the paths of all other rows are the file's
    *PREPROCESSING_SPELLINGS,
    *FEATURE_SPELLINGS,
    *OUTPUT_SPELLINGS,
    *TRAINER_SPELLINGS,
    *HYPEROPT_SPELLINGS,
    *NORMALIZATION,
    *ADAPTER_SPELLINGS,
    *LAST_SPELLINGS,
)


def with_current_spelling(values: Section) -> tuple[Section, Reading]:
    """The values in the typed spec's spelling, with notes on what was read otherwise than written, and where from.

    Raises InvalidInputError for spellings that contradict each other or mean nothing here.
    """
    written, reading = rewritten(values, SPELLINGS)
    if reading.violations:
        raise InvalidInputError([Violation(reading.written(item.field), item.message) for item in reading.violations])
    return written, reading


def with_long_forms(values: Section) -> Section:
    """The values with every short form written out, and no other spelling read."""
    return rewritten(values, NORMALIZATION)[0]
