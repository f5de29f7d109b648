"""One process of several that train a job together, whatever started them."""

from typing import Any

from headstart_server.engines.arrival import assignment_of, workplace_of
from headstart_server.engines.fitting import Fitting
from headstart_server.engines.preparing import prepare_job, stored_inputs
from headstart_server.engines.publishing import publish
from headstart_server.engines.workplace import Listener, Silent
from headstart_server.model.world import World


def train_together(job: dict[str, Any], world: World, strategy: str, listener: Listener) -> str:
    """Trains; rank 0 publishes. Returns the model's id, in every process.

    `job` is an assignment as plain values, the same everywhere. The embeddings are in the store already: preparing is
    silent, and encodes only what has been evicted since. `listener` hears of the training, in rank 0.
    """
    workplace = workplace_of(job)
    assignment = assignment_of(job, workplace.layout)
    prepared = prepare_job(assignment, workplace, Silent(), world.size)
    stored = stored_inputs(prepared, workplace, Silent())
    model, report = Fitting(prepared, stored, workplace, listener, world, strategy).run()
    listener.state("PUBLISHING")
    identifier: str = world.told(publish(prepared, workplace, listener, model, report) if world.leads else "")
    return identifier
