"""One process of an encode pool: reads the rows of a job by itself, encodes them and publishes them."""

import time

import numpy as np
import numpy.typing as npt

from headstart_server.encoding.encode_pool import EncodeResult, EncodeTask
from headstart_server.encoding.modalities import MODALITIES
from headstart_server.engines.envelopes import JobEnvelope
from headstart_server.engines.job_context import job_context_of
from headstart_server.engines.retention import tend_machine
from headstart_server.engines.runtime_context import pass_context, runtime_of
from headstart_server.planning.inputs import plan_inputs
from headstart_server.planning.resolution import Resolution
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
        # one core is the encoder's
        context = pass_context(runtime, lambda: None, most_loaders=cores - 1)
        self._rows = MODALITIES[task.feature.spec.type].of_task(job.sources, task, context)
        self._encode = self._rows.encoder_pass(plan, task.view)
        self._store = runtime.store.space(plan.space_of(task.view))

    def __call__(self, rows: npt.NDArray[np.int64], worker: str) -> EncodeResult:
        """Encodes rows and publishes them as one shard."""
        started = time.monotonic()
        encoded = [(found, values) for found, values in self._encode(rows) if values is not None]
        if encoded:
            found = np.concatenate([batch for batch, _ in encoded])
            # in the data's order, so that gathering reads shards forward; the driver's `fill` has claimed these rows
            order = np.argsort(found)
            embeddings = np.concatenate([values for _, values in encoded])
            self._store.add(self._rows.keys_of(found[order]), embeddings[order])
            rows = found[order]
        else:
            rows = rows[:0]
        waited, bad = self._since_last_call()
        return EncodeResult(rows, worker, time.monotonic() - started, waited, bad)

    def _since_last_call(self) -> tuple[float, dict[int, str]]:
        """(seconds waited for data, rows found unusable), since the last call."""
        waited, bad = self._encode.waited, dict(self._rows.bad)
        self._encode.waited = 0.0
        self._rows.bad.clear()
        return waited, bad
