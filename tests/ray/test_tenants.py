"""On a cluster, too, a job reads and writes what its tenant has, on machines that share a storage alone."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import grpc
import pytest
from headstart.v1 import training_pb2 as pb

from tests.support import reviews
from tests.support.any_rpc import called
from tests.support.ray_jobs import HALF
from tests.support.tenant_rows import job_request
from tests.support.tenant_server import TENANT, TenantServer
from tests.support.tiny_models import save_bert

pytest.importorskip("ray", reason="Ray is not installed: pip install 'headstart[ray]'")


def test_a_job_on_workers_publishes_among_what_its_tenant_has(tmp_path: Path) -> None:
    save_bert(tmp_path / "models" / "tiny-bert", dropout=False)
    (tmp_path / "data" / "alice").mkdir(parents=True)
    (tmp_path / "bucket").mkdir()
    reviews.write_csv(tmp_path / "data" / "alice" / "reviews.csv", reviews.make_rows(120))
    flags = [f"--{name}-root={tmp_path / folder}" for name, folder in (("model", "models"), ("data", "data"))]
    server = TenantServer(tmp_path / "state", *flags, f"--storage-url={tmp_path / 'bucket'}")
    request = job_request(dataset=pb.DatasetSource(path="reviews.csv"))
    request.spec.backend.type = "ray"
    request.spec.backend.trainer.num_workers = 2
    request.spec.backend.trainer.resources_per_worker.update(HALF)
    eager = {"RAY_worker_niceness": "0"}  # Ray lets its workers wait for whatever else the machine does
    with mock.patch.dict(os.environ, eager), server, grpc.insecure_channel(server.address) as channel:
        answers = called(channel, "TrainingService.TrainJob", request, metadata=((TENANT, "alice"),)).answers
        assert [event for event in answers if event.HasField("model_published")], answers[-1]
    for kind in ("models", "embeddings"):
        assert list((tmp_path / "bucket" / "tenants" / "alice" / kind).iterdir())
        assert not (tmp_path / "bucket" / kind).exists()
