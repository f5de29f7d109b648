"""What a model that cannot be exported in one way is told: why, and what does work."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from headstart_server.core.errors import HeadstartError, NotExportableError
from headstart_server.core.memory import ran_out_of_memory

_log = structlog.get_logger()
NAMES = {"onnx": "ONNX", "torchscript": "TorchScript"}
_PATH = re.compile(r"(?:/[\w.@+-]+){2,}/?")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@contextmanager
def refusals_named(file_format: str) -> Iterator[None]:
    """Whatever fails inside is NotExportableError with its first cause; a lack of memory or disk stays what it is."""
    try:
        yield
    except HeadstartError:
        raise
    except OSError:
        raise
    except Exception as error:
        if ran_out_of_memory(error):
            raise
        message = f"this model cannot be exported to {NAMES[file_format]}: {cause_of(error)}"
        raise NotExportableError(message) from error


def with_way_out(error: NotExportableError, file_format: str, head_only: bool, works: Callable[[str], bool]) -> str:
    """The refusal with what to do instead; `works` tries a format."""
    if head_only:
        return error.message
    others = [name for name in NAMES if name != file_format and works(name)]
    if others:
        return f"{error.message}; export to {others[0]} instead, which works for it"
    return (
        f"{error.message}; no other format holds it either: export the head alone (head_only), which takes the "
        "embeddings that Embed gives"
    )


def attempted(attempt: Callable[[], object]) -> bool:
    """Whether something can be exported."""
    try:
        attempt()
    except Exception as error:  # noqa: BLE001 - an alternative that fails in any way is none
        _log.info("the other format does not hold the model either", reason=cause_of(error))
        return False
    return True


def cause_of(error: BaseException) -> str:
    """What went wrong at first, in one line without paths: exporters wrap it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in _COLOUR.sub("", str(error)).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("The following operation failed", "Traceback", "File "))]
    said = [line for line in said if line != "RuntimeError:"]
    if not said:
        return type(error).__name__
    found = _PATH.sub("...", said[-1] if lines[0].startswith(("The following", "Traceback")) else said[0])
    return f"{type(error).__name__}: {found.removeprefix(f'{type(error).__name__}: ')[:300]}"
