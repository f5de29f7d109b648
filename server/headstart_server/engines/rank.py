"""One process of several that train a job together, whatever started them."""

import shutil
from hashlib import blake2b

from headstart_server.core.errors import TrainingFailedError
from headstart_server.core.reasons import Reason
from headstart_server.core.states import State
from headstart_server.data.dataset import Survey
from headstart_server.data.images.loader import local_loader
from headstart_server.engines.assembly import Loading
from headstart_server.engines.envelopes import JobEnvelope
from headstart_server.engines.events import StateChange
from headstart_server.engines.fitting import Fitting
from headstart_server.engines.job_context import job_context_of
from headstart_server.engines.listener import Listener, Silent
from headstart_server.engines.preparing import Prepared, gathered_inputs, prepare_job
from headstart_server.engines.publishing import publish
from headstart_server.engines.retention import tend_machine
from headstart_server.engines.runtime_context import runtime_of
from headstart_server.model.world import World
from headstart_server.planning.backend import BackendPlan


def train_together(
    envelope: JobEnvelope,
    world: World,
    plan: BackendPlan,
    listener: Listener,
    survey: Survey | None = None,
    loading: Loading = local_loader,
) -> None:
    """Trains; rank 0 publishes, while the others are done.

    `envelope` is the same everywhere, and so is what a survey of its rows has found out. The
    embeddings are in the store already: preparing is silent, and encodes only what has been evicted since. `listener`
    receives the training's reports, in rank 0; `loading` makes what loads images.
    """
    runtime = runtime_of(envelope.runtime, use_gpu=plan.use_gpu)
    if envelope.runtime.state_dir is None:  # this machine has no server to tidy up
        tend_machine(runtime.storage, envelope.runtime.limits)
    job = job_context_of(envelope, runtime.storage)
    prepared = prepare_job(job, runtime, Silent(), survey)
    stored = gathered_inputs(prepared, runtime)
    require_same_rows(prepared, world)
    fitted = Fitting(prepared, stored, runtime, listener, world, loading).run()
    if world.leads:
        listener.report(StateChange(State.PUBLISHING))
        publish(prepared, runtime, listener, fitted)
    if envelope.runtime.state_dir is None:
        # where training raises it stays, until `tend_machine` takes it after a week
        shutil.rmtree(runtime.layout.job(job.identifier), ignore_errors=True)


def require_same_rows(prepared: Prepared, world: World) -> None:
    """Raises TrainingFailedError where processes have read other rows or resolved other settings than rank 0.

    Each reads the files by itself: one that could not read an image, or has another kind of GPU, would train on
    something else, and nothing later would tell.
    """
    data, trainer = prepared.plan.data, prepared.plan.trainer
    seen = blake2b(digest_size=16)
    for column in (data.parts, *(data.array(feature) for feature in data.outputs)):
        seen.update(column.tobytes())
    weights = [plan.space.identifier if plan.cached else plan.source.identity for plan in prepared.plan.inputs.values()]
    seen.update(repr((weights, trainer.batch_size, trainer.precision, trainer.learning_rate)).encode())
    if not world.agrees(seen.digest()):
        raise TrainingFailedError(
            "the workers have read different rows or resolved different settings; check that their machines see the "
            "same files and have GPUs of one kind, and train again",
            reason=Reason.WORKERS_DISAGREE,
            field="backend",
        )
