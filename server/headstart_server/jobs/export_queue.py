"""The line in which exports wait: those of models and those of predictions apart, tenants taking turns in each."""

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.engine import Connection, RowMapping

from headstart_server.engines.envelopes import PREDICTIONS
from headstart_server.jobs.export_records import ExportState
from headstart_server.jobs.tables import EXPORTS


def in_states(states: Sequence[str]) -> ColumnElement[bool]:
    """Whether an export is in one of some states."""
    return EXPORTS.c.state.in_([str(state) for state in states])


def predicts() -> ColumnElement[bool]:
    """Whether an export is a file of predictions."""
    return EXPORTS.c.format == PREDICTIONS


def next_in_line(connection: Connection, kind: ColumnElement[bool]) -> RowMapping | None:
    """The row of the export of a kind to make next, locked: of the tenant with the fewest that run, the oldest."""
    waits, tenant = and_(in_states([ExportState.QUEUED]), kind), EXPORTS.c.tenant
    oldest = connection.execute(select(tenant, func.min(EXPORTS.c.identifier)).where(waits).group_by(tenant))
    candidates = [(str(row[0]), str(row[1])) for row in oldest]
    counted = select(tenant, func.count()).where(in_states([ExportState.RUNNING]), kind).group_by(tenant)
    running = {row[0]: int(row[1]) for row in connection.execute(counted)}
    for name, _ in sorted(candidates, key=lambda found: (running.get(found[0], 0), found[1])):
        query = select(EXPORTS).where(waits, tenant == name).order_by(EXPORTS.c.identifier).limit(1)
        # one that is locked is being cancelled, say, or claimed by another server
        if (row := connection.execute(query.with_for_update(skip_locked=True)).mappings().first()) is not None:
            return row
    return None


def places_in_line(connection: Connection) -> Mapping[str, int]:
    """How many wait before each export that waits, by its id."""
    queue = select(EXPORTS.c.identifier, EXPORTS.c.tenant, predicts()).where(in_states([ExportState.QUEUED]))
    own, turns = Counter[tuple[str, bool]](), list[tuple[int, str, bool]]()
    for identifier, tenant, kind in connection.execute(queue.order_by(EXPORTS.c.identifier)):
        turns.append((own[tenant, bool(kind)], identifier, bool(kind)))
        own[tenant, bool(kind)] += 1
    lengths, places = Counter[bool](), dict[str, int]()
    for _, identifier, kind in sorted(turns):
        places[identifier] = lengths[kind]
        lengths[kind] += 1
    return places
