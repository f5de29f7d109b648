"""JSON over HTTPS from an issuer of tokens: bounded in size and time, and from nowhere else than asked for."""

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

_SECONDS = 10.0
_MOST_BYTES = 1 << 20
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


class FetchError(Exception):
    """Nothing was had; the text says why."""


def fetched_json(url: str) -> dict[str, Any]:
    """The JSON object at a URL; raises FetchError."""
    if not is_allowed(url):
        raise FetchError(f"{url} is no https:// address")
    try:
        with _OPENER.open(url, timeout=_SECONDS) as answer:
            body = answer.read(_MOST_BYTES + 1)
        found = json.loads(body) if len(body) <= _MOST_BYTES else None
    except (OSError, HTTPException, ValueError, RecursionError) as error:
        raise FetchError(f"{url}: {_brief(error)}") from error
    if not isinstance(found, dict):
        raise FetchError(f"{url} answered something else than a JSON object of at most {_MOST_BYTES:,} bytes")
    return found


def is_allowed(url: str) -> bool:
    """Whether nobody on the way can change what is answered: HTTPS, or this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS)
    )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An answer that names another address is a failure: it may name one that is not to be trusted."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Never follows."""


def _opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _NoRedirects(),
    ):
        opener.add_handler(handler)
    return opener


_OPENER = _opener()


def _brief(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
