"""The resolved settings of one run of the loop."""

from dataclasses import dataclass

from headstart_server.storage.folders import SharedFolders
from headstart_server.training.penalty import Penalty
from headstart_server.training.plateau import PlateauRule
from headstart_server.training.stepping import Clipping
from headstart_server.training.timetable import Timetable


@dataclass(frozen=True)
class LoopSettings:
    """Resolved settings of one run."""

    timetable: Timetable
    batch_size: int
    """Rows of a batch in all processes together."""
    eval_batch_size: int
    accumulation: int
    clipping: Clipping | None
    evaluate_training_set: bool
    early_stop: int
    """Evaluations without improvement before stopping; 0: never."""
    validation_metric: str
    seed: int
    checkpoints: SharedFolders | None
    run: str = ""
    """What is trained: checkpoints of other specs are not gone on with."""
    micro_batch_rows: int = 0
    """At most how many rows all processes together run at once; 0: a batch."""
    micro_batch_tokens: int = 0
    """The same of tokens, with padding; 0: those of a batch."""
    checkpoint_seconds: float = 0.0
    """Least time between two checkpoints; the evaluation after the last step always has one."""
    shuffle: bool = True
    """Whether each epoch draws an order of its own."""
    penalty: Penalty | None = None
    plateau: PlateauRule | None = None
    report_seconds: float = 0.25
    """Least time between two reports of steps."""
    past_reports: int = 1_000
    """Of processes, one for each and evaluation: how many of the last a checkpoint keeps."""
    undefined_warned: bool = False
    """Whether a warning says already that the validation rows do not define the metric."""
