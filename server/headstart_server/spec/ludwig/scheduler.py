"""Spellings of the learning rate's scheduler: its keys stood on the trainer until 0.7, and its decay was a bool."""

from __future__ import annotations

from headstart_server.spec.ludwig.rewriting import Reading, Section, Spelling, Write, put
from headstart_server.spec.scheduler_rules import OF_DECAY, OF_PLATEAU

_SECTION = "learning_rate_scheduler"
_MOVED = {
    "decay": "decay",
    "decay_rate": "decay_rate",
    "decay_steps": "decay_steps",
    "staircase": "staircase",
    "learning_rate_warmup_epochs": "warmup_evaluations",
    "reduce_learning_rate_on_plateau": "reduce_on_plateau",
    "reduce_learning_rate_on_plateau_patience": "reduce_on_plateau_patience",
    "reduce_learning_rate_on_plateau_rate": "reduce_on_plateau_rate",
    "reduce_learning_rate_eval_metric": "reduce_eval_metric",
    "reduce_learning_rate_eval_split": "reduce_eval_split",
    **{key: key for key in ("reduce_on_plateau", *OF_PLATEAU, "warmup_fraction", "warmup_evaluations")},
    **{key: key for key in ("eta_min", "t_0", "t_mult")},
}
_DECAY_OF_BOOL = {True: "exponential", False: "constant"}


def _moved(key: str) -> Write:
    def write(section: Section, path: str, reading: Reading) -> None:
        value = section.pop(path.rpartition(".")[2])
        if isinstance(value, bool) and key == "decay":
            value = _DECAY_OF_BOOL[value]
        put(section, _SECTION, key, value, path, reading)
        reading.note(path, f"read as {_SECTION}.{key}")

    return write


def _disabled(section: Section, path: str, reading: Reading) -> None:
    if section[_SECTION] is None:
        section[_SECTION] = {"decay": "constant"}
        reading.note(path, "null read as decay: constant, as in Ludwig")


def _decay(section: Section, path: str, reading: Reading) -> None:
    given = section["decay"]
    if given is None or isinstance(given, bool):
        section["decay"] = _DECAY_OF_BOOL[bool(given)]
        reading.note(path, f"{str(given).lower()} read as {section['decay']}, as in Ludwig")


def _times(section: Section, path: str, reading: Reading) -> None:
    """How many times was once written as a float."""
    del path, reading
    given = section["reduce_on_plateau"]
    if isinstance(given, float) and given.is_integer():
        section["reduce_on_plateau"] = int(given)


def _only_with_decay(section: Section, path: str, reading: Reading) -> None:
    key = path.rpartition(".")[2]
    if section.get("decay") != OF_DECAY[key]:
        section.pop(key)
        reading.note(path, f"has no effect without decay: {OF_DECAY[key]}")


def _only_with_cycles(section: Section, path: str, reading: Reading) -> None:
    if section.get("t_0") is None:
        section.pop("t_mult")
        reading.note(path, "has no effect without decay: cosine and t_0")


def _only_with_plateau(section: Section, path: str, reading: Reading) -> None:
    if not section.get("reduce_on_plateau"):
        section.pop(path.rpartition(".")[2])
        reading.note(path, "has no effect without reduce_on_plateau")


SCHEDULER_SPELLINGS: tuple[Spelling, ...] = (
    Spelling("trainer", _SECTION, "`null`: `decay: constant`", _disabled),
    *(Spelling("trainer", old, f"`{_SECTION}.{new}`", _moved(new), "0.7") for old, new in _MOVED.items()),
    *(
        Spelling(f"trainer.{_SECTION}", key, meaning, write)
        for key, meaning, write in (
            ("decay", "`true`: `exponential`; `false` and `null`: `constant`", _decay),
            ("reduce_on_plateau", "a whole number", _times),
            *((key, f"no effect without `decay: {decay}`", _only_with_decay) for key, decay in OF_DECAY.items()),
            ("t_mult", "no effect without `t_0`", _only_with_cycles),
            *((key, "no effect without `reduce_on_plateau`", _only_with_plateau) for key in OF_PLATEAU),
        )
    ),
)
