"""The public keys of an issuer of tokens, by their ids (JSON Web Key Set, RFC 7517)."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import structlog
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from headstart_server import metrics
from headstart_server.auth.fetching import FetchError, fetched_json
from headstart_server.core.errors import FailedPreconditionError, KeysUnavailableError
from headstart_server.core.executors import Executor
from headstart_server.core.reasons import Reason

_log = structlog.get_logger()
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""All of them asymmetric: with a key that verifies, nobody can sign."""
FRESH_SECONDS = 900.0
"""After so long keys are fetched again, so that one that the issuer gave up is forgotten."""
PAUSE_SECONDS = 10.0
"""Between two attempts at the least, whatever key ids callers send."""
_MOST_KEYS = 100
Keys = Mapping[str, PyJWK]


class KeySource(Protocol):
    """Where keys come from."""

    async def of(self, identifier: str) -> PyJWK | None:
        """The key with an id; None where the issuer has none. Raises KeysUnavailableError."""


class IssuedKeys:
    """Keys fetched from the issuer, off the event loop; those that were had stay while it cannot be reached."""

    def __init__(
        self, fetch: Callable[[], Keys], threads: Executor, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch, self._threads, self._clock = fetch, threads, clock
        self._keys: Keys | None = None
        self._tried = self._fetched = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def of(self, identifier: str) -> PyJWK | None:
        """See KeySource. A key that is not known has the keys fetched again, within the bounds."""
        if self._keys is None or identifier not in self._keys:
            await self._refresh()
        elif self._clock() - self._fetched > FRESH_SECONDS:
            self.begin()  # nobody waits for it: the key is at hand
        if self._keys is None:
            raise KeysUnavailableError("the keys of the issuer of tokens cannot be fetched; try again in a while")
        return self._keys.get(identifier)

    async def _refresh(self) -> None:
        self.begin()
        if self._fetching is not None:
            await asyncio.shield(self._fetching)  # others may wait for it, too

    def begin(self) -> None:
        """Fetches in the background, unless somebody does, or has done so a moment ago."""
        if self._fetching is None and self._clock() - self._tried >= PAUSE_SECONDS:
            self._tried = self._clock()
            self._fetching = asyncio.create_task(self._take())

    async def _take(self) -> None:
        try:
            self._keys = await self._threads.run(self._fetch)
            self._fetched = self._clock()
            metrics.RELOAD_SUCCESSFUL.labels("keys").set(1)
        except FetchError as error:
            metrics.RELOAD_SUCCESSFUL.labels("keys").set(0)
            _log.error("the keys of the issuer cannot be fetched; those before stay in use", error=str(error))
        finally:
            self._fetching = None


class FileKeys:
    """Keys of a file, as it is now."""

    def __init__(self, current: Callable[[], Keys]) -> None:
        self._current = current

    async def of(self, identifier: str) -> PyJWK | None:
        """See KeySource."""
        return self._current().get(identifier)


def keys_of_issuer(issuer: str, url: str = "") -> Keys:
    """Fetches keys from a URL, or from where the issuer's discovery document says; raises FetchError."""
    if not url:
        found = fetched_json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise FetchError(f"the discovery document of {issuer} is that of another issuer; mind a slash at the end")
        url = str(found.get("jwks_uri", ""))
    try:
        return keys_in(fetched_json(url))
    except ValueError as error:
        raise FetchError(f"{url}: {error}") from error


def read_keys(path: Path) -> Keys:
    """Reads a file with a key set; raises FailedPreconditionError."""
    try:
        return keys_in(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or str(error).splitlines()[0][:200]
        raise FailedPreconditionError(
            f"oidc_jwks {str(path)!r} cannot be used: {why}; give a JSON Web Key Set, {{'keys': [...]}}",
            reason=Reason.BAD_CREDENTIALS_FILE,
        ) from error


def keys_in(found: Any) -> Keys:
    """The keys of a set that verify signatures of our algorithms, by id; raises ValueError where there is none."""
    listed = found.get("keys") if isinstance(found, dict) else None
    keys = {}
    for item in listed[:_MOST_KEYS] if isinstance(listed, list) else []:
        key = _key(item)
        if key is not None:
            keys[key.key_id or ""] = key
    if not keys:
        raise ValueError(f"its list 'keys' has no public key of {', '.join(ALGORITHMS)}")
    return keys


def _key(item: Any) -> PyJWK | None:
    """A key that verifies signatures; None for any other, which sets may hold as well."""
    if not isinstance(item, dict) or item.get("use", "sig") != "sig" or item.get("kty") == "oct" or "d" in item:
        return None
    try:
        key = PyJWK.from_dict(item)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    return key if key.algorithm_name in ALGORITHMS else None
