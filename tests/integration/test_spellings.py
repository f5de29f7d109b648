"""A file in Ludwig's older spelling trains, and the job tells what was read otherwise than written."""

from __future__ import annotations

import json

import headstart
import pytest
from headstart.v1 import training_pb2 as pb
from headstart.values.plain import plain

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


def test_a_converted_file_plans_the_same_without_warnings(client: headstart.Client) -> None:
    rows = headstart.ServerPath("reviews.csv")
    old = client.plan(OLD, rows)
    assert {item.reason for item in old.warnings} == {"SPELLING"}
    assert client.plan(OLD).spec_yaml == old.spec_yaml
    new = client.plan(old.spec_yaml, rows)
    assert list(new.warnings) == []
    assert settled(new) == settled(old)
    assert new.spec_yaml == "\n".join(line for line in old.spec_yaml.split("\n") if not line.startswith("#"))


def settled(plan: pb.PlanTrainJobResponse) -> tuple[dict[str, str], int, list[str]]:
    """What a plan says of training."""
    values = {item.path: json.dumps(plain(item.value)) for item in plan.resolved_values}
    return values, plan.train_rows, [item.embedding_space for item in plan.encode]


@pytest.mark.parametrize("call", ["plan", "train"])
def test_what_planning_refuses_is_named_as_the_file_writes_it(client: headstart.Client, call: str) -> None:
    bad = OLD.replace("encoder: auto_transformer", "encoder: no_such_encoder")
    with pytest.raises(headstart.InvalidArgument) as caught:
        found = getattr(client, call)(bad, headstart.ServerPath("reviews.csv"))
        list(found)
    assert [item.field for item in caught.value.violations] == ["input_features[0].encoder"]


def test_layers_that_differ_are_trained_kept_and_exported(client: headstart.Client) -> None:
    layers = "combiner: {fc_layers: [{fc_size: 24, activation: tanh}, {output_size: 6, dropout: 0.1, norm: layer}]}\n"
    job = client.train(OLD + layers, headstart.ServerPath("reviews.csv")).result()
    widths = [layer.output_size for layer in job.resolved_spec.combiner.fc_layers]
    assert widths == [24, 6]
    rows = {"review": ["great great film", "awful awful film"]}
    assert len(client.predict(job.model, rows)["verdict"].values) == 2
    exported = client.export(job.model)
    assert exported.artifact.max_difference < 1e-4
