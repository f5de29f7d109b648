"""`headstart predict` and `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli.options import Json, Model, Server, Token, Training, connect, place, upload_progress

DataFile = Annotated[
    Path,
    typer.Option("--data", help="Rows (.csv, .tsv, .jsonl, .parquet, .arrow), an image, or a folder.", exists=True),
]


def predict(
    model: Model,
    data: DataFile,
    output: Annotated[
        Path | None, typer.Option("--output", help="CSV file to write. Default: stdout.", dir_okay=False)
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities/--no-probabilities", help="Add the probability of every class.")
    ] = True,
    top_k: Annotated[int, typer.Option("--top-k", min=0, help="Add this many most probable classes.")] = 0,
    reuse: Annotated[
        str, typer.Option("--embedding-reuse", help="Stored embeddings that may stand in: exact, any or none.")
    ] = "exact",
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave out rows that cannot be read, and number the others.")
    ] = False,
    server: Server = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Predict every row of a file, in its order, or every image of a folder.

    Cells of image columns name files relative to the table's folder. A model of one image reads images without a table,
    too; the column `file` then names them.

    --skip-bad-rows says on stderr which rows are left out, and why; the column `row` numbers the others, from 1.

    Columns: FEATURE_prediction, FEATURE_probability_CLASS, FEATURE_top_K. Sets are joined by commas, vectors by spaces.
    --json prints rows as JSON lines, or with --output a summary.
    """
    from headstart.cli.predict_file import predict_to_file, predict_to_stdout
    from headstart.programs.predict import PredictOptions

    options = PredictOptions(model, probabilities, top_k, reuse)
    with connect(server, token, as_json) as client:
        if output is None:
            predict_to_stdout(client, options, data, as_json, skip_bad_rows)
        else:
            predict_to_file(client, options, data, output, as_json, skip_bad_rows)


def predict_dataset(
    model: Model,
    data: Training,
    output: Annotated[Path, typer.Option("--output", help="Directory to write to.", file_okay=False)],
    columns: Annotated[
        list[str] | None, typer.Option("--column", help="A column of the data that the file has, too. Repeatable.")
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities/--no-probabilities", help="Add the probability of every class.")
    ] = False,
    reuse: Annotated[
        str, typer.Option("--embedding-reuse", help="Stored embeddings that may stand in: exact, any or none.")
    ] = "exact",
    ray_workers: Annotated[
        int, typer.Option(min=0, help="Encode on so many workers of a Ray cluster; 0: in one process of the server.")
    ] = 0,
    server: Server = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Have the server predict a whole data set, however large, and download the file, verified by SHA-256.

    The server goes on where this command is interrupted; called again, it finds what was done. predictions.parquet has
    a row for each row of the data, in its order; the column `error` says why a row could not be read.
    """
    from headstart.cli.export_files import tell_progress, tell_rows

    with connect(server, token, as_json) as client:
        exported = client.predict_to_file(
            model,
            place(data),
            columns=columns or (),
            probabilities=probabilities,
            embedding_reuse=reuse,
            backend={"type": "ray", "trainer": {"num_workers": ray_workers}} if ray_workers else None,
            output_dir=output,
            on_progress=None if as_json else tell_progress,
            on_upload=upload_progress(as_json),
        )
    tell_rows(exported, output, as_json)


def export(
    model: Model,
    output: Annotated[Path, typer.Option("--output", help="Directory to write to.", file_okay=False)],
    format: Annotated[str, typer.Option("--format", help="onnx or torchscript.")] = "onnx",
    head_only: Annotated[bool, typer.Option("--head-only", help="Leave out the encoders; takes embeddings.")] = False,
    server: Server = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Export a model, check it against the live one, and download its files, verified by SHA-256."""
    from headstart.cli.export_files import tell_progress, tell_result

    with connect(server, token, as_json) as client:
        exported = client.export(model, format, head_only, output, on_progress=None if as_json else tell_progress)
    tell_result(exported, output, as_json)
