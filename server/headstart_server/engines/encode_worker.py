"""One process of an encode pool: reads the rows of a job by itself, encodes them and publishes them."""

import time
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.scan import ScannedImages
from headstart_server.data.tables import Sources
from headstart_server.data.texts import TextColumn
from headstart_server.embedding_store.fill import Encode
from headstart_server.embedding_store.key import Keys, keys_of_texts
from headstart_server.embedding_store.space_store import SpaceStore
from headstart_server.encoding.encode_pool import EncodeResult, EncodeTask
from headstart_server.encoding.encoder_cache import EncoderCache
from headstart_server.encoding.images import ImageEncode
from headstart_server.encoding.texts import TextEncode
from headstart_server.engines.envelopes import JobEnvelope
from headstart_server.engines.job_context import job_context_of
from headstart_server.engines.retention import tend_machine
from headstart_server.engines.runtime_context import RuntimeContext, runtime_of
from headstart_server.planning.image_inputs import ImagePlan
from headstart_server.planning.inputs import plan_inputs
from headstart_server.planning.resolution import Resolution
from headstart_server.planning.text_inputs import TextPlan
from headstart_server.spec.defaults import apply_defaults


class EncodeWorker:
    """One process of an encode pool, for one task."""

    def __init__(self, envelope: JobEnvelope, task: EncodeTask, *, use_gpu: bool, cores: int) -> None:
        runtime = runtime_of(envelope.runtime, use_gpu=use_gpu)
        if envelope.runtime.state_dir is None:  # this machine has no server to tidy up
            tend_machine(runtime.storage, envelope.runtime.limits)
        job = job_context_of(envelope, runtime.storage)
        spec, resolution = apply_defaults(job.spec), Resolution.of(job.spec)
        plan = plan_inputs(spec, runtime.sources, resolution, runtime.device.type)[task.feature.name]
        plan = plan.as_served() if task.served else plan
        if isinstance(plan, ImagePlan):
            self._input: _Input = _Images(plan, task, job.sources, runtime, cores)
        else:
            assert isinstance(plan, TextPlan)
            self._input = _Texts(plan, task, job.sources, runtime)

    def __call__(self, rows: npt.NDArray[np.int64], worker: str) -> EncodeResult:
        """Encodes rows and publishes them as one shard."""
        started, source = time.monotonic(), self._input
        encoded = [batch for batch in source.encode(rows) if batch[1] is not None]
        if encoded:
            found = np.concatenate([batch for batch, _ in encoded])
            order = np.argsort(found)
            embeddings = np.concatenate([values for _, values in encoded if values is not None])
            source.store.add(source.keys(found[order]), embeddings[order])
            rows = found[order]
        else:
            rows = rows[:0]
        waited, bad = source.since_last_call()
        return EncodeResult(rows, worker, time.monotonic() - started, waited, bad)


class _Input(Protocol):
    """The rows of one input, as an encode worker reads them."""

    store: SpaceStore
    encode: Encode

    def keys(self, rows: npt.NDArray[np.int64]) -> Keys:
        """Of what this process has read."""

    def since_last_call(self) -> tuple[float, dict[int, str]]:
        """(seconds waited, rows found unusable), since the last call."""


class _Texts:
    def __init__(self, plan: TextPlan, task: EncodeTask, sources: Sources, runtime: RuntimeContext) -> None:
        chunks = sources.rows.chunks(task.feature.spec.source)
        self._column = TextColumn((start, task.feature.texts(values)) for start, values in chunks)
        self.store = runtime.store.space(plan.space)
        self.encode: Encode = TextEncode(plan, self._column.texts, runtime.device)

    def keys(self, rows: npt.NDArray[np.int64]) -> Keys:
        """See _Input."""
        return keys_of_texts(pa.array(self._column.texts(rows), pa.large_string()))

    def since_last_call(self) -> tuple[float, dict[int, str]]:
        """See _Input."""
        return 0.0, {}


class _Images:
    def __init__(
        self, plan: ImagePlan, task: EncodeTask, sources: Sources, runtime: RuntimeContext, cores: int
    ) -> None:
        assert task.keys is not None
        column = ImageColumn(sources.tables, task.feature.spec.source, runtime.image_limits)
        self._images = ScannedImages(column, task.keys)
        space = plan.space if task.view is None else plan.view_space(task.view)
        self.store = runtime.store.space(space)
        self._encode = ImageEncode(
            plan, self._images, runtime.device, EncoderCache(), lambda: None, task.view, most_loaders=cores - 1
        )
        self.encode: Encode = self._encode

    def keys(self, rows: npt.NDArray[np.int64]) -> Keys:
        """See _Input."""
        return self._images.keys[rows]

    def since_last_call(self) -> tuple[float, dict[int, str]]:
        """See _Input."""
        waited, self._encode.waited = self._encode.waited, 0.0
        bad, self._images.bad = self._images.bad, {}
        return waited, bad
