"""Pretrained text encoders: transformers models with their tokenizer and pooling."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.memory import ran_out_of_memory
from headstart_server.core.reasons import Reason
from headstart_server.encoders.architecture_sharing import shares_batches
from headstart_server.encoders.batch_sharing import BatchSharing, UnsteadyError, known_sharing, measure_sharing
from headstart_server.encoders.catalog import AUTO_TRANSFORMER, EncoderType
from headstart_server.encoders.deferred import DeferredEncoder, names_in_files, names_of_part, without_parameters
from headstart_server.encoders.model_config import UnreadableConfigError, told_as
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text_encoder import TextEncoder as TextEncoder
from headstart_server.encoders.text_models import (
    NoTextEncoderError,
    class_config,
    encoder_part,
    model_limit,
    model_options,
    on_meta,
    read_config,
    reads_left_to_right,
    text_model_class,
)
from headstart_server.encoders.text_shape import text_shape

if TYPE_CHECKING:
    from headstart_server.encoders.text_preparation import TextPreparation

_TRAINING_CHANGES = 0.05


def dimension_of(source: ModelSource, reduction: str = "mean") -> int:
    """Width of the source's embeddings. Raises NoTextEncoderError where it is no text encoder."""
    shape = text_shape(read_config(source))
    return shape.pooled if reduction == "cls_pooled" else shape.width


def check_source(source: ModelSource, encoder_type: EncoderType, reduction: str, field: str) -> None:
    """Raises InvalidInputError naming `field` where the weights do not suit the encoder's type or pooling."""
    try:
        config = read_config(source)
    except UnreadableConfigError as error:
        raise invalid(field, f"{source.name!r}: config.json cannot be read: {error}") from error
    if encoder_type.name != AUTO_TRANSFORMER and config.model_type != encoder_type.model_type:
        raise invalid(
            field,
            f"{source.name!r} is a {config.model_type} model, not {encoder_type.model_type}; "
            f"use type {AUTO_TRANSFORMER}",
        )
    try:
        shape = text_shape(config)
    except NoTextEncoderError as error:
        raise _no_encoder(source, config.model_type, error, field) from error
    if model_limit(config) < 1:
        raise invalid(field, f"{source.name!r}: config.json leaves no position for a token; correct its positions")
    if reduction == "cls_pooled" and not shape.pooled:
        raise invalid(field, f"{source.name!r} has no pooler; use reduce_output cls or mean")
    if reduction == "cls" and reads_left_to_right(config):
        raise _blind_class(source, field)


def require_own_tokenizer(source: ModelSource, tokenizer: Any, field: str) -> None:
    """Raises InvalidInputError naming `field` where a tokenizer has more tokens than the model has vectors for.

    Tokens that were added to a tokenizer do not count: a text does not hold them by chance.
    """
    tokens = text_shape(read_config(source)).tokens
    if tokens and tokenizer.vocab_size > tokens:
        counts = f"its tokenizer has {tokenizer.vocab_size} tokens, its weights {tokens}"
        raise invalid(field, f"{source.name!r}: {counts}; give the model its own tokenizer")


def _no_encoder(source: ModelSource, model_type: str, error: ValueError, field: str) -> InvalidInputError:
    return invalid(field, f"{source.name!r} ({model_type}) is no text encoder: {error}", reason=Reason.NO_TEXT_ENCODER)


def _blind_class(source: ModelSource, field: str) -> InvalidInputError:
    return invalid(
        field.replace("pretrained_model_name_or_path", "reduce_output"),
        f"'cls' is the first token's vector, but {source.name!r} reads from left to right, so that its first token has "
        "seen nothing of the text; use last or mean",
    )


def load_encoder(source: ModelSource, reduction: str, *, use_pretrained: bool, field: str) -> TextEncoder:
    """The model in float32, in evaluation mode; random weights of the same architecture unless `use_pretrained`.

    Raises InvalidInputError naming `field` where the weights cannot be read, or where the model turns out to give a
    text another embedding each time, or vectors of tokens that know nothing of one another.
    """
    config = read_config(source)
    try:
        kind = text_model_class(config)
    except NoTextEncoderError as error:
        raise _no_encoder(source, config.model_type, error, field) from error
    own = class_config(kind, config)
    options = model_options(kind, reduction)
    missing: set[str] = set()
    try:
        if use_pretrained:
            model, report = kind.from_pretrained(
                source.folder,
                config=own,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
            missing = set(report["missing_keys"])
        else:
            model = kind._from_config(own, dtype=torch.float32, **options)
    except Exception as error:  # transformers and the classes of its models raise whatever they stumble over
        if ran_out_of_memory(error):
            raise
        raise invalid(field, f"{source.name!r}: the weights cannot be loaded: {str(error)[:300]}") from error
    encoder = _whole(model, config, reduction)
    _require_weights(source, {name for name in missing if encoder.reads(name)}, reduction, field)
    return _with_sharing(encoder, source, field, use_pretrained=use_pretrained)


def _whole(model: Any, config: Any, reduction: str) -> TextEncoder:
    """The encoder of a model that has been made."""
    part, prefix = encoder_part(model)
    names = names_of_part(model, part) if prefix else {}
    shape = text_shape(config)
    dimension = shape.pooled if reduction == "cls_pooled" else shape.width
    return TextEncoder(part, reduction, dimension, model_limit(config), config=model.config, names=names).eval()


def _with_sharing(encoder: TextEncoder, source: ModelSource, field: str, *, use_pretrained: bool) -> TextEncoder:
    """The encoder with what is measured of its batches; raises InvalidInputError where it suits no text."""
    config: Any = encoder.config

    def measure() -> BatchSharing:
        read = encoder if use_pretrained else _as_trained(encoder)
        pooled = read.pooled if read.reduction == "cls_pooled" else None
        with told_as(UnsteadyError, "it cannot read a text alone"):
            return measure_sharing(read.states, read.vocabulary, read.padding, read.positions, pooled)

    try:
        sharing = (
            known_sharing(source.weights_digest, encoder.reduction == "cls_pooled", measure)
            if use_pretrained
            else measure()
        )
    except UnsteadyError as error:
        raise _no_encoder(source, config.model_type, error, field) from error
    if encoder.reduction != "cls_pooled" and sharing.width != encoder.dimension:
        raise invalid(
            field,
            f"{source.name!r} gives vectors {sharing.width} wide, not {encoder.dimension} as its config.json says",
        )
    encoder.sharing = sharing
    return encoder


def _as_trained(encoder: TextEncoder) -> TextEncoder:
    """A copy whose biases and norms are no longer the zeros and ones that training begins with."""
    trained = copy.deepcopy(encoder)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draw) * _TRAINING_CHANGES)
    return trained


def require_seeing_class(encoder: TextEncoder, source: ModelSource, field: str) -> None:
    """Raises InvalidInputError where an embedding is the vector of a first token that was measured to see nothing."""
    if encoder.pooling == "cls" and encoder.sharing.causal:
        raise _blind_class(source, field)


def defer_encoder(source: ModelSource, reduction: str) -> DeferredEncoder | None:
    """The encoder with its parameters yet to be read; None where that does not suit it.

    Files may hold the parameters in another form, and padding may change embeddings: then a batch takes several passes.
    """
    config = read_config(source)
    kind = text_model_class(config)
    if not shares_batches(kind, class_config(kind, config)):
        return None  # read whole, so that its own weights are measured
    with without_parameters():
        model = kind._from_config(class_config(kind, config), dtype=torch.float32, **model_options(kind, reduction))
    names = names_in_files(model, source.folder)
    if names is None:
        return None
    encoder = _whole(model, config, reduction)
    return DeferredEncoder(encoder, source.folder, names_of_part(model, encoder.model, names))


def empty_encoder(source: ModelSource, reduction: str) -> TextEncoder:
    """The encoder without weights, on the meta device: what its layers are. For any number of threads."""
    config = read_config(source)
    kind = text_model_class(config)
    return _whole(on_meta(kind, class_config(kind, config), model_options(kind, reduction)), config, reduction)


def _require_weights(source: ModelSource, missing: set[str], reduction: str, field: str) -> None:
    """transformers draws weights that the files lack at random: no two loads would embed alike."""
    if reduction != "cls_pooled":
        missing = {name for name in missing if not name.startswith("pooler.")}
    if missing:
        names = ", ".join(sorted(missing)[:3])
        hint = "; use reduce_output cls or mean" if reduction == "cls_pooled" else "; give a complete checkpoint"
        raise invalid(field, f"{source.name!r} lacks {len(missing)} weights of its model ({names}, ...){hint}")


def save_text_encoder(folder: Path, encoder: TextEncoder, preparation: TextPreparation) -> None:
    """Saves a fine-tuned encoder whole, in float32, with its tokenizer, in transformers' layout."""
    encoder.save(folder)
    preparation.tokenizer.save_pretrained(folder)
