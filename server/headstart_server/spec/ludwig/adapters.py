"""Spellings of adapters."""

from __future__ import annotations

from headstart_server.spec.ludwig.rewriting import ENCODERS, Spelling, refused, without_effect

_SECTIONS = tuple(f"{encoder}.adapter" for encoder in ENCODERS)
_OTHERS = dict.fromkeys(("adalora", "ia3", "adaption_prompt", "loha", "lokr", "vera", "oft"), "use lora")
_MERGED = "a model keeps its adapter alone, and Predict and exports have it merged"

ADAPTER_SPELLINGS: tuple[Spelling, ...] = tuple(
    Spelling(section, key, meaning, write)
    for section in _SECTIONS
    for key, meaning, write in (
        ("type", "kinds that there are not: refused", refused(_OTHERS)),
        ("bias_type", "no effect if `none`", without_effect("biases stay as they are", "none")),
        ("pretrained_adapter_weights", "no effect unless set", without_effect("it is unset", None)),
        ("postprocessor", "no effect", without_effect(_MERGED)),
    )
)
