"""The pool of live models: loaded on first use, least recently used first out, frozen encoders shared."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field

import structlog
import torch

from headstart_server import metrics
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.tables import table_of_arrow
from headstart_server.embedding_store.space import Space
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.encoders.pretrained import PretrainedEncoder
from headstart_server.model.bundle import Bundle
from headstart_server.model.encoder_store import EncoderStore
from headstart_server.model.integrity import deletion_named
from headstart_server.model.registry import ModelRegistry
from headstart_server.planning.pretrained import SERVED_PRECISION
from headstart_server.serving.inputs import SERVED, Reuse, ServedInput
from headstart_server.serving.precision import Outputs, ServedPrecision, compared, precision_to_try
from headstart_server.serving.predictor import Predictor

_log = structlog.get_logger()
_MOST_MODELS = 1_000
"""However small: those that share a frozen encoder weigh next to nothing each."""


@dataclass(frozen=True)
class TenantModels:
    """Where the models of one tenant are, and the embeddings that they may use."""

    registry: ModelRegistry
    store: EmbeddingStore


_Key = tuple[str, str]
"""Tenant, and id of a model."""
_Encoders = dict[str, tuple[PretrainedEncoder, int]]
"""Encoders and their sizes in bytes, by the digest of their weights and how their output is reduced."""


@dataclass
class _Turn:
    """Who loads or drops one model or encoder, one after the other."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    callers: int = 0
    """Those inside and those who wait."""


class ModelPool:
    """Thread-safe. A model is loaded once however many callers wait for it; each tenant gets its own alone.

    Args:
        models_of: The models of a tenant.
        encoder_store: Frozen encoders, which all tenants share: they are the operator's.
        device: What models run on.
        limit_bytes: Of all encoders and heads.
        image_limits: What images may be.
        precision: In which arithmetic encoders are served: `fp32`, `bf16` or `fp16`; `auto`: the fast one, for models
            whose answers stay close to those in fp32.
    """

    def __init__(
        self,
        models_of: Callable[[str], TenantModels],
        encoder_store: EncoderStore,
        device: torch.device,
        limit_bytes: int,
        image_limits: ImageLimits | None = None,
        precision: str = SERVED_PRECISION,
    ) -> None:
        self._models_of, self._encoder_store, self._device = models_of, encoder_store, device
        self._limit, self._image_limits, self._precision = limit_bytes, image_limits, precision
        self._models: OrderedDict[_Key, tuple[Predictor, set[str]]] = OrderedDict()
        self._encoders: _Encoders = {}
        self._lock = threading.Lock()
        self._loading: dict[str | _Key, _Turn] = {}
        """Of models and encoders that somebody loads or drops."""

    def get(self, tenant: str, identifier: str) -> Predictor:
        """The live model; raises NotFoundError. Loading takes up to a few seconds, for which no other model waits."""
        with self._alone_with((tenant, identifier)):
            found = self.loaded(tenant, identifier)
            if found is None:
                bundle = self._models_of(tenant).registry.get(identifier)
                with metrics.POOL_LOADS.time(), deletion_named(bundle.folder, "answer"):
                    found = self._add((tenant, identifier), *self._load(tenant, bundle))
            return found

    def loaded(self, tenant: str, identifier: str) -> Predictor | None:
        """The live model if it is loaded, without waiting."""
        entry = self._models.get((tenant, identifier))
        if entry is None:
            return None
        with suppress(KeyError):  # dropped meanwhile by another thread
            self._models.move_to_end((tenant, identifier))
        metrics.POOL_HITS.inc()
        return entry[0]

    def served(self, tenant: str, identifier: str) -> ServedPrecision | None:
        """In which arithmetic a live model is served; None where it is not loaded."""
        entry = self._models.get((tenant, identifier))
        return entry[0].served if entry is not None else None

    def forget(self, tenant: str, identifier: str) -> None:
        """Drops a deleted model, once whoever loads it has done so."""
        with self._alone_with((tenant, identifier)), self._lock:
            self._models.pop((tenant, identifier), None)
            self._drop_unused_encoders()
            self._measure()

    def forget_deleted(self) -> None:
        """Drops models that are there no more, as another server may have deleted them. Raises StorageError."""
        live: dict[str, set[str]] = {}
        for tenant, identifier in list(self._models):
            live.setdefault(tenant, set()).add(identifier)
        for tenant, identifiers in live.items():
            # what is live was published before it is looked for
            for identifier in identifiers - self._models_of(tenant).registry.identifiers():
                self.forget(tenant, identifier)

    @contextmanager
    def _alone_with(self, key: str | _Key) -> Iterator[None]:
        """Keeps others from loading or dropping a model or an encoder meanwhile."""
        with self._lock:
            turn = self._loading.setdefault(key, _Turn())
            turn.callers += 1
        try:
            with turn.lock:
                yield
        finally:
            with self._lock:
                turn.callers -= 1
                if not turn.callers:  # dropped while somebody waits for it, it would let the next caller in beside them
                    del self._loading[key]

    def _add(self, key: _Key, predictor: Predictor, encoders: _Encoders) -> Predictor:
        with self._lock:
            # Again: an eviction may have dropped them as unused before the model was there.
            self._encoders |= encoders
            self._models[key] = (predictor, set(encoders))
            self._evict()
        return predictor

    def _load(self, tenant: str, bundle: Bundle) -> tuple[Predictor, _Encoders]:
        """A model in the arithmetic that suits it, and the encoders that it uses."""
        precision = precision_to_try(self._precision, self._device.type)
        exact = self._in_precision(tenant, bundle, SERVED_PRECISION)
        if not bundle.encoders or precision == SERVED_PRECISION:
            return exact
        other = self._in_precision(tenant, bundle, precision)
        answers = [_sample_answers(predictor, bundle) for predictor, _ in (exact, other)]
        found = compared(bundle.outputs, answers[0], answers[1], self._precision, precision)
        chosen, used = exact if found.precision == SERVED_PRECISION else other
        chosen.served = found
        _log.info("model loaded", model=bundle.folder.name, **asdict(found))
        # what is shared stays in both, for the comparisons of the next models
        shared = {f"{item.digest}:" for item in bundle.encoders.values() if not item.own_folder}
        both = exact[1] | other[1]
        used |= {key: value for key, value in both.items() if any(map(key.startswith, shared))}
        with self._lock:
            for key in both.keys() - used.keys():
                self._encoders.pop(key, None)
        return chosen, used

    def _in_precision(self, tenant: str, bundle: Bundle, precision: str) -> tuple[Predictor, _Encoders]:
        """A model in one arithmetic, and its encoders: those that others use, too, are taken from them."""
        pretrained: dict[str, ServedInput] = {}
        used: _Encoders = {}
        models = self._models_of(tenant)
        for name, reference in bundle.encoders.items():
            # What training has changed is its model's own.
            own = f"{tenant}/{bundle.folder.name}/{reference.own_folder}"
            key = f"{own if reference.own_folder else reference.digest}:{reference.reduction}:{precision}"
            used[key] = self._encoder(key, bundle, name, precision)
            space = Space.from_description(reference.space) if reference.space else None
            store = models.store.space(space) if space is not None else None
            preparation = bundle.preparation(name, self._encoder_store)
            pretrained[name] = SERVED[reference.kind](used[key][0], preparation, store, self._device, precision)
        head = bundle.model(self._encoder_store, with_encoders=False)
        limits = self._image_limits
        return Predictor(bundle.inputs, bundle.outputs, head, pretrained, self._device, limits), used

    def _encoder(self, key: str, bundle: Bundle, name: str, precision: str) -> tuple[PretrainedEncoder, int]:
        """An encoder and its size, loaded once however many models that use it load at once."""
        with self._alone_with(key):
            found = self._encoders.get(key)
            if found is None:
                encoder = bundle.encoder(name, self._encoder_store).for_answers(self._device, precision)
                size = bundle.source(name, self._encoder_store).size_bytes
                found = encoder, size if precision == SERVED_PRECISION else size // 2
                with self._lock:
                    self._encoders[key] = found
            return found

    def _evict(self) -> None:
        """Drops least recently used models until all that is left fits; the newest always stays."""
        while len(self._models) > 1 and (len(self._models) > _MOST_MODELS or self._bytes() > self._limit):
            self._models.popitem(last=False)
            metrics.POOL_EVICTIONS.inc()
            self._drop_unused_encoders()
        self._measure()

    def _bytes(self) -> int:
        heads: int = sum(predictor.head_bytes for predictor, _ in self._models.values())
        return heads + sum(size for _, size in self._encoders.values())

    def _drop_unused_encoders(self) -> None:
        used = set().union(*(keys for _, keys in self._models.values()))
        for key in self._encoders.keys() - used:
            del self._encoders[key]

    def _measure(self) -> None:
        metrics.POOL_MODELS.set(len(self._models))
        metrics.POOL_BYTES.set(self._bytes())


def _sample_answers(predictor: Predictor, bundle: Bundle) -> Outputs:
    """What a model answers to its sample; nothing where that cannot be read, as images that were gone already."""
    sample = table_of_arrow(bundle.sample(), "sample")
    try:
        rows = predictor.loaded(predictor.rows(sample), Reuse.NONE)
    except InvalidInputError:
        return {}
    return predictor.predict(rows, Reuse.NONE).outputs
