"""What a plan says, as an event: apart from `events`, which the job store imports without the libraries of plans."""

from headstart_server.data.parts import Part
from headstart_server.engines.events import RowCounts, SpecResolved
from headstart_server.planning.job_plan import JobPlan


def spec_resolved(plan: JobPlan) -> SpecResolved:
    """What a plan says of the spec and the rows."""
    rows = RowCounts(*map(plan.rows, (Part.TRAIN, Part.VALIDATION, Part.TEST)))
    tables = plan.data.sources
    sources = {role: table.row_count for role, table in zip(tables.roles, tables.tables, strict=True)}
    return SpecResolved(plan.resolution.spec().compact(), list(plan.resolution.resolved.values()), rows, sources)
