"""The file of quotas: what it says holds, what it cannot mean is named, and a change is taken without a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.quotas import Quotas, TenantQuotas
from headstart_server.service.quota_file import QuotaFile, read_quotas
from structlog.testing import capture_logs

TEXT = """
defaults:
  running_jobs: 2
  predict_rows_per_second: 50
tenants:
  acme:
    running_jobs: 8
    dataset_bytes: 1000000
  free:
    predict_rows_per_second: null
"""


def test_a_tenant_takes_from_the_defaults_what_it_leaves_out(tmp_path: Path) -> None:
    file = tmp_path / "quotas.yaml"
    file.write_text(TEXT)
    quotas = Quotas(read_quotas(file))
    assert quotas.of("acme") == TenantQuotas(running_jobs=8, dataset_bytes=1_000_000, predict_rows_per_second=50)
    assert quotas.of("free") == TenantQuotas(running_jobs=2)
    assert quotas.of("another") == TenantQuotas(running_jobs=2, predict_rows_per_second=50)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tenants: {acme: {jobs: 8}}", "tenants.acme.jobs: .*keys are running_jobs, queued_jobs"),
        ("defaults: {running_jobs: 0}", "defaults.running_jobs: .*greater than or equal to 1"),
        ("defaults: {running_jobs: '2'}", "defaults.running_jobs: .*valid integer"),
        ("defaults: {dataset_rows: -1}", "defaults.dataset_rows"),
        ("defaults: {predict_rows_per_second: .inf}", "defaults.predict_rows_per_second"),
        ("[1, 2]", "valid dictionary"),
        ("a: [", "no YAML"),
    ],
)
def test_what_cannot_be_meant_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "quotas.yaml"
    file.write_text(text)
    with pytest.raises(FailedPreconditionError, match=said):
        read_quotas(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FailedPreconditionError, match="No such file"):
        QuotaFile(tmp_path / "none.yaml", Quotas())


def test_a_change_is_taken_and_a_mistake_changes_nothing(tmp_path: Path) -> None:
    file, quotas = tmp_path / "quotas.yaml", Quotas()
    file.write_text("defaults: {running_jobs: 1}")
    watched = QuotaFile(file, quotas)
    assert quotas.running_limit("") == 1
    file.write_text("defaults: {running_jobs: 23}")
    watched.refresh()
    assert quotas.running_limit("") == 23
    file.write_text("defaults: {running_jobs: many}")
    with capture_logs() as logs:
        watched.refresh()
        watched.refresh()
    assert quotas.running_limit("") == 23
    assert [entry["log_level"] for entry in logs] == ["error"]
    file.unlink()
    watched.refresh()
    assert quotas.running_limit("") == 23
