"""Writes docs/encoders.md: every text family of transformers, whether it is an encoder here, and why not."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.families.known import reads_no_text

_TEXT = """# Text encoders

Written by `make test-families`, which goes through every model type of transformers with a tiny model of random
weights (biases and padding rows, too, are not zero) and holds its embeddings to those of the plain model, one row at a
time: alone, in the batches of a pass, in batches padded as for GPUs, at its limit, and after a training step. With
`--exports` both exports are compared with the live model, too: a cell without an entry says that this was left out.
So far both were made of {exported} of the {possible} encoders.

| | families |
|---|---|
{counts}

*supported*: rows of any length share a batch. *one length*: padding would change embeddings, so that a batch holds rows
of one exact length, which is measured when an encoder is first used and kept with it; such models are exported with
`head_only`. *refused*: the request answers INVALID_ARGUMENT with the reason. Not listed: model types that read no token
ids, or images and sounds beside them, or that are parts without a model of their own; they are refused, too.
Of {towers} of them the text half is an encoder.

Limits in tokens and least tokens are those of the tiny models: a model's own come from its configuration, and shorter
texts are padded to the least it reads, always alike.

torch {torch}, transformers {transformers}, Python {python}.

## Encoders

| model type | class | rows of a batch | least tokens | left to right | pooler | difference | ONNX | TorchScript |
|---|---|---|---|---|---|---|---|---|
{encoders}

## Formats that do not hold a family

The export is refused with FAILED_PRECONDITION, the reason, and the format that works or, if none does, `head_only`.

| model type | format | reason |
|---|---|---|
{unexported}

## Refused

| model type | reason |
|---|---|
{refused}

## Not checked

The check cannot make a tiny model of these; a model of them is measured when it is used, as every other is.

| model type | reason |
|---|---|
{unbuilt}
"""


def write_table(path: Path, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes the document."""
    items = [found[name] for name in sorted(found)]
    encoders = [item for item in items if item["verdict"] in ("supported", "one length", "alone", "WRONG")]
    refused = [item for item in items if item["verdict"] == "refused"]
    unbuilt = [item for item in items if item["verdict"] == "not built"]
    named = [item for item in refused if not reads_no_text(item)]
    counts = {verdict: sum(item["verdict"] == verdict for item in items) for verdict in ("supported", "one length")}
    counts |= {"alone": sum(item["verdict"] == "alone" for item in items)}
    counts |= {"refused: read no text alone": len(refused) - len(named), "refused for other reasons": len(named)}
    counts |= {"not checked": len(unbuilt), "wrong": sum(item["verdict"] == "WRONG" for item in items)}
    path.write_text(
        _TEXT.format(
            counts="\n".join(f"| {name} | {count} |" for name, count in counts.items()),
            towers=sum("Text" in item["model"] for item in encoders if not item["name"].endswith(("_text", "_model"))),
            torch=torch.__version__,
            transformers=transformers.__version__,
            python=platform.python_version(),
            encoders="\n".join(map(_encoder, encoders)),
            exported=sum(bool(item["onnx"] and item["torchscript"]) for item in encoders),
            possible=len(encoders),
            unexported="\n".join(_unexported(encoders)),
            refused="\n".join(f"| {item['name']} | {_reason(item)} |" for item in named),
            unbuilt="\n".join(f"| {item['name']} | {_reason(item)} |" for item in unbuilt),
        ),
        encoding="utf-8",
    )


def _encoder(item: Mapping[str, Any]) -> str:
    rows = "WRONG: " + "; ".join(item["failures"]) if item["failures"] else item["verdict"]
    rows = {"supported": "any"}.get(rows, rows)
    cells = [item["name"], item.get("model", ""), rows, item.get("shortest", ""), "yes" if item.get("causal") else ""]
    cells += ["yes" if item.get("pooler") else "", f"{item.get('difference', 0):.0e}"]
    cells += [_export(item.get(kind, "")) for kind in ("onnx", "torchscript")]
    return f"| {' | '.join(map(str, cells))} |"


def _export(answer: str) -> str:
    if not answer.startswith("refused"):
        return answer
    return "head_only" if "head_only" in answer else "refused"


def _unexported(encoders: list[Mapping[str, Any]]) -> Iterator[str]:
    for item in encoders:
        for kind in ("onnx", "torchscript"):
            if _export(item.get(kind, "")) == "refused":
                reason = item[kind].partition(": ")[2].partition(": ")[2]
                yield f"| {item['name']} | {kind} | {' '.join(reason.split()).replace('|', '/')} |"


def _reason(item: Mapping[str, Any]) -> str:
    text = str(item.get("reason", "")).split("is no text encoder: ")[-1]
    return " ".join(text.split())[:200].replace("|", "/").replace("<", "").replace(">", "")
