"""The tables of the job database, as the revisions in `migrations/` make them, which a test compares."""

from sqlalchemy import JSON, Boolean, Column, Double, Integer, MetaData, String, Table, Text, UniqueConstraint

METADATA = MetaData()
JOBS = Table(
    "jobs",
    METADATA,
    Column("identifier", String(32), primary_key=True),
    Column("request_id", String(128), nullable=True),  # many jobs have none: NULLs are never equal
    Column("request_digest", String(64), nullable=False),
    Column("display_name", String(128), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("create_time", String(40), nullable=False),
    Column("update_time", String(40), nullable=False),
    Column("start_time", String(40)),
    Column("end_time", String(40)),
    Column("spec", Text, nullable=False),
    Column("sources", Text, nullable=False),
    Column("resolved", Text, nullable=False),
    Column("model", String(32), nullable=False),
    Column("best_epoch", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("encode", Text, nullable=False),
    Column("last_sequence", Integer, nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("lease_until", Double, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("restarts", Integer, nullable=False),
    Column("halvings", Integer, nullable=False),
    Column("description", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("creator", String(128), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("deadline", String(40)),
    Column("ttl", Double),
    Column("initial_model", String(32), nullable=False),
    Column("step", Text, nullable=False),
    Column("source_rows", Text, nullable=False),
    UniqueConstraint("tenant", "request_id", name="jobs_request_of_tenant"),
)
EVENTS = Table(
    "events",
    METADATA,
    Column("job", String(32), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("time", String(40), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("data", Text, nullable=False),
    UniqueConstraint("job", "sequence"),  # no number twice, whatever the locks of a database allow
)

MODELS = Table(
    "models",
    METADATA,
    Column("identifier", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("display_name", String(128), nullable=False),
    Column("description", Text, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("update_time", String(40), nullable=False),
)
"""What people say of models; the models themselves are bundles in the storage."""
ALIASES = Table(
    "aliases",
    METADATA,
    Column("tenant", String(64), primary_key=True),
    Column("alias", String(127), primary_key=True),
    Column("model", String(32), nullable=False, index=True),
    Column("update_time", String(40), nullable=False),
)
EXPORTS = Table(
    "exports",
    METADATA,
    Column("identifier", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("model", String(32), nullable=False),
    Column("format", String(16), nullable=False),
    Column("head_only", Boolean, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("stage", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("artifact", String(64), nullable=False),
    Column("error", Text, nullable=False),
    Column("create_time", String(40), nullable=False),
    Column("start_time", String(40)),
    Column("end_time", String(40)),
    Column("update_time", String(40), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("lease_until", Double, nullable=False),
    Column("attempt", Integer, nullable=False),
)
