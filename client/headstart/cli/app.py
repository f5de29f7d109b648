"""The tree of commands."""

from __future__ import annotations

import typer

from headstart.cli import models, resources, server_commands
from headstart.cli.evaluate import evaluate
from headstart.cli.predict import export, predict, predict_dataset
from headstart.cli.suggest import suggest
from headstart.cli.train import plan, train, watch

EPILOG = (
    "Exit codes: 0 ok; 1 job failed or unexpected; 2 usage or invalid argument; 3 not found; 4 failed precondition or "
    "exists already; 5 server unavailable; 6 job cancelled; 7 a sink failed; 8 not allowed; 130 interrupted. "
    "Environment: HEADSTART_SERVER, HEADSTART_TOKEN, HEADSTART_BEARER_TOKEN_FILE (read at each call), "
    "HEADSTART_ROOT_CERTIFICATES (PEM; turns TLS on), HEADSTART_TLS=1, "
    "HEADSTART_CLIENT_CERTIFICATE and HEADSTART_CLIENT_KEY (PEM), "
    "HEADSTART_PLAINTEXT_TOKEN=1 (sends the token without TLS)."
)


def build() -> typer.Typer:
    """Return the application."""
    app = typer.Typer(
        help="Fine-tune pretrained encoders from a declarative spec.",
        epilog=EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.command(context_settings=server_commands.PASS_ALL)(server_commands.serve)
    app.command(context_settings=server_commands.PASS_ALL)(server_commands.backup)
    app.command(context_settings=server_commands.PASS_ALL)(server_commands.migrate)
    app.command(context_settings=server_commands.PASS_ALL)(server_commands.token)
    for command in (suggest, train, watch, predict, predict_dataset, evaluate, export, plan):
        app.command(epilog=EPILOG)(command)
    app.add_typer(resources.jobs(), name="jobs")
    app.add_typer(models.models(), name="models")
    app.add_typer(resources.datasets(), name="datasets")
    app.add_typer(resources.exports(), name="exports")
    app.add_typer(server_commands.store, name="store")
    app.command(epilog=EPILOG)(resources.info)
    return app
