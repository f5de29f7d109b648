"""What is to be known of a job before it trains: told by its plan, and by the job itself when it begins."""

from headstart_server.core.reasons import Notice
from headstart_server.data.dataset import PreparedData
from headstart_server.data.parts import Part
from headstart_server.planning.backend import BackendPlan
from headstart_server.planning.trainer import TrainerPlan
from headstart_server.training.metric_names import is_defined
from headstart_server.training.selection import UNDEFINED, undefined_message

Note = tuple[str, str]
"""(reason, message) of a warning."""


def notes_of(data: PreparedData, trainer: TrainerPlan, backend: BackendPlan) -> list[Note]:
    """Every warning of a job that its spec and its data show."""
    dropped = []
    if data.dropped_rows:
        dropped.append((Notice.ROWS_DROPPED, f"{data.dropped_rows} rows with missing cells are left out"))
    return [*dropped, *data.notes, *backend.warnings, *trainer.warnings, *metric_notes(data, trainer)]


def metric_notes(data: PreparedData, trainer: TrainerPlan) -> list[Note]:
    """A warning where the labels of the validation rows show that the validation metric will not be defined."""
    name, _, metric = trainer.validation_metric.rpartition(".")
    for feature in data.outputs:
        if feature.name == name and not is_defined(metric, data.array(feature)[data.rows(Part.VALIDATION)]):
            return [(UNDEFINED, undefined_message(trainer.validation_metric))]
    return []
