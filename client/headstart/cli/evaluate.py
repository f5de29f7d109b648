"""`headstart evaluate`."""

from __future__ import annotations

from headstart.cli.options import Json, Model, Server, Token, Training, connect, place, upload_progress


def evaluate(model: Model, data: Training, server: Server = None, token: Token = None, as_json: Json = False) -> None:
    """Evaluate a model on rows with its output columns: what it answers, beside what is true.

    Prints every metric, what is known of each class, and the rows that are answered worst. Rows that cannot be read are
    left out and told on stderr; rows without a target are left out of that output.
    """
    from headstart.cli.json_lines import print_json
    from headstart.cli.tables import print_evaluation

    with connect(server, token, as_json) as client:
        found = client.evaluate(model, place(data), on_upload=upload_progress(as_json))
    if as_json:
        print_json(found)
    else:
        print_evaluation(found)
