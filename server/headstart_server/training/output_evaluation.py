"""How a model answers rows in detail: class by class, how sure, and where it is most wrong."""

from dataclasses import dataclass, field

from headstart_server.data.parts import Part


@dataclass(frozen=True)
class ClassMetrics:
    """One class. Metrics are 0 where their denominator is."""

    label: str
    rows: int
    predicted_rows: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ConfusionMatrix:
    """Rows by what they are and what was predicted; a last label that is empty stands for all other classes."""

    labels: list[str]
    counts: list[int]
    """Row-major [labels, labels], targets first."""


@dataclass(frozen=True)
class CalibrationBin:
    """Predictions with a probability in (lower, upper]."""

    lower: float
    upper: float
    predictions: int
    mean_probability: float
    accuracy: float


@dataclass(frozen=True)
class RowEvaluation:
    """One row and how it was answered."""

    row: int
    """In its table, from 1; until `source` is known the row of the job, from 0."""
    loss: float
    target: str
    predicted: str
    probability: float = 0.0
    source: str = ""
    """The table: `dataset`, `validation_dataset` or `test_dataset`."""
    inputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NumberEvaluation:
    """Predicted numbers, in the data's units."""

    mean_error: float
    targets: list[float]
    predictions: list[float]


@dataclass(frozen=True)
class OutputEvaluation:
    """How the rows of one part were answered, for one output."""

    output: str
    part: Part
    rows: int
    classes: list[ClassMetrics] = field(default_factory=list)
    class_count: int = 0
    confusion_matrix: ConfusionMatrix | None = None
    calibration: list[CalibrationBin] = field(default_factory=list)
    calibration_error: float = 0.0
    worst_rows: list[RowEvaluation] = field(default_factory=list)
    number: NumberEvaluation | None = None
