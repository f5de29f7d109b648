"""Each tenant finds what it has and nothing else, also where names or bytes are equal."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.errors import (
    FailedPreconditionError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
)
from headstart_server.core.executors import Executors
from headstart_server.core.layout import Layout
from headstart_server.core.principal import Principal
from headstart_server.core.states import State
from headstart_server.data.source import SourceRecord
from headstart_server.data.uploads import Uploads
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.envelopes import (
    PREDICTIONS,
    JobEnvelope,
    PredictionsOrder,
    RuntimeSettings,
    job_envelope,
    to_plain,
)
from headstart_server.engines.runtime_context import RuntimeContext, runtime_of
from headstart_server.export.artifacts import ArtifactRegistry
from headstart_server.jobs.export_records import ExportOrder, ExportRecord, ExportState
from headstart_server.jobs.export_store import ExportStore
from headstart_server.jobs.store import JobStore
from headstart_server.model.bundle import Bundle
from headstart_server.model.registry import ModelRegistry
from headstart_server.service.admission import DataPath
from headstart_server.service.datasets import DatasetService
from headstart_server.service.embeddings import EmbeddingService
from headstart_server.service.model_names import ModelNames
from headstart_server.service.models import ModelService
from headstart_server.service.tenants import Tenants
from headstart_server.spec.model import TrainSpec
from headstart_server.storage.storage import Storage

from tests.support.artifacts import publish
from tests.support.bundles import saved_bundle
from tests.support.fake_predictor import EmptyModelPool
from tests.support.fake_workers import job_record
from tests.support.stores import embedding_of, keys_of, space_of
from tests.support.tenancy import tenants_of

DATA = b"review,label\ngood,1\nbad,0\n"
NOBODY: Any = None
NO_MODELS: Any = EmptyModelPool()


def uploaded(uploads: Uploads, data: bytes = DATA) -> str:
    with uploads.receive("rows.csv", "", "") as upload:
        upload.write(data)
        return upload.finish().identifier


def test_equal_bytes_of_two_tenants_are_two_data_sets(tmp_path: Path) -> None:
    tenants = tenants_of(tmp_path)
    names = {tenant: uploaded(tenants.of(tenant).uploads) for tenant in ("a", "b", "")}
    assert len(set(names.values())) == 3
    for tenant, name in names.items():
        assert [dataset.identifier for dataset in tenants.of(tenant).uploads.all()] == [name]
    tenants.of("b").uploads.delete(names["b"])
    assert tenants.of("a").uploads.get(names["a"]).sha256 == tenants.of("").uploads.get(names[""]).sha256


def test_what_the_default_tenant_has_stays_where_it_was(tmp_path: Path) -> None:
    tenants = tenants_of(tmp_path)
    uploaded(tenants.of("").uploads)
    publish(tenants.artifacts_of(""))
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "tables") == ["artifacts", "datasets"]


@pytest.mark.parametrize("shared_storage", [False, True])
def test_what_one_tenant_has_no_other_finds_by_name(tmp_path: Path, shared_storage: bool) -> None:
    (tmp_path / "bucket").mkdir()
    url = str(tmp_path / "bucket") if shared_storage else ""
    runtime = RuntimeContext.at(Storage(Layout(tmp_path / "state"), url), ModelSources(), use_gpu=False)
    tenants = Tenants(runtime)
    dataset, artifact = uploaded(tenants.of("a").uploads), publish(tenants.artifacts_of("a")).identifier
    elsewhere = Tenants(RuntimeContext.at(Storage(Layout(tmp_path / "other"), url), ModelSources(), use_gpu=False))
    finders = [tenants, elsewhere] if shared_storage else [tenants]
    for found in finders:
        assert found.of("a").uploads.get(dataset).identifier == dataset
        assert found.artifacts_of("a").get(artifact).identifier == artifact
        for tenant in ("", "b", "A"):
            with pytest.raises(NotFoundError):
                found.of(tenant).uploads.get(dataset)
            with pytest.raises(NotFoundError):
                found.artifacts_of(tenant).get(artifact)
            assert (list(found.of(tenant).uploads.all()), list(found.artifacts_of(tenant).all())) == ([], [])
    assert ArtifactRegistry(Storage(Layout(tmp_path / "state", "a"), url).artifacts).get(artifact)


async def test_a_page_of_models_reads_no_others(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("m1", "m2", "m3", "m4"):
        saved_bundle(tmp_path / "tenants" / "a", tiny_bert, trainable=False, name=name)
    read, described = list[str](), ModelRegistry._described

    def noted(registry: ModelRegistry, name: str) -> Bundle:
        read.append(name)
        return described(registry, name)

    monkeypatch.setattr(ModelRegistry, "_described", noted)
    jobs = JobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    service = ModelService(tenants_of(tmp_path), NO_MODELS, Executors(), ModelNames.of(jobs, Executors()))
    pages = [await service.listed(Principal("a"), 2, before, None) for before in ("", "m3")]
    assert [[model.bundle.folder.name for model in page] for page in pages] == [["m4", "m3"], ["m2", "m1"]]
    assert read == ["m4", "m3", "m2", "m1"]
    assert await service.listed(Principal("b"), 2, "", None) == []
    jobs.close()


async def test_whether_another_tenants_data_set_is_in_use_is_not_told(tmp_path: Path) -> None:
    tenants, jobs = tenants_of(tmp_path), JobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    name = uploaded(tenants.of("a").uploads)
    jobs.create(job_record(tenant="a", state=State.TRAINING, sources=[SourceRecord("dataset", "", "csv", name)]))
    service = DatasetService(tenants, jobs, Executors())
    with pytest.raises(NotFoundError, match=f"^datasets/{name} does not exist$"):
        await service.delete(Principal("b"), name)
    with pytest.raises(FailedPreconditionError, match="is in use by trainJobs/"):
        await service.delete(Principal("a"), name)
    predicted = uploaded(tenants.of("a").uploads, b"y\n2\n")
    order = ExportOrder("m", PREDICTIONS, False, PredictionsOrder(SourceRecord("dataset", "", "csv", predicted)))
    export = ExportRecord("e1", "a", order, ExportState.QUEUED, datetime.now(UTC))
    exports = ExportStore(jobs.database)
    exports.create(export)
    with pytest.raises(FailedPreconditionError, match="is in use by exportJobs/e1"):
        await service.delete(Principal("a"), predicted)
    exports.cancel("e1")
    await service.delete(Principal("a"), predicted)
    jobs.close()


def below_root(tenants: Tenants, tenant: str, path: str) -> SourceRecord:
    [record] = tenants.of(tenant).admission.files({"dataset": DataPath(path)}, Path("unused"))
    return record


@pytest.mark.parametrize("remote", [False, True])
def test_a_tenant_reads_below_its_own_folder_of_the_data_root_alone(tmp_path: Path, remote: bool) -> None:
    root = tmp_path / "data"
    for name in ("a/rows.csv", "b/rows.csv", "common.csv"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(DATA)
    (root / "a" / "link.csv").symlink_to(root / "b" / "rows.csv")
    url = f"file://{root}"
    tenants = tenants_of(tmp_path / "state", data_root=url if remote else str(root))
    record = below_root(tenants, "a", "rows.csv")
    if remote:
        assert (record.root, record.path) == (f"{url}/a", "rows.csv")
    else:
        assert (record.path, record.folders) == (str(root / "a" / "rows.csv"), [str(root / "a")] * 2)
    for path in ("common.csv", "b/rows.csv", "../b/rows.csv", "../common.csv", "a/rows.csv", str(root / "a/rows.csv")):
        with pytest.raises(InvalidInputError):
            below_root(tenants, "a", path)
    if not remote:
        with pytest.raises(InvalidInputError, match="leaves the configured root"):
            below_root(tenants, "a", "link.csv")
    with pytest.raises(InvalidInputError, match="is no file below the data root"):
        below_root(tenants, "c", "rows.csv")
    assert below_root(tenants, "", "common.csv").path.endswith("common.csv")


@pytest.mark.parametrize("shares", [False, True])
def test_stored_rows_are_found_by_others_only_where_the_operator_says_so(tmp_path: Path, shares: bool) -> None:
    layout = Layout(tmp_path, shared_content=shares)
    tenants = Tenants(RuntimeContext.at(Storage(layout), ModelSources(), use_gpu=False))
    keys = keys_of(["a text", "another"])
    tenants.of("a").runtime.store.space(space_of()).add(keys, embedding_of(keys))
    for tenant in ("b", ""):
        space = tenants.of(tenant).runtime.store.space(space_of())
        space.refresh()
        assert space.contains(keys).tolist() == [shares, shares]
        listed = tenants.of(tenant).runtime.store.summaries()
        assert sum(summary.rows for summary in listed) == (2 if shares else 0)


async def test_a_shared_space_is_the_operators_to_delete(tmp_path: Path) -> None:
    tenants = Tenants(RuntimeContext.at(Storage(Layout(tmp_path, shared_content=True)), ModelSources(), use_gpu=False))
    tenants.of("a").runtime.store.space(space_of())
    service = EmbeddingService(tenants, NOBODY, 1, Executors())
    with pytest.raises(PermissionDeniedError, match="shared by all tenants"):
        await service.delete(Principal("a"), space_of().identifier)
    await service.delete(Principal(), space_of().identifier)
    assert await service.spaces(Principal("a")) == []


def test_a_job_is_its_tenants_wherever_it_travels() -> None:
    settings = RuntimeSettings("/state", "a", shared_content=True, storage_url="s3://bucket")
    envelope = JobEnvelope("j", "", TrainSpec(), [], settings)
    assert job_envelope(to_plain(envelope)).runtime == settings
    there = settings.elsewhere()
    assert (there.state_dir, there.tenant, there.shared_content) == (None, "a", True)


def test_a_process_that_works_for_several_tenants_keeps_them_apart(tmp_path: Path) -> None:
    settings = {tenant: RuntimeSettings(str(tmp_path), tenant) for tenant in ("", "a", "b")}
    found = {tenant: runtime_of(each, use_gpu=False) for tenant, each in settings.items()}
    assert {tenant: runtime.layout.models for tenant, runtime in found.items()} == {
        "": tmp_path / "models",
        "a": tmp_path / "tenants" / "a" / "models",
        "b": tmp_path / "tenants" / "b" / "models",
    }
    assert runtime_of(settings["a"], use_gpu=False) is found["a"]
    assert len({runtime.store.root for runtime in found.values()}) == 3
