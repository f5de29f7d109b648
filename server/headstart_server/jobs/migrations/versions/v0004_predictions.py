"""Exports that write what a model predicts of a data set."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds columns to the exports."""
    for column in (
        sa.Column("predictions", sa.Text, nullable=False, server_default="null"),
        sa.Column("rows_done", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("rows_total", sa.BigInteger, nullable=False, server_default="0"),
    ):
        op.add_column("exports", column)
