"""Jobs belong to a tenant, and are claimed by one server at a time; request ids are unique within a tenant."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_KEPT = (
    "identifier", "request_id", "request_digest", "display_name", "state", "create_time", "update_time", "start_time",
    "end_time", "spec", "sources", "resolved", "model", "best_epoch", "error", "encode", "last_sequence",
)  # fmt: skip


def _added() -> list[sa.Column[object]]:
    return [
        sa.Column("tenant", sa.String(64), nullable=False, server_default=""),
        sa.Column("owner", sa.String(64), nullable=False, server_default=""),
        sa.Column("lease_until", sa.Double, nullable=False, server_default="0"),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("restarts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("halvings", sa.Integer, nullable=False, server_default="0"),
    ]


def upgrade() -> None:
    """Adds the columns, and replaces the constraint."""
    if op.get_context().dialect.name == "sqlite":
        _rebuild()
    else:
        for column in _added():
            op.add_column("jobs", column)
        op.drop_constraint("jobs_request_id_key", "jobs")
        op.create_unique_constraint("jobs_request_of_tenant", "jobs", ["tenant", "request_id"])
    op.create_index("ix_jobs_tenant", "jobs", ["tenant", "identifier"])
    _refuse_older_releases()


def _rebuild() -> None:
    # SQLite cannot drop a constraint: https://www.sqlite.org/lang_altertable.html#making_other_kinds_of_table_schema_changes
    connection = op.get_bind()
    old = sa.Table("jobs", sa.MetaData(), autoload_with=connection)
    columns = [sa.Column(name, old.c[name].type, nullable=bool(old.c[name].nullable)) for name in _KEPT[1:]]
    op.create_table(
        "jobs_rebuilt",
        sa.Column("identifier", sa.String(32), primary_key=True),
        *columns,
        *_added(),
        sa.UniqueConstraint("tenant", "request_id", name="jobs_request_of_tenant"),
    )
    names = ", ".join(_KEPT)
    op.execute(f"INSERT INTO jobs_rebuilt ({names}) SELECT {names} FROM jobs")
    op.drop_table("jobs")
    op.rename_table("jobs_rebuilt", "jobs")
    op.create_index("ix_jobs_state", "jobs", ["state"])


def _refuse_older_releases() -> None:
    """Releases before revisions look here, and refuse what is above 2."""
    op.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL PRIMARY KEY)")
    op.execute("DELETE FROM schema_version")
    op.execute("INSERT INTO schema_version (version) VALUES (3)")
