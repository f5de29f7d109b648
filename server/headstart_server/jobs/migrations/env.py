"""Runs revisions on the connection that `jobs.schema` has opened, within its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
