"""`headstart jobs`, `models`, `datasets`, `exports` and `info`: what a server holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli.options import Job, Json, Name, Server, Token, connect, upload_progress
from headstart.cli.wording import export_state, state_name


def collection(kind: str, what: str) -> typer.Typer:
    """Return the commands that every kind of resource has; `kind` names the client's attribute."""
    app = typer.Typer(help=f"{what[0].upper()}{what[1:]}.", no_args_is_help=True)

    @app.command("list", help=f"List {what}, newest first.")
    def list_all(server: Server = None, token: Token = None, as_json: Json = False) -> None:
        from headstart.cli.showing import show_all

        with connect(server, token, as_json) as client:
            show_all(kind, getattr(client, kind).list(), as_json)

    @app.command("get", help="Show one.")
    def get(name: Name, server: Server = None, token: Token = None, as_json: Json = False) -> None:
        from headstart.cli.showing import show

        with connect(server, token, as_json) as client:
            show(getattr(client, kind).get(name), as_json)

    @app.command("delete", help="Delete one; what was made from it stays.")
    def delete(name: Name, server: Server = None, token: Token = None, as_json: Json = False) -> None:
        from headstart.cli.showing import show_deleted

        with connect(server, token, as_json) as client:
            getattr(client, kind).delete(name)
        show_deleted(name, as_json)

    return app


def jobs() -> typer.Typer:
    """Return `headstart jobs`."""
    app = collection("jobs", "training jobs")

    @app.command("cancel")
    def cancel(job: Job, server: Server = None, token: Token = None, as_json: Json = False) -> None:
        """Ask a job to stop; embeddings and checkpoints made so far are kept."""
        from headstart.cli.json_lines import print_json

        with connect(server, token, as_json) as client:
            asked = client.jobs.cancel(job)
        print_json(asked) if as_json else print(f"{asked.name} is asked to stop")

    @app.command("pause")
    def pause(job: Job, server: Server = None, token: Token = None, as_json: Json = False) -> None:
        """Stop a job at its next checkpoint; `resume` has it go on from there."""
        from headstart.cli.json_lines import print_json

        with connect(server, token, as_json) as client:
            asked = client.jobs.pause(job)
        print_json(asked) if as_json else print(f"{asked.name} is {state_name(asked.state)}")

    @app.command("resume")
    def resume(job: Job, server: Server = None, token: Token = None, as_json: Json = False) -> None:
        """Have a paused job go on."""
        from headstart.cli.json_lines import print_json

        with connect(server, token, as_json) as client:
            asked = client.jobs.resume(job)
        print_json(asked) if as_json else print(f"{asked.name} is {state_name(asked.state)}")

    return app


def datasets() -> typer.Typer:
    """Return `headstart datasets`."""
    app = collection("datasets", "uploaded data sets")

    @app.command("upload")
    def upload(
        file: Annotated[Path, typer.Argument(metavar="FILE", help="A file or a folder.", exists=True)],
        server: Server = None,
        token: Token = None,
        as_json: Json = False,
    ) -> None:
        """Upload a file, or the tables and images of a folder, unless the server has their bytes."""
        from headstart.cli.json_lines import print_json
        from headstart.cli.wording import contents

        with connect(server, token, as_json) as client:
            dataset = client.upload_dataset(file, on_upload=upload_progress(as_json))
        print_json(dataset) if as_json else print(f"{dataset.name}: {contents(dataset)}")

    return app


def exports() -> typer.Typer:
    """Return `headstart exports`."""
    app = typer.Typer(help="Exports that wait, run, or have ended within a day.", no_args_is_help=True)

    @app.command("list")
    def list_all(server: Server = None, token: Token = None, as_json: Json = False) -> None:
        """List exports, newest first."""
        from headstart.cli.showing import show_all

        with connect(server, token, as_json) as client:
            show_all("export_jobs", client.export_jobs.list(), as_json)

    @app.command("get")
    def get(name: Name, server: Server = None, token: Token = None, as_json: Json = False) -> None:
        """Show one."""
        from headstart.cli.showing import show

        with connect(server, token, as_json) as client:
            show(client.export_jobs.get(name), as_json)

    @app.command("cancel")
    def cancel(name: Name, server: Server = None, token: Token = None, as_json: Json = False) -> None:
        """End one that waits or runs."""
        from headstart.cli.json_lines import print_json

        with connect(server, token, as_json) as client:
            ended = client.export_jobs.cancel(name)
        print_json(ended) if as_json else print(f"{ended.name} is {export_state(ended.state)}")

    return app


def info(server: Server = None, token: Token = None, as_json: Json = False) -> None:
    """Show the server's version, limits, devices and encoders."""
    from headstart.cli.json_lines import print_json
    from headstart.cli.tables import print_info

    with connect(server, token, as_json) as client:
        found = client.server_info()
    print_json(found) if as_json else print_info(found, client.address)
