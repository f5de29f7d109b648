"""`headstart models`: what people say of models, and the aliases that name them."""

from __future__ import annotations

from typing import Annotated

import typer

from headstart.cli.options import Json, Model, Server, Token, connect
from headstart.cli.resources import collection

Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="NAME@ALIAS, such as sentiment@production.")]


def models() -> typer.Typer:
    """Return `headstart models`."""
    app = collection("models", "published models")

    @app.command("update")
    def update(
        model: Model,
        name: Annotated[str | None, typer.Option("--name", help="A name for people.")] = None,
        description: Annotated[str | None, typer.Option("--description", help="What people say of it.")] = None,
        label: Annotated[
            list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="All its labels; may be repeated.")
        ] = None,
        server: Server = None,
        token: Token = None,
        as_json: Json = False,
    ) -> None:
        """Change what people say of a model; what is not given stays."""
        from headstart.cli.showing import show

        labels = dict(map(_label, label)) if label else None
        with connect(server, token, as_json) as client:
            show(client.models.update(model, display_name=name, description=description, labels=labels), as_json)

    app.add_typer(_aliases(), name="alias")
    return app


def _aliases() -> typer.Typer:
    app = typer.Typer(help="Names that are given to one model after another.", no_args_is_help=True)

    @app.command("set")
    def set_alias(
        alias: Alias,
        model: Model,
        expected: Annotated[
            str, typer.Option("--expect", metavar="MODEL", help="Only if it names this model by now.")
        ] = "",
        server: Server = None,
        token: Token = None,
        as_json: Json = False,
    ) -> None:
        """Have an alias name a model."""
        from headstart.cli.json_lines import print_json

        with connect(server, token, as_json) as client:
            found = client.models.set_alias(alias, model, expected)
        print_json(found) if as_json else print(f"{found.name} names {found.model}")

    @app.command("list")
    def list_all(
        model: Annotated[str, typer.Option("--model", help="Those of one model.")] = "",
        server: Server = None,
        token: Token = None,
        as_json: Json = False,
    ) -> None:
        """List aliases by name."""
        from headstart.cli.showing import show_all

        with connect(server, token, as_json) as client:
            show_all("aliases", client.models.aliases(model), as_json)

    @app.command("delete")
    def delete(alias: Alias, server: Server = None, token: Token = None, as_json: Json = False) -> None:
        """Delete an alias; its model stays."""
        from headstart.cli.showing import show_deleted

        with connect(server, token, as_json) as client:
            client.models.delete_alias(alias)
        show_deleted(alias, as_json)

    return app


def _label(given: str) -> tuple[str, str]:
    key, found, value = given.partition("=")
    if not found:
        raise typer.BadParameter(f"{given!r} is no label; write KEY=VALUE", param_hint="--label")
    return key, value
