"""Spellings of the trainer's batches: sizes that follow from others, and sizes that grow."""

from __future__ import annotations

from typing import Any

from headstart_server.spec.ludwig.rewriting import Reading, Section, Spelling, put

_GROWTH = "increase_batch_size"
_GROWTH_KEYS = (
    f"{_GROWTH}_on_plateau",
    *(f"{_GROWTH}_on_plateau_{part}" for part in ("patience", "rate", "max")),
    *(f"{_GROWTH}_eval_{part}" for part in ("metric", "split")),
)


def _workers(values: Section) -> int:
    """Of a spec: `num_workers` of its backend, at most where it is a range."""
    backend: Any = values.get("backend")
    trainer = backend.get("trainer") if isinstance(backend, dict) and backend.get("type") == "ray" else None
    count = trainer.get("num_workers") if isinstance(trainer, dict) else 1
    return _whole(count.get("max") if isinstance(count, dict) else count) or 1


def _whole(value: Any) -> int | None:
    """The value where it is a whole number above 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _effective(section: Section, path: str, reading: Reading) -> None:
    """Rows of a step = rows of a batch * batches of a step * workers: what is not given of the three follows."""
    trainer, path = section["trainer"], f"{path}.effective_batch_size"
    if not isinstance(trainer, dict) or "effective_batch_size" not in trainer:
        return
    rows = trainer.pop("effective_batch_size")
    if rows in (None, "auto"):
        return
    if not _whole(rows):
        return reading.refuse(path, f"{str(rows)[:80]!r} must be a whole number above 0, or auto")
    size, batches = _whole(trainer.get("batch_size")), _whole(trainer.get("gradient_accumulation_steps"))
    missing = "gradient_accumulation_steps" if size else "batch_size"
    known = (size or batches or 1) * _workers(section)
    if rows % known:
        return reading.refuse(path, f"{rows} is no multiple of {known}, the rows that a step has of what else is given")
    if trainer.get(missing) == "auto":
        trainer.pop(missing)
    put(trainer, "", missing, rows // known, path, reading)
    reading.note(path, f"read as {missing}: {rows // known}")


def _growth(section: Section, path: str, reading: Reading) -> None:
    trainer = section["trainer"]
    if not isinstance(trainer, dict) or not any(key in trainer for key in _GROWTH_KEYS):
        return
    if trainer.get(_GROWTH_KEYS[0]):
        return reading.refuse(
            f"{path}.{_GROWTH_KEYS[0]}",
            "batches that grow are not implemented; use learning_rate_scheduler.reduce_on_plateau, with 1 / rate as "
            "reduce_on_plateau_rate: less noise in the same proportion (Smith et al. 2018, arXiv:1711.00489)",
        )
    for key in _GROWTH_KEYS:
        if key in trainer:
            trainer.pop(key)
            reading.note(f"{path}.{key}", "has no effect: batches do not grow")


def _evaluation(section: Section, path: str, reading: Reading) -> None:
    if section["eval_batch_size"] == 0 and not isinstance(section["eval_batch_size"], bool):
        section.pop("eval_batch_size")
        reading.note(path, "0 read as auto")


BATCH_SPELLINGS: tuple[Spelling, ...] = (
    Spelling("", "trainer", "`effective_batch_size`: `batch_size` or `gradient_accumulation_steps`", _effective, "0.8"),
    Spelling("", "trainer", "`increase_batch_size_on_plateau` and its keys: no effect if 0", _growth),
    Spelling("trainer", "eval_batch_size", "0: auto", _evaluation),
)
