"""Which of transformers' models reads a text, how its configuration must be for that, and how much it reads at once."""

import inspect
from typing import Any

import torch
import transformers
from torch import nn

from headstart_server.encoders.model_config import load_config, told_as
from headstart_server.encoders.sources import ModelSource

UNLIMITED = 1_000_000
"""Tokens that a model reads which has no limit."""

_POSITIONS_AFTER_PADDING = (
    *("camembert", "data2vec-text", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm", "mpnet"),
    *("roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
    *("altclip", "altclip_text_model", "clap", "clap_text_model"),
)
"""Model types whose first position is the padding id + 1, as fairseq counted."""
_LIMITS = ("max_encoder_position_embeddings", "max_position_embeddings", "n_positions", "max_seq_len")
"""Names of the number of positions, the encoder's own first."""

_TEXT_TOWERS = {
    "align": "AlignTextModel",
    "altclip": "AltCLIPTextModel",
    "blip": "BlipTextModel",
    "chinese_clip": "ChineseCLIPTextModel",
    "clap": "ClapTextModel",
    "clip": "CLIPTextModel",
    "clipseg": "CLIPSegTextModel",
    "flava": "FlavaTextModel",
    "groupvit": "GroupViTTextModel",
    "metaclip_2": "MetaClip2TextModel",
    "owlv2": "Owlv2TextModel",
    "owlvit": "OwlViTTextModel",
    "siglip": "SiglipTextModel",
    "siglip2": "Siglip2TextModel",
    "xclip": "XCLIPTextModel",
}
"""The text half of models of image or sound and text, by model type (as a whole model's, or with `_text_model`)."""
_WHOLE_MODELS = {"t5gemma": "T5GemmaModel"}
"""Encoder-decoders whose encoder-only class does not read their configuration."""
_TEXT_ALONE = ("embedding_gemma2", "layoutlmv3")
"""Models of text and more that encode a text alone, too."""
_OTHER_INPUTS = ("pixel", "audio", "input_features", "input_values")
_NO_MODEL = "transformers has no model for it that gives token vectors"
_REFUSED = {
    "gemma4_assistant": "it drafts what another model writes, from that model's states instead of a text",
    "kyutai_speech_to_text": "it reads sound beside a text, in each of its tokens; give a model of text alone",
    "mra": "its attention needs a CUDA kernel that is fetched as code when it runs, and without it attends to nothing",
    "reformer": "it draws its hashes at random whenever it runs, so that a text has another embedding each time",
}
"""Model types that are no encoders here, and why."""
_LAST_IS_CLASS = ("xlnet",)
"""Model types whose class token ends a text."""


_BOTH_WAYS = ("cpmant", "xlnet")
"""Models that write text, but read it in both directions."""


class NoTextEncoderError(ValueError):
    """A model that encodes no text alone; the message says why."""


def read_config(source: ModelSource) -> Any:
    """The source's configuration, so that a model made with it depends on its text alone.

    Raises UnreadableConfigError where there is none that transformers knows.
    """
    config = load_config(source.folder)
    if getattr(config, "attention_type", None) == "block_sparse":
        config.attention_type = "original_full"  # BigBird leaves block-sparse attention for good after a short row
    if getattr(config, "use_cache", False):
        config.use_cache = False  # keys and values are for generating text
    return config


def text_model_class(config: Any) -> Any:
    """The class of transformers that encodes texts with this configuration; raises NoTextEncoderError."""
    kind = config.model_type
    if kind in _REFUSED:
        raise NoTextEncoderError(_REFUSED[kind])
    tower = _TEXT_TOWERS.get(kind.removesuffix("_text_model"))
    if tower is not None and hasattr(transformers, tower):
        return getattr(transformers, tower)
    if kind in _WHOLE_MODELS:
        return getattr(transformers, _WHOLE_MODELS[kind])
    encoding = transformers.MODEL_FOR_TEXT_ENCODING_MAPPING
    mapping = encoding if type(config) in encoding else transformers.MODEL_MAPPING
    if type(config) not in mapping:
        return _class_of_part(config)
    try:
        found = mapping[type(config)]
    except (ValueError, AttributeError, ImportError) as error:  # a few types are listed whose class does not exist
        raise NoTextEncoderError(_NO_MODEL) from error
    found = found[0] if isinstance(found, tuple) else found
    _require_text_alone(found, kind)
    return found


def _class_of_part(config: Any) -> Any:
    """The class for the text part of a configuration that has several, saved by itself."""
    whole = config.model_type.removesuffix("_model").removesuffix("_text")
    encoding = transformers.MODEL_FOR_TEXT_ENCODING_MAPPING
    found = None
    if whole in transformers.CONFIG_MAPPING and transformers.CONFIG_MAPPING[whole] in encoding:
        found = encoding[transformers.CONFIG_MAPPING[whole]]
    if found is None or not isinstance(config, found.config_class):
        raise NoTextEncoderError(_NO_MODEL)
    return found


def _require_text_alone(found: Any, kind: str) -> None:
    try:
        inputs = inspect.signature(found.forward).parameters
    except ImportError as error:
        raise NoTextEncoderError(" ".join(str(error).split())[:200]) from error
    if "input_ids" not in inputs:
        raise NoTextEncoderError("it reads no token ids")
    others = [name for name in inputs if any(part in name for part in _OTHER_INPUTS)]
    if others and kind not in _TEXT_ALONE:
        raise NoTextEncoderError(f"it reads {', '.join(others[:3])} beside a text; give a model of text alone")


def class_config(kind: Any, config: Any) -> Any:
    """The part of a configuration that a class of transformers takes: all of it, or that of its text half.

    Raises NoTextEncoderError where it has several.
    """
    expected = kind.config_class
    if expected is None or isinstance(config, expected):
        return config
    with told_as(NoTextEncoderError, "its configuration names no single model of text"):
        part = config.get_text_config()
    if not isinstance(part, expected):
        part = getattr(config, "text_config", part)
    return part


def model_options(kind: Any, reduction: str) -> dict[str, bool]:
    """Arguments that leave out a pooler which nobody reads."""
    pooled = reduction == "cls_pooled" or "add_pooling_layer" not in inspect.signature(kind.__init__).parameters
    return {} if pooled else {"add_pooling_layer": False}


def encoder_part(model: Any) -> tuple[nn.Module, str]:
    """What encodes a text, and the beginning of its names in the model: the encoder of an encoder-decoder, else all."""
    if not getattr(model.config, "is_encoder_decoder", False) or not hasattr(model, "get_encoder"):
        return model, ""
    part: nn.Module = model.get_encoder()
    prefix = next((name for name, module in model.named_modules() if module is part and name), "")
    return (part, f"{prefix}.") if prefix else (model, "")


def takes_mask(model: nn.Module) -> bool:
    """Whether the model's forward pass knows an attention mask; others would swallow it."""
    return "attention_mask" in inspect.signature(model.forward).parameters


def reads_left_to_right(config: Any) -> bool:
    """Whether a token sees only what is before it, as in models that write text."""
    if config.model_type.removesuffix("_text_model") in ("clip", "clipseg", "metaclip_2", "owlvit", "owlv2", "xclip"):
        return True
    if getattr(config, "use_bidirectional_attention", None) or getattr(config, "is_decoder", None) is False:
        return False
    causal = type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING
    masked = type(config) in transformers.MODEL_FOR_MASKED_LM_MAPPING
    return causal and not masked and not config.is_encoder_decoder and config.model_type not in _BOTH_WAYS


def pooled_as(config: Any, reduction: str) -> str:
    """The reduction that takes the class token where the model has it."""
    return "last" if reduction == "cls" and config.model_type in _LAST_IS_CLASS else reduction


def model_limit(config: Any) -> int:
    """Longest sequence in tokens that the positions allow."""
    text = config.get_text_config() if config.model_type in _TEXT_TOWERS else config
    positions = next((value for name in _LIMITS if (value := getattr(text, name, None))), None)
    if not positions or positions < 0:
        return UNLIMITED
    after = config.model_type in _POSITIONS_AFTER_PADDING
    if config.model_type == "esm":
        after = getattr(config, "position_embedding_type", "absolute") == "absolute"
    return int(positions) - (int(text.pad_token_id or 0) + 1 if after else 0)


def on_meta(kind: Any, config: Any, options: dict[str, bool]) -> nn.Module:
    """The model without memory for its parameters or buffers, in evaluation mode. For any number of threads."""
    with torch.device("meta"):
        made: nn.Module = kind._from_config(config, **options)
    return made.eval()
