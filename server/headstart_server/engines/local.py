"""The local engine: one job on one process, from tables to a published model."""

from dataclasses import replace

from headstart_server.core.states import State
from headstart_server.engines.events import StateChange
from headstart_server.engines.fitting import Fitting
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.listener import Listener
from headstart_server.engines.preparing import prepare_job, stored_inputs
from headstart_server.engines.publishing import publish
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.engines.sweep import Sweep


class LocalEngine:
    """Runs one job in this process."""

    def __init__(self, job: JobContext, runtime: RuntimeContext, listener: Listener) -> None:
        self.job, self.runtime, self.listener = job, runtime, listener

    def run(self) -> str:
        """Prepares, encodes, trains and publishes; returns the model's id. Raises HeadstartError."""
        self.listener.report(StateChange(State.PREPARING))
        job = self.job
        if job.spec.sweep.parameters:
            job = replace(job, spec=Sweep(job, self.runtime, self.listener).best())
        prepared = prepare_job(job, self.runtime, self.listener)
        stored = stored_inputs(prepared, self.runtime, self.listener)
        self.listener.report(StateChange(State.TRAINING))
        fitted = Fitting(prepared, stored, self.runtime, self.listener).run()
        self.listener.report(StateChange(State.PUBLISHING))
        return publish(prepared, self.runtime, self.listener, fitted)
