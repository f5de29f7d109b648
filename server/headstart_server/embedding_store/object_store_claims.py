"""Claims in an object store, where no locks tell who is alive: by announcing first, and by a beating heart.

Lamport's bakery (A New Solution of Dijkstra's Concurrent Programming Problem, 1974) over files: whoever wants keys
announces them, looks at what others have announced, gives way to tokens below its own and waits for those above to
decide, then holds what is left. It needs an object store in which a listing shows whatever was published before it.
"""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import structlog

from headstart_server.core.errors import HeadstartError
from headstart_server.embedding_store.claims import contained
from headstart_server.embedding_store.key import Keys, pack, unpack
from headstart_server.storage.object_store import ObjectStore

_log = structlog.get_logger()
_POLL_SECONDS = 0.2
_ANNOUNCED, _HELD = b"A", b"H"


class ObjectStoreClaims:
    """The claims on one space, in an object store of its own. A killed process loses its claim after a minute."""

    poll_seconds = 2.0
    beat_seconds = 10.0
    dead_seconds = 60.0  # six beats that did not arrive
    """Time by the object store's clock without a beat after which a claim counts for nothing."""

    def __init__(self, object_store: ObjectStore) -> None:
        self._object_store = object_store

    def living(self) -> int:
        """How many keys are claimed right now."""
        beats, now = self._beats(), self._now()
        held = [self._read(token) for token, beat in beats.items() if now - beat < self.dead_seconds]
        return len(np.unique(np.concatenate([np.empty((0, 2), np.uint64), *(keys for _, keys in held)]), axis=0))

    @contextmanager
    def claim(self, keys: Keys) -> Iterator[npt.NDArray[np.bool_]]:
        """Claims those of `keys` that nobody else has; yields a mask of them. Released on exit."""
        if not len(keys):
            yield np.zeros(0, bool)
            return
        token = secrets.token_hex(8)
        heart = _Heart(self._object_store, token, self.beat_seconds)
        try:
            # announced before anybody is looked at: of two who want a key at once, one at least sees the other
            self._object_store.write(f"{token}.claim", _ANNOUNCED + pack(keys).tobytes())
            # before `_others` looks, for which the own beat is the clock
            heart.beat()
            heart.start()
            mine = self._decided(token, keys)
            # written even where no key is left: lower tokens wait for this decision
            self._object_store.write(f"{token}.claim", _HELD + pack(keys[mine]).tobytes())
            yield mine
        finally:
            # before the files go: a beat that arrives later would write one of them again
            heart.stop()
            try:
                self._object_store.remove(f"{token}.claim", f"{token}.beat")
            except HeadstartError as error:  # it dies by itself, and hides no other error
                _log.warning("a claim could not be removed", error=error.message)

    def _decided(self, token: str, keys: Keys) -> npt.NDArray[np.bool_]:
        """Which of `keys` are nobody else's, once everybody has decided who could want them, too."""
        mine = np.ones(len(keys), bool)
        undecided = self._others(token)
        while undecided:
            waiting = set()
            for other in undecided:
                state, theirs = self._read(other)
                overlap = contained(keys, theirs)
                if state == _ANNOUNCED and other > token and (mine & overlap).any():
                    waiting.add(other)  # it gives way to the lower token once it sees it, and says then what it holds
                else:
                    mine &= ~overlap  # the lower token, or whoever holds keys already, has them
            # newcomers are not added: they announced themselves after this claim, and see it; the dead drop out
            undecided = waiting & self._others(token)
            if undecided:
                time.sleep(_POLL_SECONDS)
        return mine

    def _others(self, token: str) -> set[str]:
        """Tokens of living claims but one's own; what the dead left is removed."""
        beats = self._beats()
        # one's own beat is the object store's clock as of a moment ago: machines' clocks are compared with nobody's
        now = beats.get(token, max(beats.values(), default=0.0))
        dead = {other for other, beat in beats.items() if now - beat >= self.dead_seconds}
        self._object_store.remove(*(f"{other}.{kind}" for other in dead for kind in ("claim", "beat")))
        return beats.keys() - dead - {token}

    def _now(self) -> float:
        """By the object store's clock."""
        name = f"{secrets.token_hex(8)}.clock"
        self._object_store.write(name, b"")
        try:
            return self._object_store.about(name).modified
        finally:
            self._object_store.remove(name)

    def _beats(self) -> dict[str, float]:
        """When each claim was last known to be alive, by the object store's clock."""
        found: dict[str, float] = {}
        for name, stored in self._object_store.files().items():
            token, _, kind = name.partition(".")
            if kind not in ("claim", "beat"):
                continue
            # an announcement counts as a beat: before the first one there is nothing else
            found[token] = max(found.get(token, 0.0), stored.modified)
        return found

    def _read(self, token: str) -> tuple[bytes, Keys]:
        """(state, keys) of a claim; held and without keys where it is gone."""
        try:
            data = self._object_store.read(f"{token}.claim")
        except FileNotFoundError:
            return _HELD, np.empty((0, 2), np.uint64)
        return data[:1], unpack(np.frombuffer(data, np.uint8, offset=1))


class _Heart(threading.Thread):
    """Tells others that a claim's process lives."""

    def __init__(self, object_store: ObjectStore, token: str, seconds: float) -> None:
        super().__init__(daemon=True)
        self._object_store, self._name, self._seconds = object_store, f"{token}.beat", seconds
        self._stopped = threading.Event()

    def beat(self) -> None:
        """Once."""
        self._object_store.write(self._name, b"")

    def run(self) -> None:
        """Again and again; where it cannot be told, others may take the claim over, and rows are encoded twice."""
        while not self._stopped.wait(self._seconds):
            try:
                self.beat()
            except HeadstartError as error:
                _log.warning("a claim could not be kept alive", error=error.message)
            except RuntimeError:  # the interpreter is ending
                return

    def stop(self) -> None:
        """No more; returns when the last has arrived."""
        self._stopped.set()
        if self.is_alive():
            self.join()
