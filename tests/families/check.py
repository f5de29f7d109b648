"""Checks one text family of transformers: its embeddings against the plain model's, one row at a time.

Usage: python -m tests.families.check    (reads names of families line by line, answers each with a line of JSON)
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import transformers
from headstart_server.core.errors import FailedPreconditionError, InvalidInputError
from headstart_server.encoders import product_attention
from headstart_server.encoders.catalog import encoder_type
from headstart_server.encoders.passes import encode_batches
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text import check_source, dimension_of, load_encoder, require_seeing_class
from headstart_server.encoders.text_encoder import TextEncoder
from headstart_server.encoders.text_models import (
    UNLIMITED,
    NoTextEncoderError,
    class_config,
    on_meta,
    text_model_class,
)
from headstart_server.encoders.text_preparation import TextPreparation
from headstart_server.encoders.tokens import TokenColumn
from headstart_server.encoders.tuning import Tuning
from headstart_server.model.ecd import PretrainedInput, Tokens
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn

from tests.families.export import exported_differences
from tests.families.reference import plain_class, random_rows, reference_of, token_vectors
from tests.families.tiny import VOCABULARY, config_classes, perturbed, tiny_config
from tests.support.cuts import wasting

TOLERANCE = 2e-4
"""Of an embedding, relative to the largest of its kind."""
LENGTHS = (1, 2, 3, 4, 5, 9, 13, 20, 9, 13)
_UNFIT = ("RuntimeError", "IndexError", "topk()")
"""Errors of tiny models whose sizes do not fit together: nothing is known of the family."""
CPU = torch.device("cpu")
_AUTO = encoder_type("auto_transformer", "text", "type")


@dataclass
class Findings:
    """What was seen of a family. `verdict` is `supported`, `one length`, `alone`, `refused`, `not built` or `WRONG`."""

    name: str
    model: str = ""
    verdict: str = ""
    reason: str = ""
    shortest: int = 1
    limit: int = 0
    width: int = 0
    difference: float = 0.0
    causal: bool = False
    pooler: bool = False
    onnx: str = ""
    torchscript: str = ""
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


def check(name: str, *, exports: bool = False) -> Findings:
    """All that is asked of a family's encoder."""
    found, started = Findings(name), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        source = saved(name, Path(folder), found)
        if source is not None:
            _check_source(source, found, exports=exports)
    if found.failures:
        found.verdict = "WRONG"
    found.seconds = round(time.monotonic() - started, 1)
    return found


def saved(name: str, folder: Path, found: Findings) -> ModelSource | None:
    """A tiny model of the family in a folder; None where this check cannot make one, or no server would look at it."""
    try:
        text_model_class(config_classes()[name]())
    except NoTextEncoderError as error:
        found.verdict, found.reason = "refused", f"is no text encoder: {error}"
        return None
    except Exception as error:  # noqa: BLE001 - no default configuration; a tiny one is tried
        found.reason = _line(error)
    try:
        config = tiny_config(config_classes()[name])
        kind = plain_class(config)
        found.model = kind.__name__
        own = class_config(kind, config)
        if sum(parameter.numel() for parameter in on_meta(kind, own, {}).parameters()) > 20e6:
            raise ValueError("its configuration has more sizes than are known here")
        model = perturbed(kind(own).float())
        model.save_pretrained(folder)
        config.save_pretrained(folder)
    except Exception as error:  # noqa: BLE001 - a table of some hundred families goes on
        found.verdict, found.reason = "not built", _line(error)
        _ask_at_the_door(name, folder, found)
        return None
    found.reason = ""
    return ModelSource(name, folder)


def _ask_at_the_door(name: str, folder: Path, found: Findings) -> None:
    """What the server says of a family that is not made here, in its usual sizes; only refusals count."""
    (folder / "config.json").write_text(json.dumps({"model_type": name}), encoding="utf-8")
    try:
        check_source(ModelSource(name, folder), _AUTO, "mean", "name")
    except InvalidInputError as error:
        found.verdict, found.reason = "refused", str(error).removeprefix("name: ")[:300]
    except Exception as error:  # noqa: BLE001
        found.failures.append(f"at the door: {_line(error)}")


def _check_source(source: ModelSource, found: Findings, *, exports: bool) -> None:
    try:
        check_source(source, _AUTO, "mean", "name")
        found.width = dimension_of(source)
        encoder = load_encoder(source, "mean", use_pretrained=True, field="name")
    except InvalidInputError as error:
        found.reason = str(error).removeprefix("name: ")[:300]
        found.verdict = "not built" if any(kind in found.reason for kind in _UNFIT) else "refused"
        return
    except Exception as error:  # noqa: BLE001
        found.failures.append(f"loading: {_line(error)}")
        return
    found.verdict = {"padded": "supported"}.get(encoder.sharing.rows, encoder.sharing.rows)
    found.shortest, found.causal = encoder.sharing.shortest, encoder.sharing.causal
    found.limit = 0 if encoder.positions in (None, UNLIMITED) else int(encoder.positions or 0)
    for step in (_check_embeddings, _check_limit, _check_texts, _check_class, _check_training):
        try:
            step(source, encoder, found)
        except Exception as error:  # noqa: BLE001
            found.failures.append(f"{step.__name__.removeprefix('_check_')}: {_line(error)}")
    if exports and not found.failures:
        _check_exports(encoder, found)


def _check_embeddings(source: ModelSource, encoder: TextEncoder, found: Findings) -> None:
    """Alone, in the pass's batches, in batches padded as for GPUs, and all in one."""
    rows, reference = random_rows(LENGTHS, encoder), reference_of(source)
    plain = [token_vectors(reference, row, found.shortest) for row in rows]
    if plain[0].shape[1] != encoder.dimension or found.width != encoder.dimension:
        found.failures.append(f"is {plain[0].shape[1]} wide, not {encoder.dimension}")
        return
    expected = torch.stack([states.mean(0) for states in plain])
    column, scale = TokenColumn.of(rows), float(expected.abs().max())
    ways = {f"waste {waste}": _passed(encoder, column, waste) for waste in (None, 0.0, 1.0)}
    by_products = load_encoder(source, "mean", use_pretrained=True, field="name")
    product_attention.attend_by_products(by_products.model)
    with mock.patch.object(product_attention, "FUSED_TYPES", frozenset()):
        ways |= {f"attention by products, waste {waste}": _passed(by_products, column, waste) for waste in (0.0, 1.0)}
    for multiple in (1, 8, 64):
        ids, mask = column.padded(np.arange(len(rows)), encoder.padding, multiple, encoder.positions)
        with torch.inference_mode():
            ways[f"padded to {multiple}"] = encoder(torch.from_numpy(ids), torch.from_numpy(mask))
    for way, values in ways.items():
        difference = float((values - expected).abs().max()) / scale
        found.difference = max(found.difference, difference)
        if not difference <= TOLERANCE:
            found.failures.append(f"{way}: differs by {difference:.1e}")


def _passed(encoder: TextEncoder, column: TokenColumn, waste: float | None) -> Tensor:
    values = torch.full((len(column), encoder.dimension), float("nan"))
    for rows, embeddings in encode_batches(encoder, column, encoder.padding, CPU, cut=wasting(waste)):
        values[torch.from_numpy(rows)] = torch.from_numpy(embeddings)
    return values


def _check_limit(source: ModelSource, encoder: TextEncoder, found: Findings) -> None:
    """A row as long as the model says it reads."""
    if not 0 < found.limit <= 256:
        return
    row = random_rows((found.limit,), encoder)[0]
    expected = token_vectors(reference_of(source), row, found.shortest).mean(0)
    with torch.inference_mode():
        value = encoder(torch.tensor([row]))[0]
    difference = float((value - expected).abs().max() / expected.abs().max())
    if not difference <= TOLERANCE:
        found.failures.append(f"at the limit of {found.limit}: differs by {difference:.1e}")


def _check_texts(source: ModelSource, encoder: TextEncoder, found: Findings) -> None:
    """An empty text without special tokens, and one far over the limit, whose beginning is read."""
    limit = min(found.limit or 64, 64)
    words = {f"w{index}": index for index in range(min(VOCABULARY, encoder.vocabulary))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="w0")
    (long,) = random_rows((limit,), encoder)
    texts = ["", " ".join(f"w{token}" for token in long * 40), f"w{long[0]}"]
    column = TextPreparation(fast, limit, encoder.padding).tokenize(texts)
    reference = reference_of(source)
    rows = [[encoder.padding], long, long[:1]]
    expected = torch.stack([token_vectors(reference, row, found.shortest).mean(0) for row in rows])
    for waste in (0.0, 1.0):
        difference = (_passed(encoder, column, waste) - expected).abs().amax(1) / expected.abs().max()
        for text, value in zip(("an empty text", "a long text", "one word"), difference.tolist(), strict=True):
            if not value <= TOLERANCE:
                found.failures.append(f"{text}, waste {waste}: differs by {value:.1e}")


def _check_class(source: ModelSource, encoder: TextEncoder, found: Findings) -> None:
    """`cls` is refused where it says nothing; `cls_pooled` is the model's own pooler."""
    try:
        check_source(source, _AUTO, "cls", "name")
        require_seeing_class(load_encoder(source, "cls", use_pretrained=True, field="name"), source, "name")
        if found.causal:
            found.failures.append("cls is taken of a causal model")
    except InvalidInputError:
        if not found.causal:
            found.failures.append("cls is refused of a model that is not causal")
    try:
        check_source(source, _AUTO, "cls_pooled", "name")
    except InvalidInputError:
        return
    found.pooler = True
    pooled = load_encoder(source, "cls_pooled", use_pretrained=True, field="name")
    rows, reference = random_rows((9, 13, 5), encoder), reference_of(source)
    with torch.no_grad():
        expected = [reference(input_ids=torch.tensor([row]), return_dict=True).pooler_output[0] for row in rows]
    difference = float((_passed(pooled, TokenColumn.of(rows), 1.0) - torch.stack(expected)).abs().max())
    if not difference <= TOLERANCE * float(torch.stack(expected).abs().max()):
        found.failures.append(f"cls_pooled: differs by {difference:.1e}")


def _check_training(source: ModelSource, encoder: TextEncoder, found: Findings) -> None:
    """One step on a padded batch; what is saved of it is what is loaded."""
    item = PretrainedInput(encoder.dimension, Tuning.FULL)
    item.restore(load_encoder(source, "mean", use_pretrained=True, field="name"))
    item.train()
    ids, mask = TokenColumn.of(random_rows((9, 13, 5, 9), encoder)).padded(np.arange(4), encoder.padding)
    before = {name: value.clone() for name, value in item.named_parameters()}
    item(Tokens(torch.from_numpy(ids), torch.from_numpy(mask))).square().mean().backward()
    nn.utils.clip_grad_norm_(item.parameters(), 1e-2)
    torch.optim.SGD(item.parameters(), 1.0).step()
    changed = sum(not torch.equal(value, before[name]) for name, value in item.named_parameters())
    if not changed or not all(value.isfinite().all() for value in item.parameters()):
        found.failures.append("training: nothing changes, or not to finite numbers")
    trained = item.encoder.eval()
    assert isinstance(trained, TextEncoder)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        trained.save(Path(folder))
        again = load_encoder(ModelSource("again", Path(folder)), "mean", use_pretrained=True, field="name")
        row = torch.from_numpy(ids[:1, :5])
        if not torch.allclose(again(row), trained(row), atol=1e-5, rtol=1e-4):
            found.failures.append("training: what is loaded is not what was saved")


def _check_exports(encoder: TextEncoder, found: Findings) -> None:
    rows = random_rows((1, 3, 5, 9, 13), encoder)
    for file_format, result in exported_differences(encoder, rows).items():
        if isinstance(result, FailedPreconditionError):
            setattr(found, file_format, f"refused: {str(result)[:160]}")
        elif isinstance(result, Exception):
            found.failures.append(f"{file_format}: {_line(result)}")
        else:
            setattr(found, file_format, f"{result:.0e}")
            if not result <= TOLERANCE:
                found.failures.append(f"{file_format}: differs by {result:.1e}")


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def main() -> None:
    """Answers names on standard input; `NAME exports` checks exports, too."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    for line in sys.stdin:
        name, *options = line.split()
        print(json.dumps(asdict(check(name, exports="exports" in options))), flush=True)


if __name__ == "__main__":
    main()
