"""Jobs and their events, as they were before revisions were counted here."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes both tables."""
    op.create_table(
        "jobs",
        sa.Column("identifier", sa.String(32), primary_key=True),
        sa.Column("request_id", sa.String(128), unique=True),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("display_name", sa.String(128), nullable=False),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("create_time", sa.String(40), nullable=False),
        sa.Column("update_time", sa.String(40), nullable=False),
        sa.Column("start_time", sa.String(40)),
        sa.Column("end_time", sa.String(40)),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("sources", sa.Text, nullable=False),
        sa.Column("resolved", sa.Text, nullable=False),
        sa.Column("model", sa.String(32), nullable=False),
        sa.Column("best_epoch", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("encode", sa.Text, nullable=False),
        sa.Column("last_sequence", sa.Integer, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("job", sa.String(32), nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("time", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.UniqueConstraint("job", "sequence"),
    )
