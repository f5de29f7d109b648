"""A model whose files were altered is refused by name, wherever the damage lies; its neighbours are not."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.errors import DataLossError, NotFoundError
from headstart_server.model.encoder_store import EncoderStore
from headstart_server.model.integrity import deletion_named, verify_files
from headstart_server.model.registry import ModelRegistry
from headstart_server.storage.folders import SharedFolders

from tests.support.bundles import saved_bundle
from tests.support.scraped import damaged


def _flip(path: Path) -> None:
    """Changes one bit in the middle of a file, keeping its size."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("harm", [_flip, _remove])
@pytest.mark.parametrize("name", ["head.safetensors", "sample.arrow"])
def test_a_damaged_file_is_named(tmp_path: Path, tiny_bert: Path, name: str, harm: Callable[[Path], None]) -> None:
    saved_bundle(tmp_path, tiny_bert, trainable=False)
    harm(tmp_path / "models" / "m1" / name)
    with pytest.raises(DataLossError, match=f"models/m1 is damaged: {name}"):
        ModelRegistry(SharedFolders(tmp_path / "models")).get("m1")


@pytest.mark.parametrize("change", ["statistics", "name", "metrics", "no digest", "no JSON", "a list"])
def test_an_altered_description_is_refused(tmp_path: Path, tiny_bert: Path, change: str) -> None:
    saved_bundle(tmp_path, tiny_bert, trainable=False)
    path = tmp_path / "models" / "m1" / "bundle.json"
    content = json.loads(path.read_text())
    if change == "statistics":
        content["inputs"][1]["statistics"] = {**content["inputs"][1]["statistics"], "mean": 1e9}
    if change == "name":
        content["details"]["display_name"] = "another"
    if change == "metrics":
        content["details"]["metrics"] = {"no such": "metric"}
    if change == "no digest":
        del content["details"]["digest"]
    path.write_text({"no JSON": "{", "a list": "[]"}.get(change) or json.dumps(content))
    with pytest.raises(DataLossError, match=r"models/m1 is damaged: bundle\.json"):
        ModelRegistry(SharedFolders(tmp_path / "models")).get("m1")


@pytest.mark.parametrize("harm", [_flip, _remove])
def test_a_damaged_fine_tuned_encoder_is_refused_when_it_is_used(
    tmp_path: Path, tiny_bert: Path, harm: Callable[[Path], None]
) -> None:
    bundle, _, _ = saved_bundle(tmp_path, tiny_bert, trainable=True)
    encoder_store = EncoderStore(SharedFolders(tmp_path / "encoder_store"))
    bundle.model(encoder_store, with_encoders=True)
    harm(tmp_path / "models" / "m1" / "encoders" / "0" / "model.safetensors")
    again = ModelRegistry(SharedFolders(tmp_path / "models")).get("m1")
    with pytest.raises(DataLossError, match=r"models/m1 is damaged: encoders/0/model\.safetensors"):
        again.model(encoder_store, with_encoders=True)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("harm", [_flip, _remove])
def test_a_damaged_kept_encoder_is_refused_by_every_model_that_uses_it(
    tmp_path: Path, tiny_bert: Path, name: str, harm: Callable[[Path], None]
) -> None:
    bundle, _, _ = saved_bundle(tmp_path, tiny_bert, trainable=False)
    encoder_store = EncoderStore(SharedFolders(tmp_path / "encoder_store"))
    bundle.preparation("t", encoder_store)
    [kept] = (tmp_path / "encoder_store").iterdir()
    harm(kept / name)
    for use in (
        lambda: bundle.model(encoder_store, with_encoders=True),
        lambda: bundle.preparation("t", encoder_store),
    ):
        with pytest.raises(DataLossError, match="the kept encoder 'tiny'"):
            use()


def test_a_damaged_model_is_left_out_of_lists_and_can_be_deleted(tmp_path: Path, tiny_bert: Path) -> None:
    for name in ("m1", "m2"):
        saved_bundle(tmp_path, tiny_bert, trainable=False, name=name)
    _flip(tmp_path / "models" / "m1" / "head.safetensors")
    registry = ModelRegistry(SharedFolders(tmp_path / "models"))
    assert [bundle.folder.name for bundle in registry.all()] == ["m2"]
    registry.delete("m1")
    with pytest.raises(NotFoundError):
        registry.get("m1")


def test_a_whole_file_is_read_once_per_process(tmp_path: Path, tiny_bert: Path) -> None:
    saved_bundle(tmp_path, tiny_bert, trainable=True)
    registry, encoder_store = (
        ModelRegistry(SharedFolders(tmp_path / "models")),
        EncoderStore(SharedFolders(tmp_path / "encoder_store")),
    )
    registry.get("m1").model(encoder_store, with_encoders=True)
    for path in (tmp_path / "models" / "m1").rglob("*.safetensors"):
        before = path.stat()
        _flip(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # what only who reads it again would notice
    registry.get("m1").source("t", encoder_store)


def test_damaged_models_are_counted_and_none_counts_as_missing(tmp_path: Path, tiny_bert: Path) -> None:
    saved_bundle(tmp_path, tiny_bert, trainable=False)
    registry = ModelRegistry(SharedFolders(tmp_path / "models"))
    shutil.copytree(tmp_path / "models" / "m1", tmp_path / "models" / "m2")
    for name in ("m3", "m4"):
        (tmp_path / "models" / name).mkdir()
    (tmp_path / "models" / "m2" / "bundle.json").write_text("{}")
    assert [bundle.folder.name for bundle in registry.all()] == ["m1"]
    assert damaged("models") == 3
    with pytest.raises(DataLossError, match=r"models/m3 is damaged: bundle\.json is gone"):
        registry.get("m3")
    for name in ("m2", "m3", "m4"):
        registry.delete(name)
    assert [bundle.folder.name for bundle in registry.all()] == ["m1"]
    assert damaged("models") == 0


def test_a_model_that_is_deleted_while_it_is_verified_is_missing_and_not_damaged(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved_bundle(tmp_path, tiny_bert, trainable=False)
    registry, verify = ModelRegistry(SharedFolders(tmp_path / "models")), verify_files

    def deleting(*arguments: Any) -> None:
        registry.delete("m1")
        verify(*arguments)

    monkeypatch.setattr("headstart_server.model.bundle.verify_files", deleting)
    with pytest.raises(NotFoundError, match="models/m1 does not exist"):
        registry.get("m1")


def test_what_fails_while_a_model_is_there_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk"), deletion_named(tmp_path, "answer"):
        raise OSError("the disk is gone")
    with (
        pytest.raises(NotFoundError, match="models/gone was deleted before its answer"),
        deletion_named(tmp_path / "gone", "answer"),
    ):
        raise FileNotFoundError("head.safetensors")
