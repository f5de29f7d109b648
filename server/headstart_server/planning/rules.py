"""The documented rules behind `auto` values. Each returns (value, reason)."""

import math

from headstart_server.spec.layers import fc_layers
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.training_sections import TrainerSpec

STORED_EPOCHS = 20
ENCODER_EPOCHS = 3
LINEAR_HEAD_LEARNING_RATE = 1e-2
FEW_ROWS = 1_000
FEW_ROWS_LEARNING_RATE = 4e-3
HEAD_LEARNING_RATE = 1e-3
ENCODER_LEARNING_RATE = 5e-5
ADAPTER_LEARNING_RATE = 5e-4
MAX_BATCH = 1_024
MAX_ENCODER_BATCH = 32
MIN_BATCH = 16


def epochs(*, encoder_runs: bool) -> tuple[int, str]:
    """Epochs by what an epoch costs."""
    if encoder_runs:
        return ENCODER_EPOCHS, "an encoder runs in every epoch; three are the usual fine-tune (Devlin et al. 2019)"
    return STORED_EPOCHS, "epochs over stored embeddings are cheap, and early stopping ends them"


def batch_size(rows: int, trainer: TrainerSpec, *, encoder_trains: bool) -> tuple[int, str]:
    """Rows per step: about 50 steps an epoch, a power of two, bounded; memory is measured afterwards."""
    most = MAX_ENCODER_BATCH if encoder_trains else MAX_BATCH
    most = min(most, trainer.max_batch_size or most)
    wanted = 2 ** round(math.log2(max(1, rows / 50)))
    size = max(1, min(most, max(min(MIN_BATCH, most), wanted), rows))
    return (
        size,
        f"about 50 steps an epoch over {rows} training rows, a power of two from {min(MIN_BATCH, most)} to {most}",
    )


def learning_rate(spec: TrainSpec, rows: int, *, encoder_trains: bool, adapts: bool = False) -> tuple[float, str]:
    """The peak rate. Ludwig's 2e-5 for frozen encoders leaves a head almost where it started; these rates are those
    that `benchmarks/accuracy.py` holds to scikit-learn's logistic regression on the same embeddings.
    """
    if adapts:
        return ADAPTER_LEARNING_RATE, "the rate of the paper on LoRA for small encoders; new layers learn at 1e-3"
    if encoder_trains:
        return ENCODER_LEARNING_RATE, "the usual rate of fine-tuned encoders; new layers learn at 1e-3"
    stacks = [fc_layers(spec.combiner), *(fc_layers(feature.decoder) for feature in spec.output_features)]
    if not any(stacks):
        if rows < FEW_ROWS:
            reason = f"below {FEW_ROWS} rows a faster head fits them within an epoch or two, too few to choose among"
            return FEW_ROWS_LEARNING_RATE, reason
        return LINEAR_HEAD_LEARNING_RATE, "a linear head on standardised inputs is convex and learns fast"
    return HEAD_LEARNING_RATE, "the usual rate of new layers under Adam on standardised inputs"


def warmup_fraction(*, encoder_trains: bool) -> tuple[float, str]:
    """Warm-up protects pretrained weights from the first, noisy steps."""
    if encoder_trains:
        return 0.1, "pretrained weights are warmed up over a tenth of the steps"
    return 0.0, "a head has nothing to lose in its first steps"


def rate_scale(scaling: str, workers: int) -> float:
    """By what a learning rate is multiplied where each of several workers adds a batch to every step.

    Source: `linear` Goyal et al. 2017, arXiv:1706.02677; `sqrt` Krizhevsky 2014, arXiv:1404.5997.
    """
    match scaling:
        case "linear":
            return float(workers)
        case "sqrt":
            return math.sqrt(workers)
        case _:
            return 1.0
