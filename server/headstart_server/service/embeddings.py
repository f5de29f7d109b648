"""Embeddings of rows, and the spaces that hold them."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headstart_server.core import deadlines
from headstart_server.core.errors import CancelledError, PermissionDeniedError, invalid
from headstart_server.core.executors import Executors
from headstart_server.core.names import name_of
from headstart_server.core.principal import Principal, Scope
from headstart_server.core.quotas import Quotas
from headstart_server.data.features.cells import Where
from headstart_server.data.features.fitted import unfitted
from headstart_server.data.tables import table_of_arrow
from headstart_server.embedding_store.fill import Encoded, FillProgress
from headstart_server.embedding_store.inventory import SpaceSummary
from headstart_server.encoders.precision import DTYPES
from headstart_server.encoding.encoder_cache import EncoderCache
from headstart_server.encoding.matrix import embed
from headstart_server.encoding.modalities import MODALITIES
from headstart_server.encoding.rows import InputRows
from headstart_server.engines.runtime_context import RuntimeContext, pass_context
from headstart_server.planning.inputs import plan_pretrained
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.resolution import Resolution
from headstart_server.service.tenants import Tenants
from headstart_server.serving.batcher import Batcher
from headstart_server.serving.limiter import Permit
from headstart_server.spec.model import FeatureSpec, TrainSpec

SCRATCH = "embed"
"""The folder beside those of jobs in which large answers are kept."""


@dataclass(frozen=True)
class EmbedOrder:
    """One column to embed."""

    feature: FeatureSpec
    space: str
    """Id of the space to take embeddings from; empty: the feature's own."""
    read: Callable[[], pa.Table]
    """Raises InvalidInputError for what is no table."""
    rows: int
    """As far as they can be counted before they are read."""
    size: int
    """Bytes of the request."""
    begun: bool = False
    """Whether it goes on with a stream of which rows were taken before: it waits for its turn, however long."""


@dataclass(frozen=True)
class Embeddings:
    """The answer to an order."""

    values: npt.NDArray[np.float32]
    """[rows, dimension]"""
    rows_found: int
    """Rows that the store had."""
    space: str
    precision: str


class EmbeddingService:
    """Use cases of embeddings, of which a caller finds those of its tenant, or those that all share.

    Runs on the server's event loop.
    """

    def __init__(
        self, tenants: Tenants, batcher: Batcher, max_rows: int, executors: Executors, quotas: Quotas | None = None
    ) -> None:
        self._tenants, self._batcher, self._max_rows, self._executors = tenants, batcher, max_rows, executors
        self._quotas = quotas or Quotas()
        # one for all calls, the encoder that was used last: it is the operator's, whoever has used it
        self._encoder_cache = EncoderCache()

    async def embed(self, caller: Principal, order: EmbedOrder) -> Embeddings:
        """Embeds rows, which are encoded in turn with those of other callers and with predictions.

        Raises InvalidInputError, DeadlineExceededError, or OverloadedError. Nothing more is encoded for a caller who
        goes.
        """
        caller.require(Scope.PREDICT)
        limiter, kind = self._batcher.limiter, _kind(order.feature)
        # before anything is done for the caller, so that a refusal costs little
        with limiter.admitted(caller.tenant, kind, order.rows, order.size, however_long=order.begun) as permit:
            await self._quotas.taken_rows(caller.tenant, order.rows, patient=order.begun)
            turns = _Turns(self._batcher, permit, asyncio.get_running_loop())
            try:
                runtime = self._tenants.of(caller.tenant).runtime
                return await self._executors.embedding.run(self._embed, runtime, order, turns)
            except asyncio.CancelledError:
                # a thread cannot be cancelled: it looks at this before each batch
                turns.gone.set()
                raise

    async def spaces(self, caller: Principal) -> list[SpaceSummary]:
        """Every space of the store."""
        caller.require(Scope.READ)
        return await self._executors.files.run(self._tenants.of(caller.tenant).runtime.store.summaries)

    async def delete(self, caller: Principal, identifier: str) -> None:
        """Deletes a space; raises NotFoundError, or FailedPreconditionError while it is used.

        What tenants share, the default tenant alone deletes: any other raises PermissionDeniedError.
        """
        caller.require(Scope.ADMIN)
        runtime = self._tenants.of(caller.tenant).runtime
        if caller.tenant and runtime.layout.shared_content:
            raise PermissionDeniedError(
                "embedding spaces are shared by all tenants of this server, whose operator deletes them; rows that "
                "nobody uses are evicted by themselves"
            )
        await self._executors.files.run(runtime.store.delete, identifier)

    def _embed(self, runtime: RuntimeContext, order: EmbedOrder, turns: "_Turns") -> Embeddings:
        turns.check()  # the call may have waited for this thread
        feature = order.feature
        _require_frozen(feature)
        table = table_of_arrow(order.read(), "table")
        if table.row_count > self._max_rows:
            raise invalid("table", f"holds {table.row_count} rows, at most {self._max_rows} fit one request")
        turns.counted(table.row_count)
        table.require(feature.source, "feature.name")
        plan = _plan(runtime, feature)
        if order.space:
            plan = _in_space(plan, order.space)
        where = Where("table", feature.source, lambda row: f"row {row + 1}")
        context = replace(pass_context(runtime, lambda: None), encoder_cache=self._encoder_cache)
        rows = MODALITIES[feature.type].of_table(table, unfitted(feature), where, context)
        found: list[int] = []

        def report(progress: FillProgress) -> None:
            turns.check()
            found.append(progress.found)
            turns.left(progress.total - progress.seen)

        space = runtime.store.space(plan.space)
        scratch = runtime.layout.job(SCRATCH)
        matrix = embed(space, rows.keys, _InTurn(rows, plan, where, turns), report, scratch)
        # the first report comes before anything is encoded
        return Embeddings(matrix.numpy().astype(np.float32), found[0], plan.space.identifier, plan.precision)


def _plan(runtime: RuntimeContext, feature: FeatureSpec) -> PretrainedPlan:
    resolution = Resolution.of(TrainSpec(input_features=[feature]))
    return plan_pretrained(feature, "feature", runtime.sources, resolution, runtime.device.type, seed=0)


class _Turns:
    """The turns of one call on the computing thread, as the thread that works for the call sees them."""

    def __init__(self, batcher: Batcher, permit: Permit, loop: asyncio.AbstractEventLoop) -> None:
        self._batcher, self._permit, self._loop = batcher, permit, loop
        self.gone = threading.Event()
        """Set once the caller has gone."""

    def check(self) -> None:
        """Raises CancelledError once the caller has gone, and DeadlineExceededError once it waits no more."""
        if self.gone.is_set():
            raise CancelledError("the caller has gone")
        deadlines.require_time()

    def counted(self, rows: int) -> None:
        """See Limiter."""
        self._loop.call_soon_threadsafe(self._batcher.limiter.counted, self._permit, rows)

    def left(self, rows: int) -> None:
        """See Limiter."""
        self._loop.call_soon_threadsafe(self._batcher.limiter.left, self._permit, rows)

    def next(self, batches: Iterator[Encoded]) -> Encoded | None:
        """The next batch of a generator, which is computed in turn with others; None at its end."""
        self.check()
        # the generator computes within `next`, which is therefore called on the computing thread
        return self._batcher.run_between(lambda: next(batches, None), self._permit, _row_count, self._loop)


class _InTurn:
    """An encoder whose batches are computed in turn with predictions."""

    def __init__(self, rows: InputRows, plan: PretrainedPlan, where: Where, turns: _Turns) -> None:
        self._rows, self._encode, self._where, self._turns = rows, rows.encoder_pass(plan), where, turns

    def __call__(self, rows: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        """Encodes rows.

        Raises CancelledError once the caller has gone, and InvalidInputError naming rows that turn out to be unusable.
        """
        self._encode.load()
        # in pieces, between which predictions have their turn (docs/decisions/0030)
        size = self._encode.piece_rows or max(1, len(rows))
        for start in range(0, len(rows), size):
            batches = self._encode(rows[start : start + size])
            while (batch := self._turns.next(batches)) is not None:
                yield batch
        self._rows.require_usable(self._where)


def _row_count(batch: Encoded | None) -> int:
    return 0 if batch is None else len(batch[0])


def _kind(feature: FeatureSpec) -> str:
    """What takes about as long for any row: an encoder, by its name."""
    return f"embed {feature.type} {feature.encoder.type} {feature.encoder.pretrained_model_name_or_path}"


def _require_frozen(feature: FeatureSpec) -> None:
    if feature.type not in ("text", "image"):
        raise invalid("feature.type", f"{feature.type!r} has no pretrained encoder; use text or image")
    if feature.encoder.learns:
        raise invalid(
            "feature.encoder",
            "must be pretrained and frozen to be embedded; leave trainable, use_pretrained, adapter and "
            "trainable_layers out",
        )


def _in_space(plan: PretrainedPlan, identifier: str) -> PretrainedPlan:
    """The plan in the precision of the space named; raises InvalidInputError where it is another encoder's."""
    for precision in DTYPES:
        found = replace(plan, precision=precision)
        if found.space.identifier == identifier:
            return found
    raise invalid(
        "embedding_space",
        f"{name_of('embeddingSpaces', identifier)!r} is no space of this feature: it has other weights, another "
        "tokenizer or transform, pooling or length limit; ListEmbeddingSpaces describes it",
    )
