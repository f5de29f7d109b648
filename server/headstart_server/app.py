"""`headstart serve`: settings are read before the parts are imported, so that what does not fit is told at once."""

import asyncio
import sys

from pydantic import ValidationError

from headstart_server import tracing
from headstart_server.core.errors import HeadstartError
from headstart_server.core.logs import configure_logs
from headstart_server.core.memory import arrow_by_malloc, keep_few_arenas, keep_few_primitives, leave_imports_alone
from headstart_server.settings import settings_of


def main(argv: list[str] | None = None) -> int:
    """`headstart serve`; returns the exit code: 0, or 2 for settings that do not fit, or that cannot be had."""
    try:
        settings = settings_of(sys.argv[1:] if argv is None else argv)
    except ValidationError as error:
        for detail in error.errors():
            field = ".".join(str(part) for part in detail["loc"])
            print(
                f"headstart serve: {field + ': ' if field else ''}{detail['msg'].removeprefix('Value error, ')}",
                file=sys.stderr,
            )
        return 2
    keep_few_primitives()  # in workers, too, which have the server's environment
    keep_few_arenas()
    with arrow_by_malloc():
        from headstart_server.composition import serve  # torch and transformers: seconds
    leave_imports_alone()

    configure_logs(json_lines=settings.log_json, level=settings.log_level)
    tracing.configure()
    try:
        asyncio.run(serve(settings))
        tracing.flush()
    except HeadstartError as error:
        print(f"headstart serve: {error.message}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
