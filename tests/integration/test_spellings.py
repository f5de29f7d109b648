"""A file in Ludwig's older spelling trains, and the job tells what was read otherwise than written."""

from __future__ import annotations

import headstart
import pytest

OLD = """
model_type: ecd
input_features:
  - {name: review, type: text, encoder: auto_transformer, pretrained_model_name_or_path: tiny-bert}
output_features:
  - {name: verdict, type: category, calibration: false}
training: {epochs: 2, bucketing_field: review, checkpoints_per_epoch: 2, batch_size: 16, decay: true}
preprocessing: {oversample_minority: 1.0, sample_size: 200}
"""


def test_an_old_file_trains_and_its_job_tells_what_was_read_otherwise(client: headstart.Client) -> None:
    run = client.train(OLD, headstart.ServerPath("reviews.csv"))
    events = list(run)
    told = {event.warning.message.split(":")[0] for event in events if event.HasField("warning")}
    assert told >= {
        "training",
        "trainer.bucketing_field",
        "trainer.decay",
        "input_features[0].pretrained_model_name_or_path",
        "output_features[0].calibration",
    }
    spec = client.jobs.get(run.name).spec
    assert (spec.trainer.epochs, spec.output_features[0].decoder.calibration) == (2, False)
    assert spec.input_features[0].encoder.pretrained_model_name_or_path == "tiny-bert"
    reports = [event.epoch_finished for event in events if event.HasField("epoch_finished")]
    assert [(report.epoch, report.evaluation, report.epochs) for report in reports] == [
        (1, 1, pytest.approx(0.5, abs=0.1)),
        (1, 2, 1),
        (2, 3, pytest.approx(1.5, abs=0.1)),
        (2, 4, 2),
    ]
    rates = [report.learning_rate for report in reports]
    assert rates == sorted(rates, reverse=True) and rates[3] / rates[1] == pytest.approx(0.9)
