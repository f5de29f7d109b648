"""Names of models where no alias is asked for."""

from __future__ import annotations

from typing import Any

from headstart_server.service.model_names import ModelNames

NOBODY: Any = None


def plain_names() -> ModelNames:
    """For ids alone: whoever asks for an alias fails."""
    return ModelNames(NOBODY, NOBODY)
