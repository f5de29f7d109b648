"""`headstart suggest`."""

from __future__ import annotations

from typing import Annotated

import typer

from headstart.cli.options import Json, Server, SuggestedFile, Table, Targets, Token, connect, place, upload_progress


def suggest(
    data: Table,
    target: Targets,
    write: SuggestedFile = None,
    sweep_seconds: Annotated[
        float | None, typer.Option(help="Seconds that a job of the spec may try heads in; 0: none. Default: 60.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Let --write replace a file.")] = False,
    server: Server = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Look at rows and suggest a spec that predicts the target columns: what each column is, and why.

    Prints the spec, with a comment for every choice; --write saves it, and prints what the columns are taken for.
    """
    from headstart.cli.json_lines import print_json
    from headstart.cli.spec_files import check_place, write_spec
    from headstart.cli.tables import print_suggestion

    if write is not None:
        check_place(write, overwrite)
    with connect(server, token, as_json) as client:
        progress = upload_progress(as_json)
        suggestion = client.suggest(place(data), target, on_upload=progress, sweep_seconds=sweep_seconds)
    if write is not None:
        write_spec(write, suggestion.spec_yaml, overwrite)
    if as_json:
        print_json(suggestion)
    elif write is not None:
        print_suggestion(suggestion)
        print(f"{write}: the spec; train with: headstart train {write} --data {data}")
    else:
        print(suggestion.spec_yaml, end="")
