"""What people say of jobs and models, priorities, deadlines, aliases, and exports that outlive their callers."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_TIME = sa.String(40)


def upgrade() -> None:
    """Adds columns to the jobs, and the tables of models and exports."""
    for column in (
        sa.Column("description", sa.Text, nullable=False, server_default=""),
        sa.Column("labels", sa.Text, nullable=False, server_default="{}"),
        sa.Column("creator", sa.String(128), nullable=False, server_default=""),
        sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
        sa.Column("deadline", _TIME),
        sa.Column("ttl", sa.Double),
        sa.Column("initial_model", sa.String(32), nullable=False, server_default=""),
        sa.Column("step", sa.Text, nullable=False, server_default="null"),
        sa.Column("source_rows", sa.Text, nullable=False, server_default="{}"),
    ):
        op.add_column("jobs", column)
    op.create_index("ix_jobs_update", "jobs", ["tenant", "update_time"])
    op.create_table(
        "models",
        sa.Column("identifier", sa.String(32), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("display_name", sa.String(128), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("update_time", _TIME, nullable=False),
    )
    op.create_table(
        "aliases",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("alias", sa.String(127), primary_key=True),
        sa.Column("model", sa.String(32), nullable=False, index=True),
        sa.Column("update_time", _TIME, nullable=False),
    )
    op.create_table(
        "exports",
        sa.Column("identifier", sa.String(32), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("model", sa.String(32), nullable=False),
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("head_only", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("artifact", sa.String(64), nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("create_time", _TIME, nullable=False),
        sa.Column("start_time", _TIME),
        sa.Column("end_time", _TIME),
        sa.Column("update_time", _TIME, nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("lease_until", sa.Double, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
    )
    op.create_index("ix_exports_tenant", "exports", ["tenant", "identifier"])
