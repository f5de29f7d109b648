"""The embedding pass of a file of predictions on a Ray cluster: fills the store, from which the file is then made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from headstart_server.data.features.cells import Where
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.scan import scan
from headstart_server.data.tables import Table
from headstart_server.embedding_store.fill import FillProgress, fill
from headstart_server.embedding_store.space_store import SpaceStore
from headstart_server.encoders.precision import fast_precision, settled_precisions
from headstart_server.encoding.encode_pool import EncodeTask, PoolEncode
from headstart_server.encoding.images import ImageRows
from headstart_server.encoding.matrix import Throttle
from headstart_server.encoding.modalities import MODALITIES
from headstart_server.encoding.rows import InputRows
from headstart_server.engines.envelopes import ExportEnvelope, JobEnvelope, PredictionsOrder
from headstart_server.engines.events import JobEvent
from headstart_server.engines.listener import Silent
from headstart_server.engines.ray.cluster import cluster
from headstart_server.engines.ray.encoding import RayEncodePool, shared_envelope
from headstart_server.engines.ray.nodes import Lookout, asked_nodes, require_able, require_room
from headstart_server.engines.runtime_context import RuntimeContext, pass_context
from headstart_server.engines.stored_inputs import of_rows, require_stored
from headstart_server.planning.backend import plan_backend
from headstart_server.planning.inputs import plan_inputs
from headstart_server.planning.resolution import Resolution
from headstart_server.spec.defaults import apply_defaults
from headstart_server.spec.model import TrainSpec
from headstart_server.training.reports import JobWarning

Say = Callable[[str, str, int, int], None]
"""Takes (stage, message, rows done, rows of all)."""


class _WarningListener(Silent):
    """Passes warnings on as progress of the export."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def report(self, event: JobEvent) -> None:
        """See Listener."""
        if isinstance(event, JobWarning):
            self.warn(event.message)

    def warn(self, message: str) -> None:
        """Says what the export waits for."""
        self._say("encode", message, 0, 0)


@dataclass(frozen=True)
class ClusterFilling:
    """What one file takes from the store, put there by the workers of a cluster."""

    envelope: ExportEnvelope
    order: PredictionsOrder
    spec: TrainSpec
    """The model's."""
    inputs: Sequence[FittedFeature]
    """Of the model, whose encoders are frozen."""
    other_stores: dict[str, SpaceStore | None]
    """By input, where other stored embeddings are that may stand in."""
    table: Table
    runtime: RuntimeContext
    say: Say

    def run(self) -> None:
        """Encodes every row that the store lacks; raises HeadstartError."""
        spec = self.spec.model_copy(update={"backend": self.order.backend})
        merged, resolution = apply_defaults(spec), Resolution.of(spec)
        plan = plan_backend(merged, resolution, self.runtime.device.type)
        plans = plan_inputs(merged, self.runtime.sources, resolution, plan.device_type(self.runtime.device.type))
        listener = _WarningListener(self.say)
        self.say("encode", "joining the Ray cluster", 0, 0)
        with cluster(self.envelope.ray.address):
            asked = asked_nodes()
            if plan.use_gpu:
                fast_precision("cuda")
            lookout = Lookout(plan, listener, require_room(plan, listener.warn, grows=self.envelope.ray.grows))
            require_able(asked, plan.resources)
            pool = RayEncodePool(shared_envelope(self._job(spec), self.runtime), plan, lookout)
            for feature in self.inputs:
                if feature.name in plans and feature.spec.source in self.table.columns:
                    self._fill(feature, self.runtime.store.space(plans[feature.name].as_served().space), pool)

    def _job(self, spec: TrainSpec) -> JobEnvelope:
        """As whom the workers read the rows."""
        settings = replace(self.envelope.runtime, precisions=settled_precisions())
        return JobEnvelope(self.envelope.identifier, "", spec, [self.order.source], settings, self.envelope.ray)

    def _fill(self, feature: FittedFeature, store: SpaceStore, pool: RayEncodePool) -> None:
        rows = self._rows(feature)
        numbers = np.setdiff1d(np.arange(self.table.row_count), list(rows.bad))
        other = self.other_stores.get(feature.name)
        if other is not None and other.space != store.space:
            numbers = numbers[~other.contains(rows.keys[numbers])]
        if not len(numbers):
            return
        encode = PoolEncode(pool, EncodeTask(feature, keys=rows.file_keys, served=True), _nothing, rows.bad)
        keys = rows.keys[numbers]
        fill(store, keys, of_rows(encode, numbers), Throttle(self._progress(feature.name, len(numbers))), len(numbers))
        if not rows.bad:
            require_stored(store, keys)

    def _rows(self, feature: FittedFeature) -> InputRows:
        context = pass_context(self.runtime, _nothing)
        if feature.spec.type == "image":  # rows whose image cannot be used are told of in the file
            column = ImageColumn([self.table], feature.spec.source, context.image_limits)
            return ImageRows(scan(column, np.arange(self.table.row_count)), context)
        where = Where("dataset", feature.spec.source, lambda row: f"row {row + 1}")
        return MODALITIES[feature.spec.type].of_table(self.table, feature, where, context)

    def _progress(self, name: str, total: int) -> Callable[[FillProgress], None]:
        def told(progress: FillProgress) -> None:
            seen = f"{progress.seen:,} of {total:,} rows of {name!r} are stored, {progress.encoded:,} of them new"
            self.say("encode", seen, 0, 0)

        return told


def _nothing() -> None:
    """Who ends an export ends its process."""
