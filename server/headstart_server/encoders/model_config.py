"""A model's `config.json` as transformers reads it, and what its classes raise over it, told in one line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transformers

from headstart_server.core.errors import HeadstartError
from headstart_server.core.memory import ran_out_of_memory

_PATH = re.compile(r"(?:/[\w.@+-]+){2,}/?")


class UnreadableConfigError(ValueError):
    """A `config.json` that transformers makes no configuration of; the message names the key where it can."""


def load_config(folder: Path) -> Any:
    """The configuration in a folder. Raises UnreadableConfigError; no code of the folder's own is run."""
    with told_as(UnreadableConfigError):
        return transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


@contextmanager
def told_as(kind: type[ValueError], before: str = "") -> Iterator[None]:
    """Whatever a model's own code raises inside, from AssertionError to ZeroDivisionError, is a `kind` with one line.

    Errors of this product stay what they are, and so does a lack of memory.
    """
    try:
        yield
    except (HeadstartError, kind):
        raise
    except Exception as error:
        # Validation errors of huggingface_hub 2.4 derive from Exception alone
        # (findings/strict_configs_raise_no_value_error.sh).
        if ran_out_of_memory(error):
            raise
        raise kind(f"{before}: {in_one_line(error)}" if before else in_one_line(error)) from error


def in_one_line(error: BaseException) -> str:
    """What an error says, with its kind, without paths, short enough for a message."""
    return f"{type(error).__name__}: {_PATH.sub('...', ' '.join(str(error).split()))[:200]}"
