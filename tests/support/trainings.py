"""Trainings that several processes do as one does, and what they give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from headstart_server.encoders.tuning import Tuning
from headstart_server.spec.model import CombinerSpec
from headstart_server.spec.training_sections import OptimizerSpec
from headstart_server.training.penalty import Penalty
from headstart_server.training.plateau import PlateauRule

from tests.support.training import Run, settings_of

_LAYERS = {"num_fc_layers": 1, "output_size": 8}


def runs(bert: Path) -> dict[str, Run]:
    """Trainings of 64 rows; their last batches leave some processes fewer rows than others, or none.

    Parameters that have no influence (biases before a norm, biases of attention keys) have gradients of rounding noise
    alone, which Adam would blow up to whole steps: where there are some, steps are in proportion to gradients.
    """
    combiner, sgd = CombinerSpec.model_validate, OptimizerSpec(type="sgd", momentum=0.9)
    ghost, batch = ({**_LAYERS, "norm": norm} for norm in ("ghost", "batch"))
    return {
        "head, uneven batches": Run(settings_of(batch_size=10)),
        "fewer rows than workers": Run(settings_of(batch_size=21)),
        "balanced classes": Run(settings_of(batch_size=10), loss={"balance_classes": True, "label_smoothing": 0.1}),
        "number": Run(settings_of(batch_size=10), output="number"),
        "accumulation and clipping": Run(settings_of(batch_size=8, accumulation=3, clipping=("clipglobalnorm", 0.5))),
        "in several passes": Run(settings_of(batch_size=21, micro_batch_rows=4), loss={"balance_classes": True}),
        "clipped by value": Run(settings_of(batch_size=8, clipping=("clipvalue", 0.01))),
        "several evaluations in an epoch, penalty": Run(
            settings_of(
                batch_size=10, checkpoints_per_epoch=3, train_steps=16, penalty=Penalty(0.01, 0.02), shuffle=False
            ),
            CombinerSpec.model_validate({**_LAYERS, "dropout": 0.0}),
        ),
        "reduced on a plateau": Run(
            settings_of(batch_size=10, epochs=4, plateau=PlateauRule(2, 0, 0.5, "out.accuracy", "validation"))
        ),
        "momentum": Run(settings_of(batch_size=16), optimizer=sgd),
        "ghost norm": Run(settings_of(batch_size=16), combiner({**ghost, "virtual_batch_size": 4}), sgd),
        "batch norm": Run(settings_of(batch_size=10), combiner(batch), sgd),
        "batch norm, fewer rows than workers": Run(settings_of(batch_size=21), combiner(batch), sgd),
        "trained encoder": Run(settings_of(batch_size=12), optimizer=sgd, text=bert, learning_rate=1e-3),
        "trained encoder, in several passes": Run(
            settings_of(batch_size=21, micro_batch_rows=4), optimizer=sgd, text=bert, learning_rate=1e-3
        ),
        "trained encoder, in passes of few tokens": Run(
            settings_of(batch_size=21, micro_batch_tokens=40), optimizer=sgd, text=bert, learning_rate=1e-3
        ),
        "frozen encoder": Run(settings_of(batch_size=12), text=bert, tuning=Tuning.FROZEN),
        "adapter": Run(settings_of(batch_size=12), optimizer=sgd, text=bert, tuning=Tuning.ADAPTER, learning_rate=1e-2),
    }


@dataclass(frozen=True)
class Trained:
    """What a process has seen and holds in the end."""

    losses: list[tuple[float, float, float]]
    """Training, validation and test loss by epoch."""
    parameters: dict[str, torch.Tensor]
    held: int
    """Elements of parameters that this process held."""


def require_alike(found: list[Trained], expected: Trained) -> None:
    """Losses and parameters are equal to 1e-5."""
    for trained in found:
        torch.testing.assert_close(torch.tensor(trained.losses), torch.tensor(expected.losses), rtol=0, atol=1e-5)
        torch.testing.assert_close(trained.parameters, expected.parameters, rtol=0, atol=1e-5)
