"""Updates change what their mask names, and refuse what cannot be changed."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from headstart.v1.training_pb2 import TrainJob
from headstart_server.core.errors import InvalidInputError
from headstart_server.rpc.changes import changes_of

JOB = TrainJob(display_name="new", labels={"team": "b", "x": "1"}, priority=3)


def changes(*paths: str, job: TrainJob = JOB, **kwargs: Any) -> dict[str, Any]:
    return changes_of(
        job, FieldMask(paths=paths), {"team": "a", "kept": "y"}, "train_job", **{"priority": True, **kwargs}
    )


def test_without_a_mask_what_is_set_is_changed() -> None:
    whole = {"display_name": "new", "labels": {"team": "b", "x": "1"}, "priority": 3}
    assert changes() == changes("*") == whole


def test_a_mask_sets_what_is_unset_to_nothing() -> None:
    assert changes("description", "display_name") == {"description": "", "display_name": "new"}


def test_one_label_is_set_or_removed_and_the_others_stay() -> None:
    assert changes("labels.team") == {"labels": {"team": "b", "kept": "y"}}
    assert changes("labels.kept") == {"labels": {"team": "a"}}
    assert changes("labels.team", "labels.kept", "labels.x") == {"labels": {"team": "b", "x": "1"}}


@pytest.mark.parametrize(
    ("paths", "job", "told"),
    [
        (["state"], JOB, "update_mask: names 'state'; use display_name, description, labels, priority or labels.KEY"),
        (["priority.x"], JOB, "names 'priority.x'"),
        (["labels."], JOB, "names 'labels.'"),
        (["priority"], TrainJob(priority=101), "train_job.priority: 101 is out of range"),
        (["labels.Team"], TrainJob(labels={"Team": "a"}), "train_job.labels: has the key 'Team'"),
        ([], TrainJob(display_name="x" * 129), "train_job.display_name: is 129 characters long"),
        ([], TrainJob(labels={"Team": "a"}), "train_job.labels: has the key 'Team'"),
        ([], TrainJob(labels={"team": "a\0b"}), "train_job.labels.team: holds the character NUL"),
        ([], TrainJob(labels={"team": "x" * 129}), "train_job.labels.team: is 129 characters long"),
        ([], TrainJob(labels={str(number): "" for number in range(65)}), "train_job.labels: are 65; use at most 64"),
    ],
)
def test_what_cannot_be_changed_is_refused_by_name(paths: list[str], job: TrainJob, told: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        changes(*paths, job=job)
    assert told in str(refused.value)


def test_what_has_no_priority_cannot_be_given_one() -> None:
    with pytest.raises(InvalidInputError, match="names 'priority'; use display_name, description, labels or"):
        changes("priority", priority=False)
