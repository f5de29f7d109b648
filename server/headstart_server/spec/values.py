"""Kinds of values that keys of a spec take: words to choose from, numbers within bounds."""

from typing import Annotated, Literal

from pydantic import Field

InputType = Literal["text", "image", "number", "category", "binary", "set", "vector"]
Probability = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0, le=1_000_000)]
Positive = Annotated[int, Field(ge=1, le=1_000_000_000)]
Width = Annotated[int, Field(ge=1, le=16_384)]
Layers = Annotated[int, Field(ge=0, le=64)]
Word = Annotated[str, Field(max_length=1_000)]
Weight = Annotated[float, Field(ge=1e-6, le=1e6)]
"""Of a loss. Outside these bounds float32 loses one to the other; a batch of weight 0 has no mean."""
Precision = Literal["fp32", "bf16", "fp16"]
Reduction = Literal["cls", "cls_pooled", "mean", "max", "last", "sum"]
Norm = Literal["batch", "layer", "ghost", "none"]
Activation = Literal["relu", "gelu", "tanh", "leakyRelu", "sigmoid", "elu"]
MissingStrategy = Literal[
    "fill_with_const",
    "fill_with_mode",
    "fill_with_mean",
    "fill_with_false",
    "fill_with_unknown",
    "drop_row",
    "fail",
]
Decay = Literal["constant", "linear", "cosine", "exponential", "polynomial"]
LossType = Literal[
    "softmax_cross_entropy",
    "binary_weighted_cross_entropy",
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
    "sigmoid_cross_entropy",
]
OptimizerType = Literal[
    "adamw", "adam", "sgd", "adafactor", "nadam", "radam", "adagrad", "adadelta", "adamax", "rmsprop", "asgd"
]
