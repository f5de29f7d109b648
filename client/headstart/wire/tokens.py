"""Bearer tokens: given once, or asked for at each call, since those of an issuer end within the hour."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from headstart.errors import InvalidArgument

Token: TypeAlias = "str | Callable[[], str]"


def token_of(given: Token | None) -> Token | None:
    """Return what is given, else HEADSTART_TOKEN, else what is in the file HEADSTART_BEARER_TOKEN_FILE at each call."""
    if callable(given):
        return given
    if token := clean(given or os.environ.get("HEADSTART_TOKEN") or ""):
        return token
    place = os.environ.get("HEADSTART_BEARER_TOKEN_FILE")
    return partial(Path(place).read_text, encoding="utf-8") if place else None


def header_of(token: Token) -> str:
    """Return the value of the authorization header; raises InvalidArgument, or whatever a callable does."""
    return f"Bearer {clean(token() if callable(token) else token)}"


def clean(token: str) -> str:
    """Return a token as a header takes it: files and pipes leave a line feed at its end."""
    token = token.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidArgument("the token holds characters that no token has; give it as `headstart token` printed it")
    return token
