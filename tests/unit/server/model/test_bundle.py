"""A bundle read back predicts what the model predicted; frozen encoders are kept once and outlive their folder."""

import json
import shutil
from collections.abc import Collection
from pathlib import Path

import pytest
import torch
from headstart_server.core.digests import fingerprint
from headstart_server.core.errors import FailedPreconditionError, NotFoundError, UnavailableError
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text_preparation import TextPreparation, load_preparation
from headstart_server.model.bundle import described_bundle
from headstart_server.model.encoder_store import EncoderStore
from headstart_server.model.registry import ModelRegistry
from headstart_server.storage.folders import SharedFolders
from safetensors.torch import load_file, save_file

from tests.support.bundles import SPEC, TEXTS, saved_bundle
from tests.support.training import feature_of


@pytest.mark.parametrize("family", ["bert", "t5", "gpt2"])
@pytest.mark.parametrize("trainable", [False, True])
def test_a_bundle_read_back_predicts_what_the_model_predicted(
    tmp_path: Path, tiny_models: dict[str, Path], trainable: bool, family: str
) -> None:
    folder = shutil.copytree(tiny_models[family], tmp_path / "weights")
    bundle, model, batch = saved_bundle(tmp_path, folder, trainable=trainable)
    shutil.rmtree(folder)
    again = bundle.model(EncoderStore(SharedFolders(tmp_path / "encoder_store")), with_encoders=True)
    with torch.no_grad():
        one, other = model(batch), again(batch)
        assert torch.allclose(one["out"], other["out"], atol=1e-6)
        assert torch.allclose(model.probabilities(one)["out"], again.probabilities(other)["out"], atol=1e-6)
    assert not again.training
    assert bundle.spec == SPEC
    assert [feature.to_json() for feature in bundle.inputs] == [
        feature.to_json() for feature in (feature_of("t", "text", TEXTS), feature_of("x", "number", [1.0, 2.0, 4.0]))
    ]


def test_without_encoders_it_takes_embeddings(tmp_path: Path, tiny_bert: Path) -> None:
    bundle, model, batch = saved_bundle(tmp_path, tiny_bert, trainable=False)
    head = bundle.model(EncoderStore(SharedFolders(tmp_path / "encoder_store")), with_encoders=False)
    tokens = batch["t"]
    with torch.no_grad():
        embeddings = model.pretrained()["t"].encoder(tokens.ids, tokens.mask)
        found = head({"t": embeddings, "x": batch["x"]})["out"]
        assert torch.allclose(found, model(batch)["out"], atol=1e-6)


@pytest.mark.parametrize("trainable", [False, True])
def test_the_tokenizer_and_the_sample_come_along(tmp_path: Path, tiny_bert: Path, trainable: bool) -> None:
    bundle, _, _ = saved_bundle(tmp_path, tiny_bert, trainable=trainable)
    preparation = bundle.preparation("t", EncoderStore(SharedFolders(tmp_path / "encoder_store")))
    expected = load_preparation(ModelSource("tiny", tiny_bert), 16, "f").tokenize(TEXTS)
    assert isinstance(preparation, TextPreparation)
    assert preparation.tokenize(TEXTS).ids.tolist() == expected.ids.tolist()
    assert preparation.padding == 0
    assert bundle.sample().to_pydict() == {"t": TEXTS, "x": [1.0, 2.0, 4.0]}


def test_a_frozen_encoder_is_kept_once_however_many_models_use_it(tmp_path: Path, tiny_bert: Path) -> None:
    for name in ("m1", "m2"):
        saved_bundle(tmp_path, tiny_bert, trainable=False, name=name)
    [kept] = (tmp_path / "encoder_store").iterdir()
    assert (kept / "model.safetensors").read_bytes() == (tiny_bert / "model.safetensors").read_bytes()
    assert not list((tmp_path / "models").glob("*/encoders"))


def test_a_kept_encoder_has_the_digests_of_its_source(tmp_path: Path, tiny_bert: Path) -> None:
    encoder_store, source = EncoderStore(SharedFolders(tmp_path)), ModelSource("tiny", tiny_bert)
    kept = encoder_store.source(encoder_store.keep(source), "tiny")
    assert isinstance(kept, ModelSource)
    assert kept.weights_digest == source.weights_digest
    assert kept.tokenizer_digest == source.tokenizer_digest


def test_an_encoder_that_is_gone_is_named(tmp_path: Path, tiny_bert: Path) -> None:
    bundle, _, _ = saved_bundle(tmp_path, tiny_bert, trainable=False)
    shutil.rmtree(tmp_path / "encoder_store")
    with pytest.raises(FailedPreconditionError, match="'tiny'"):
        bundle.model(EncoderStore(SharedFolders(tmp_path / "encoder_store")), with_encoders=True)


def test_a_bundle_is_safetensors_json_and_arrow_alone(tmp_path: Path, tiny_bert: Path) -> None:
    saved_bundle(tmp_path, tiny_bert, trainable=True)
    endings = {path.suffix for path in (tmp_path / "models" / "m1").rglob("*") if path.is_file()}
    assert endings <= {".safetensors", ".json", ".arrow", ".txt"}
    assert isinstance(json.loads((tmp_path / "models" / "m1" / "bundle.json").read_text()), dict)


def test_its_digest_names_its_content(tmp_path: Path, tiny_bert: Path) -> None:
    one, _, _ = saved_bundle(tmp_path, tiny_bert, trainable=False, name="m1")
    other, _, _ = saved_bundle(tmp_path, tiny_bert, trainable=False, name="m2")
    assert one.details["digest"] != other.details["digest"]
    assert set(one.details["files"]) >= {"head.safetensors", "sample.arrow"}


def test_the_registry_finds_lists_and_deletes(tmp_path: Path, tiny_bert: Path) -> None:
    registry = ModelRegistry(SharedFolders(tmp_path / "models"))
    assert list(registry.all()) == []
    for name in ("m1", "m2"):
        saved_bundle(tmp_path, tiny_bert, trainable=False, name=name)
    (tmp_path / "models" / ".half.tmp").mkdir()
    assert [bundle.folder.name for bundle in registry.all()] == ["m2", "m1"]
    assert registry.get("m1").details["job"] == "j"
    registry.delete("m1")
    for lost in (registry.get, registry.delete):
        with pytest.raises(NotFoundError):
            lost("m1")


def test_the_registry_shows_what_is_published_and_all_where_nobody_can_tell(tmp_path: Path, tiny_bert: Path) -> None:
    hidden, away, asked = {"m2", "m3"}, False, list[set[str]]()

    def unpublished(models: Collection[str]) -> set[str]:
        asked.append(set(models))
        if away:
            raise UnavailableError("the database does not answer")
        return hidden & set(models)

    registry = ModelRegistry(SharedFolders(tmp_path / "models"), unpublished)
    for name in ("m1", "m2", "m3"):
        saved_bundle(tmp_path, tiny_bert, trainable=False, name=name)
    assert [name for name, _ in registry.summaries()] == ["m1"]
    hidden.remove("m2")
    assert [bundle.folder.name for bundle in registry.all()] == ["m2", "m1"]
    for lost in (registry.get, registry.delete):
        with pytest.raises(NotFoundError):
            lost("m3")
    assert registry.get("m2").details["job"] == "j"
    assert asked == [{"m1", "m2", "m3"}, {"m2", "m3"}, {"m3"}, {"m3"}]  # what is published stays so
    away = True
    assert [name for name, _ in registry.summaries()] == ["m3", "m2", "m1"]
    silent = registry._silent_until
    assert registry.get("m3").details["job"] == "j"
    assert asked.pop() == {"m3"} and len(asked) == 4  # asked once, and then for a while nobody
    assert registry._silent_until == silent  # which lasts no longer the more often somebody comes
    away, registry._silent_until = False, 0.0
    assert [name for name, _ in registry.summaries()] == ["m2", "m1"]


def test_the_registry_remembers_no_model_that_is_gone(tmp_path: Path, tiny_bert: Path) -> None:
    registry, other = (ModelRegistry(SharedFolders(tmp_path / "models")) for _ in range(2))
    for name in ("m1", "m2", "m3"):
        saved_bundle(tmp_path, tiny_bert, trainable=False, name=name)
    assert [name for name, _ in registry.summaries()] == ["m3", "m2", "m1"]
    registry.delete("m1")
    assert len(registry._summaries) == 2
    other.delete("m2")
    assert [name for name, _ in registry.summaries("m3")] == []
    assert len(registry._summaries) == 2  # a part of the list tells nothing of the others
    assert [name for name, _ in registry.summaries()] == ["m3"]
    assert len(registry._summaries) == 1


def test_a_bundle_of_before_heads_had_kinds_is_read(tmp_path: Path, tiny_bert: Path) -> None:
    bundle, model, batch = saved_bundle(tmp_path, tiny_bert, trainable=False)
    path = bundle.folder / "head.safetensors"
    save_file({name.removeprefix("head."): tensor for name, tensor in load_file(path).items()}, path)
    again = bundle.model(EncoderStore(SharedFolders(tmp_path / "encoder_store")), with_encoders=True)
    with torch.no_grad():
        assert torch.equal(again(batch)["out"], model(batch)["out"])


def test_a_head_of_a_later_version_is_named(tmp_path: Path, tiny_bert: Path) -> None:
    bundle, _, _ = saved_bundle(tmp_path, tiny_bert, trainable=False)
    content = json.loads((bundle.folder / "bundle.json").read_bytes())
    assert content["head"] == {"kind": "neural"}
    details = content.pop("details")
    content["head"]["kind"] = "forest"
    details = {**details, "digest": fingerprint({**content, "files": details["files"]})}
    details["seal"] = fingerprint({key: value for key, value in details.items() if key != "seal"})
    with pytest.raises(FailedPreconditionError, match="a head of kind 'forest', which this version does not know"):
        described_bundle(bundle.folder, json.dumps({**content, "details": details}).encode())
