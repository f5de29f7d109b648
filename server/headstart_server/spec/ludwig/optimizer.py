"""Spellings of the optimizer: its names and parameters, and the settings of the trainer that stood in it."""

from __future__ import annotations

from headstart_server.spec.ludwig.rewriting import Reading, Section, Spelling, Write, as_type, moved_to, put
from headstart_server.spec.optimizers import OPTIONS

_SAME = {"stochastic_gradient_descent": "sgd", "gd": "sgd", "gradient_descent": "sgd"}
_INSTEAD = {
    "lbfgs": "steps on the whole of the rows are not implemented; use adamw",
    "ftrl": "is not implemented; use adagrad, with trainer.regularization_type: l1 for its sparsity",
    "lamb": "is not implemented; use adamw, with learning_rate_scheduler.warmup_fraction for large batches",
    "lars": "is not implemented; use sgd with momentum, or adamw",
    "lion": "is not implemented; use adamw, with three to ten times its learning rate",
    **{
        f"{paged}{name}{bits}": f"states of 8 bits, or in pages, are not implemented; use {instead}"
        for name, instead in (
            *((name, name) for name in ("adam", "adamw", "sgd", "adagrad", "rmsprop")),
            *((name, "adamw") for name in ("lamb", "lion", "lars")),
        )
        for paged, bits in (("", "_8bit"), ("paged_", ""), ("paged_", "_8bit"))
    },
}
_CLIPPING = {
    "clip_global_norm": "clipglobalnorm",
    "clipglobalnorm": "clipglobalnorm",
    "clipnorm": "clipnorm",
    "clip_norm": "clipnorm",
    "clip_value": "clipvalue",
    "clipvalue": "clipvalue",
}
_BETAS = {"beta1": 0, "beta_1": 0, "beta2": 1, "beta_2": 1}


def _type(section: Section, path: str, reading: Reading) -> None:
    given = section["type"]
    word = given.lower() if isinstance(given, str) else ""
    if word in _INSTEAD:
        reading.refuse(path, f"{given!r}: {_INSTEAD[word]}")
    elif word in _SAME:
        section["type"] = _SAME[word]
        reading.note(path, f"{given!r} read as {_SAME[word]!r}")
    elif word in OPTIONS:
        section["type"] = word


def _learning_rate(section: Section, path: str, reading: Reading) -> None:
    optimizer = section["optimizer"]
    for key in ("lr", "learning_rate"):
        if isinstance(optimizer, dict) and key in optimizer:
            value = optimizer.pop(key)
            if section.get("learning_rate") in (None, "auto"):
                section.pop("learning_rate", None)
            put(section, "", "learning_rate", value, f"{path}.{key}", reading)
            reading.note(f"{path}.{key}", "read as trainer.learning_rate")


def _clipping(section: Section, path: str, reading: Reading) -> None:
    optimizer = section["optimizer"]
    for old, new in _CLIPPING.items():
        if isinstance(optimizer, dict) and old in optimizer:
            value = optimizer.pop(old)
            if value is not None:
                put(section, "gradient_clipping", new, value, f"{path}.{old}", reading)
                reading.note(f"{path}.{old}", f"read as trainer.gradient_clipping.{new}")


def _beta(key: str) -> Write:
    def write(section: Section, path: str, reading: Reading) -> None:
        value, known = section.pop(key), section.get("betas")
        betas = list(known) if isinstance(known, list) and len(known) == 2 else [0.9, 0.999]
        betas[_BETAS[key]] = value
        section["betas"] = betas
        reading.note(path, f"read as betas: {betas}"[:300])

    return write


OPTIMIZER_SPELLINGS: tuple[Spelling, ...] = (
    Spelling("trainer", "optimizer", "a word is its `type`", as_type("optimizer")),
    Spelling("trainer", "optimizer", "`lr`: `trainer.learning_rate`", _learning_rate),
    Spelling("trainer", "optimizer", "`clip_global_norm`, ...: `trainer.gradient_clipping`", _clipping, "0.5"),
    Spelling("trainer.optimizer", "type", "other names of `sgd`; what is not implemented is refused", _type),
    *(Spelling("trainer.optimizer", key, "`betas`", _beta(key), "0.5") for key in _BETAS),
    *(Spelling("trainer.optimizer", key, "`eps`", moved_to("", "eps"), "0.5") for key in ("epsilon",)),
)
