"""From a job to all that training needs: plans, prepared rows, resolved settings, stored embeddings."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from headstart_server.core.states import State
from headstart_server.data.dataset import Survey
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.encoding.encode_pool import EncodePool
from headstart_server.engines.events import StateChange
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.listener import Listener, Silent
from headstart_server.engines.plan_events import spec_resolved
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.engines.stored_inputs import StoredInput, StoredInputs
from headstart_server.model.registry import ModelRegistry
from headstart_server.planning.initial_model import InitialModel
from headstart_server.planning.job_plan import JobPlan, plan_job
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.trainer import seed_of
from headstart_server.training.reports import JobWarning

T = TypeVar("T")


@dataclass(frozen=True)
class Prepared:
    """A job and its plan."""

    job: JobContext
    plan: JobPlan

    def report(self, listener: Listener) -> None:
        """Reports the resolved values and the row counts."""
        listener.report(spec_resolved(self.plan))


def prepare_job(job: JobContext, runtime: RuntimeContext, listener: Listener, survey: Survey | None = None) -> Prepared:
    """Plans a job and reports what the plan shows."""
    torch.manual_seed(seed_of(job.spec))
    initial = None
    if job.initial_model:
        initial = InitialModel.at(job.initial_model, ModelRegistry(runtime.storage.models), runtime.encoder_store)
    plan = plan_job(job.spec, job.sources, runtime.sources, runtime.device.type, runtime.image_limits, survey, initial)
    prepared = Prepared(job, plan)
    prepared.report(listener)
    for reason, message in plan.notes:
        listener.report(JobWarning(reason, message))
    return prepared


def stored_inputs(prepared: Prepared, runtime: RuntimeContext, listener: Listener) -> dict[str, StoredInput]:
    """What the store has of every input of which it keeps something, once what it lacks is encoded."""
    plans = prepared.plan.inputs
    inputs = StoredInputs(prepared.plan.data, runtime, listener, scratch_of(prepared.job, runtime))
    inputs.check_rows(plans)
    found = _for_each_cached(prepared, inputs, listener, inputs.of)
    divided = [item for item in prepared.plan.data.inputs if item.name in plans and plans[item.name].stores_states]
    if divided:
        listener.report(StateChange(State.ENCODING))
    return found | {feature.name: inputs.states(feature, plans[feature.name]) for feature in divided}


def fill_store(prepared: Prepared, runtime: RuntimeContext, listener: Listener, encode_pool: EncodePool) -> Survey:
    """Has an encode pool encode what the store lacks; returns what the workers need to know of the rows."""
    data = prepared.plan.data
    # before filling takes rows with unusable images out of `data.parts`: see Survey
    parts = data.parts.copy()
    inputs = StoredInputs(data, runtime, listener, scratch_of(prepared.job, runtime), encode_pool)
    inputs.check_rows(prepared.plan.inputs)
    _for_each_cached(prepared, inputs, listener, inputs.fill)
    return Survey(parts, data.parts, {name: images.keys for name, images in data.images.items()})


def gathered_inputs(prepared: Prepared, runtime: RuntimeContext) -> dict[str, StoredInput]:
    """What the store has of every cached input, filled as it is: encodes only what has gone since."""
    scratch = scratch_of(prepared.job, runtime)
    inputs = StoredInputs(prepared.plan.data, runtime, Silent(), scratch)
    return _for_each_cached(prepared, inputs, Silent(), inputs.of)


def _for_each_cached(
    prepared: Prepared, inputs: StoredInputs, listener: Listener, get: Callable[[FittedFeature, PretrainedPlan], T]
) -> dict[str, T]:
    plans = prepared.plan.inputs
    cached = [feature for feature in prepared.plan.data.inputs if feature.name in plans and plans[feature.name].cached]
    if cached:
        listener.report(StateChange(State.ENCODING))
    got = {feature.name: get(feature, plans[feature.name]) for feature in cached}
    # the row counts that were reported are others now
    if inputs.dropped:
        prepared.report(listener)
    return got


def scratch_of(job: JobContext, runtime: RuntimeContext) -> Path:
    """The job's folder for what need not outlive it."""
    return runtime.layout.job(job.identifier) / "scratch"
