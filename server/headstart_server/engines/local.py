"""The local engine: one job on one process, from tables to a published model."""

from headstart_server.engines.assignment import Assignment
from headstart_server.engines.fitting import Fitting
from headstart_server.engines.listener import Listener
from headstart_server.engines.preparing import prepare_job, stored_inputs
from headstart_server.engines.publishing import publish
from headstart_server.engines.workplace import Workplace


class LocalEngine:
    """Runs one assignment in this process."""

    def __init__(self, assignment: Assignment, workplace: Workplace, listener: Listener) -> None:
        self.assignment, self.workplace, self.listener = assignment, workplace, listener

    def run(self) -> str:
        """Prepares, encodes, trains and publishes; returns the model's id. Raises HeadstartError."""
        self.listener.state("PREPARING")
        prepared = prepare_job(self.assignment, self.workplace, self.listener)
        stored = stored_inputs(prepared, self.workplace, self.listener)
        self.listener.state("TRAINING")
        model, report = Fitting(prepared, stored, self.workplace, self.listener).run()
        self.listener.state("PUBLISHING")
        return publish(prepared, self.workplace, self.listener, model, report)
