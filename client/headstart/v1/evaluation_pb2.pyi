from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OutputEvaluation(_message.Message):
    __slots__ = ("output", "part", "rows", "classes", "class_count", "confusion_matrix", "calibration", "calibration_error", "worst_rows", "number")
    class Part(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PART_UNSPECIFIED: _ClassVar[OutputEvaluation.Part]
        PART_VALIDATION: _ClassVar[OutputEvaluation.Part]
        PART_TEST: _ClassVar[OutputEvaluation.Part]
    PART_UNSPECIFIED: OutputEvaluation.Part
    PART_VALIDATION: OutputEvaluation.Part
    PART_TEST: OutputEvaluation.Part
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    CLASS_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONFUSION_MATRIX_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_ERROR_FIELD_NUMBER: _ClassVar[int]
    WORST_ROWS_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    output: str
    part: OutputEvaluation.Part
    rows: int
    classes: _containers.RepeatedCompositeFieldContainer[ClassMetrics]
    class_count: int
    confusion_matrix: ConfusionMatrix
    calibration: _containers.RepeatedCompositeFieldContainer[CalibrationBin]
    calibration_error: float
    worst_rows: _containers.RepeatedCompositeFieldContainer[RowEvaluation]
    number: NumberEvaluation
    def __init__(self, output: _Optional[str] = ..., part: _Optional[_Union[OutputEvaluation.Part, str]] = ..., rows: _Optional[int] = ..., classes: _Optional[_Iterable[_Union[ClassMetrics, _Mapping]]] = ..., class_count: _Optional[int] = ..., confusion_matrix: _Optional[_Union[ConfusionMatrix, _Mapping]] = ..., calibration: _Optional[_Iterable[_Union[CalibrationBin, _Mapping]]] = ..., calibration_error: _Optional[float] = ..., worst_rows: _Optional[_Iterable[_Union[RowEvaluation, _Mapping]]] = ..., number: _Optional[_Union[NumberEvaluation, _Mapping]] = ...) -> None: ...

class ClassMetrics(_message.Message):
    __slots__ = ("label", "rows", "predicted_rows", "precision", "recall", "f1")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_ROWS_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    F1_FIELD_NUMBER: _ClassVar[int]
    label: str
    rows: int
    predicted_rows: int
    precision: float
    recall: float
    f1: float
    def __init__(self, label: _Optional[str] = ..., rows: _Optional[int] = ..., predicted_rows: _Optional[int] = ..., precision: _Optional[float] = ..., recall: _Optional[float] = ..., f1: _Optional[float] = ...) -> None: ...

class ConfusionMatrix(_message.Message):
    __slots__ = ("labels", "counts")
    LABELS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedScalarFieldContainer[str]
    counts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, labels: _Optional[_Iterable[str]] = ..., counts: _Optional[_Iterable[int]] = ...) -> None: ...

class CalibrationBin(_message.Message):
    __slots__ = ("lower", "upper", "predictions", "mean_probability", "accuracy")
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    MEAN_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    lower: float
    upper: float
    predictions: int
    mean_probability: float
    accuracy: float
    def __init__(self, lower: _Optional[float] = ..., upper: _Optional[float] = ..., predictions: _Optional[int] = ..., mean_probability: _Optional[float] = ..., accuracy: _Optional[float] = ...) -> None: ...

class RowEvaluation(_message.Message):
    __slots__ = ("row", "source", "loss", "target", "predicted", "probability", "inputs")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ROW_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    row: int
    source: str
    loss: float
    target: str
    predicted: str
    probability: float
    inputs: _containers.ScalarMap[str, str]
    def __init__(self, row: _Optional[int] = ..., source: _Optional[str] = ..., loss: _Optional[float] = ..., target: _Optional[str] = ..., predicted: _Optional[str] = ..., probability: _Optional[float] = ..., inputs: _Optional[_Mapping[str, str]] = ...) -> None: ...

class NumberEvaluation(_message.Message):
    __slots__ = ("mean_error", "targets", "predictions")
    MEAN_ERROR_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    mean_error: float
    targets: _containers.RepeatedScalarFieldContainer[float]
    predictions: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, mean_error: _Optional[float] = ..., targets: _Optional[_Iterable[float]] = ..., predictions: _Optional[_Iterable[float]] = ...) -> None: ...
