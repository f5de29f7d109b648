"""`headstart migrate`: brings the schema of the job database up to date, before servers of a new version start."""

import argparse
import os
import sys

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.jobs import schema
from headstart_server.jobs.connections import connect, unusable_named


def main(argv: list[str]) -> int:
    """Runs the command; returns the exit code: 0, or 2 where the database cannot be brought up to date."""
    arguments = _parser().parse_args(argv)
    if not arguments.database_url:
        print("headstart migrate: --database-url is needed; SQLite is upgraded by the server itself", file=sys.stderr)
        return 2
    try:
        with unusable_named(arguments.database_url):
            engine = connect(arguments.database_url)
            try:
                before, after = schema.upgrade(engine)
            finally:
                engine.dispose()
    except FailedPreconditionError as error:
        print(f"headstart migrate: {error.message}", file=sys.stderr)
        return 2
    print(f"the job database has schema {after}" + ("" if before == after else f", it had {before or 'none'}"))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="headstart migrate", description=__doc__)
    text = "SQLAlchemy URL of the job database; default: HEADSTART_DATABASE_URL"
    parser.add_argument("--database-url", default=os.environ.get("HEADSTART_DATABASE_URL", ""), help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
