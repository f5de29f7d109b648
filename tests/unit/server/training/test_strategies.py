"""Which encoders processes may share in parts: those that read a batch at once; the others are told what to set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.encoders.batch_sharing import BatchSharing
from headstart_server.encoders.text_encoder import TextEncoder
from headstart_server.encoders.tuning import Tuning
from headstart_server.model.ecd import ECD, PretrainedInput
from headstart_server.model.world import World
from headstart_server.spec.model import CombinerSpec
from headstart_server.training.parallel.base import Sharing
from headstart_server.training.parallel.strategies import parallelise
from torch import Tensor, nn

from tests.support.training import feature_of


class Words(nn.Module):
    """A table of tokens."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
        raise NotImplementedError


@dataclass
class Two:
    """A world of two processes, of which nobody asks more than its size."""

    size: int = 2


def model(sharing: BatchSharing) -> ECD:
    """A model over a text encoder whose batches are as given."""
    item = PretrainedInput(4, Tuning.FULL)
    encoder = TextEncoder(Words(), "mean", 4)
    encoder.sharing = sharing
    item.restore(encoder)
    inputs = (feature_of("t", "text", ["a", "b"]),)
    outputs = (feature_of("y", "category", ["a", "b", "c"], output=True),)
    return ECD(inputs, outputs, CombinerSpec.model_validate({}), {"t": item})


@pytest.mark.parametrize("strategy", ["fsdp", "deepspeed"])
@pytest.mark.parametrize("sharing", [BatchSharing("one length"), BatchSharing("alone"), BatchSharing(shortest=5)])
def test_an_encoder_that_reads_a_batch_in_passes_is_not_shared_in_parts(strategy: str, sharing: BatchSharing) -> None:
    with pytest.raises(FailedPreconditionError, match=r"encoder of 't'.*set backend.trainer.strategy to ddp") as caught:
        parallelise(model(sharing), cast(World, Two()), Sharing(strategy))
    assert (caught.value.reason, caught.value.field) == ("STRATEGY_UNSUITED", "backend.trainer.strategy")
