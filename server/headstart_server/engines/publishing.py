"""Publishes a trained model as a bundle."""

import shutil
from datetime import UTC, datetime
from functools import partial

from headstart_server.data.source import lineage
from headstart_server.engines.evaluated_rows import with_rows
from headstart_server.engines.events import ModelEvaluated, ModelPublished, to_plain
from headstart_server.engines.fitting import Fitted
from headstart_server.engines.listener import Listener
from headstart_server.engines.plan_events import spec_resolved
from headstart_server.engines.preparing import Prepared, scratch_of
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.engines.sample import sample_of
from headstart_server.model.bundle import save_bundle


def publish(prepared: Prepared, runtime: RuntimeContext, listener: Listener, fitted: Fitted) -> str:
    """Saves the model with references to its frozen encoders; returns its id.

    That is the job's own: an attempt that repeats what an earlier one has published publishes no second model.
    """
    identifier, plans, data, model = prepared.job.identifier, prepared.plan.inputs, prepared.plan.data, fitted.model
    evaluation = ModelEvaluated([with_rows(each, data) for each in fitted.evaluation])
    listener.report(evaluation)
    references = {}
    for index, (name, plan) in enumerate(plans.items()):
        # before the model that refers to it: a crash in between leaves a copy that the next job finds
        digest = runtime.encoder_store.keep(plan.source) if plan.tuning.shares_weights else ""
        references[name] = plan.reference(digest, f"encoders/{index}" if plan.tuning.trains else "")
    job = prepared.job
    details = {
        "job": identifier,
        "display_name": job.display_name,
        "description": job.description,
        "labels": dict(job.labels),
        "datasets": lineage(job.records, spec_resolved(prepared.plan).sources),
        "initial_model": job.initial_model,
        "create_time": datetime.now(UTC).isoformat(),
        "metrics": fitted.report.__dict__,
        "evaluation": to_plain(evaluation)[1]["outputs"],
    }
    save_bundle(
        runtime.storage.models,
        identifier,
        prepared.plan.resolution.spec(),
        model,
        data.inputs,
        data.outputs,
        references,
        {name: partial(plan.save_encoder, model.pretrained()[name].encoder) for name, plan in plans.items()},
        sample_of(data),
        details,
    )
    listener.report(ModelPublished(identifier, fitted.report))
    shutil.rmtree(scratch_of(prepared.job, runtime), ignore_errors=True)
    return identifier
