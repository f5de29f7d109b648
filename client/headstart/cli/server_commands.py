"""Hand commands that the server package owns over to it, importing it only then."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

import typer

from headstart.cli.options import Json, Name, Server, Token, connect

PASS_ALL = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
PASS_UNKNOWN = {"allow_extra_args": True, "ignore_unknown_options": True}

store = typer.Typer(help="The embedding store: of a server, or of a state directory.", no_args_is_help=True)


def hand_over(module: str, arguments: list[str]) -> None:
    """Run `module.main(arguments)` of the server package and exit with its code.

    Raises:
        ServerMissing: the server or one of its libraries is not installed.
    """
    try:
        run = cast("Callable[[list[str]], int]", importlib.import_module(module).main)
        code = run(arguments)
    except ModuleNotFoundError as error:
        from headstart.errors import ServerMissing

        message = f"this needs the server ({error.name} is missing): pip install 'headstart[server]'"
        raise ServerMissing(message) from None
    raise typer.Exit(code)


def serve(context: typer.Context) -> None:
    """Run a server on this machine; `headstart serve --help` shows its options."""
    hand_over("headstart_server.app", context.args)


def backup(context: typer.Context) -> None:
    """Copy the state directory of a server, which may run (--state-dir DIR), to a new folder."""
    hand_over("headstart_server.jobs.backup", context.args)


def migrate(context: typer.Context) -> None:
    """Bring the schema of a job database (--database-url URL) up to date."""
    hand_over("headstart_server.jobs.migrate", context.args)


def token(context: typer.Context) -> None:
    """Make a token for a server's token file; `headstart token --help` shows its options."""
    hand_over("headstart_server.auth.token_command", context.args)


def _store_command(name: str, context: typer.Context) -> None:
    hand_over("headstart_server.embedding_store.cli", [name, *context.args])


@store.command("verify", context_settings=PASS_ALL)
def verify(context: typer.Context) -> None:
    """Check every block of a state directory's store (--state-dir DIR)."""
    _store_command("verify", context)


@store.command("prune", context_settings=PASS_ALL)
def prune(context: typer.Context) -> None:
    """Shrink a state directory's store to a size (--state-dir DIR)."""
    _store_command("prune", context)


@store.command("compact", context_settings=PASS_ALL)
def compact(context: typer.Context) -> None:
    """Merge small shards of a state directory's store (--state-dir DIR)."""
    _store_command("compact", context)


@store.command("stats", context_settings=PASS_ALL)
def stats(context: typer.Context) -> None:
    """Count what a state directory's store holds (--state-dir DIR)."""
    _store_command("stats", context)


@store.command("list", context_settings=PASS_UNKNOWN)
def list_spaces(context: typer.Context, server: Server = None, token: Token = None, as_json: Json = False) -> None:
    """List embedding spaces: the server's, or with --state-dir DIR a directory's."""
    if any(argument.startswith("--state-dir") for argument in context.args):
        hand_over("headstart_server.embedding_store.cli", ["list", *context.args, *(["--json"] if as_json else [])])
    if context.args:
        raise typer.BadParameter(f"unexpected {' '.join(context.args)}")
    from headstart.cli.showing import show_all

    with connect(server, token, as_json) as client:
        show_all("embedding_spaces", client.embedding_spaces.list(), as_json)


@store.command("delete")
def delete_space(name: Name, server: Server = None, token: Token = None, as_json: Json = False) -> None:
    """Delete an embedding space of the server; jobs that need it encode again."""
    from headstart.cli.showing import show_deleted

    with connect(server, token, as_json) as client:
        client.embedding_spaces.delete(name)
    show_deleted(name, as_json)
