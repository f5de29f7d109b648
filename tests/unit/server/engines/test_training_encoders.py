"""An encoder that trains holds the token vectors of its job's rows alone, and learns the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from headstart_server.encoders import used_tokens
from headstart_server.encoders.used_tokens import UsedTokens

from tests.support import reviews
from tests.support.continued import Trainings, spec
from tests.support.tiny_models import save_bert

ROWS = reviews.make_rows(160)


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_a_job_learns_what_it_learns_with_whole_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decay: float
) -> None:
    save_bert(tmp_path / "models" / "tiny-bert")
    trainings = Trainings(tmp_path / "state", tmp_path / "models")
    cut: list[UsedTokens] = []
    make = UsedTokens.__init__

    def noted(self: UsedTokens, *args: Any) -> None:
        make(self, *args)
        cut.append(self)

    monkeypatch.setattr(UsedTokens, "__init__", noted)
    losses, states = [], []
    for share in (1.0, 0.0):
        monkeypatch.setattr(used_tokens, "_WORTH_IT", share)
        values = spec(encoder={"trainable": True}, epochs=3, learning_rate=3e-3)
        values["trainer"]["optimizer"] = {"type": "adamw", "weight_decay": decay}
        bundle, heard = trainings.train(values, ROWS)
        losses.append([(report.train["loss"], report.validation["loss"]) for report in heard.epochs])
        states.append(trainings.served_state(bundle))
    assert len(cut) == 1
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert list(states[0]) == list(states[1])
    before, used = trainings.pretrained_state(), cut[0].places >= 0
    for name, value in states[0].items():
        if name.endswith("word_embeddings.weight"):
            torch.testing.assert_close(value[used], states[1][name][used], rtol=0, atol=1e-5)
            # what no row has stays as it was, and is not decayed
            assert torch.equal(value[~used], before[name][~used])
        else:
            torch.testing.assert_close(value, states[1][name], rtol=0, atol=1e-5)
