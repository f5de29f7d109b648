"""The encoder types a spec may name, and where their weights come from unless it says so."""

from dataclasses import dataclass
from functools import cache

from headstart_server.core.errors import invalid
from headstart_server.core.reasons import Reason
from headstart_server.core.suggest import choices
from headstart_server.encoders.torchvision_models import architectures

AUTO_TRANSFORMER = "auto_transformer"


@dataclass(frozen=True)
class EncoderType:
    """One value of `encoder.type`."""

    name: str
    feature_types: tuple[str, ...]
    pretrained: bool = False
    default_model: str = ""
    """Hub name of the weights taken where the spec names none."""
    model_type: str = ""
    """transformers' `config.model_type`, checked against the weights of a named family."""
    variants: tuple[str, ...] = ()
    """Values of `encoder.model_variant`, the default first."""


def _text(name: str, default_model: str, model_type: str | None = None) -> EncoderType:
    return EncoderType(name, ("text",), True, default_model, name if model_type is None else model_type)


_TYPES = (
    EncoderType(AUTO_TRANSFORMER, ("text", "image"), True),
    _text("albert", "albert/albert-base-v2"),
    _text("bert", "google-bert/bert-base-uncased"),
    _text("camembert", "almanach/camembert-base"),
    _text("ctrl", "Salesforce/ctrl"),
    _text("deberta", "microsoft/deberta-v3-base", "deberta-v2"),
    _text("distilbert", "distilbert/distilbert-base-uncased"),
    _text("electra", "google/electra-small-discriminator"),
    _text("flaubert", "flaubert/flaubert_base_cased"),
    _text("gpt", "openai-community/openai-gpt", "openai-gpt"),
    _text("gpt2", "openai-community/gpt2"),
    _text("longformer", "allenai/longformer-base-4096"),
    _text("modernbert", "answerdotai/ModernBERT-base"),
    _text("mt5", "google/mt5-base"),
    _text("roberta", "FacebookAI/roberta-base"),
    _text("t5", "google-t5/t5-small"),
    _text("xlm", "FacebookAI/xlm-mlm-en-2048"),
    _text("xlmroberta", "FacebookAI/xlm-roberta-base", "xlm-roberta"),
    _text("xlnet", "xlnet/xlnet-base-cased"),
    EncoderType("passthrough", ("number", "binary", "vector")),
    EncoderType("dense", ("number", "binary", "vector", "category")),
    EncoderType("onehot", ("category",)),
    EncoderType("ordinal", ("category",)),
    EncoderType("embed", ("set",)),
    EncoderType("multihot", ("set",)),
)

_LUDWIG_NAMES = {"swin_transformer": "swin"}
"""Ludwig's names of families that are called otherwise here."""

DEFAULT_TYPES = {
    "text": AUTO_TRANSFORMER,
    "image": "mobilenetv2",
    "number": "passthrough",
    "binary": "passthrough",
    "vector": "passthrough",
    "category": "dense",
    "set": "embed",
}
INDICATOR_TYPES = DEFAULT_TYPES | {"category": "onehot", "set": "multihot"}
"""Of heads that take no steps, for which no encoder learns."""


@cache
def encoder_types() -> tuple[EncoderType, ...]:
    """Every encoder type; those of images are the families of torchvision's registry."""
    families = (
        EncoderType(name, ("image",), True, variants=tuple(item.variant for item in items))
        for name, items in architectures().items()
    )
    return (*_TYPES, *families)


def encoder_type(name: str, feature_type: str, field: str) -> EncoderType:
    """The encoder type of that name for that feature type; raises InvalidInputError naming `field`."""
    # The families of torchvision's registry are all for images: nobody else waits for its import.
    types = encoder_types() if feature_type == "image" else _TYPES
    suited = {item.name: item for item in types if feature_type in item.feature_types}
    name = _LUDWIG_NAMES.get(name, name)
    if name not in suited:
        message = f"{name[:80]!r} is no encoder for {feature_type} features{choices(name, suited, 'known')}"
        raise invalid(field, message, reason=Reason.UNKNOWN_ENCODER)
    return suited[name]
