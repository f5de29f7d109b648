"""What training reads of each kind of input, and the model that reads it, standardised as the training rows say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from headstart_server.data.images.loader import ImageLoader, Loader
from headstart_server.data.images.reader import ImageReader
from headstart_server.data.parts import Part
from headstart_server.encoders.image import ImageEncoder
from headstart_server.encoders.text import TextEncoder
from headstart_server.engines.assembly import Assembly
from headstart_server.engines.job_context import job_context_of
from headstart_server.engines.listener import Silent
from headstart_server.engines.preparing import Prepared, prepare_job, stored_inputs
from headstart_server.engines.runtime_context import RuntimeContext, runtime_of
from headstart_server.engines.stored_inputs import StoredInput
from headstart_server.model.ecd import Embedded, PretrainedInput, SkipEncoder, Tokens
from headstart_server.planning.image_inputs import ImagePlan
from headstart_server.planning.rules import ENCODER_EPOCHS
from headstart_server.planning.text_inputs import TextPlan
from headstart_server.training.served import ServedRows
from headstart_server.training.views import Views
from torch import Tensor

from tests.support import reviews
from tests.support.envelopes import job_of
from tests.support.images import png
from tests.support.tiny_models import HIDDEN, save_bert
from tests.support.tiny_vision import save_vit

ROWS, PHOTOS = 60, 12


@dataclass
class Recorded:
    """Makes loaders that load in this process; remembers for how many images."""

    asked: list[tuple[list[str], int]] = field(default_factory=list)

    def __call__(self, readers: Mapping[str, ImageReader], images: int) -> Loader:
        self.asked.append((list(readers), images))
        return ImageLoader(readers, 0)


def prepared_of(root: Path, data: Path, spec: dict[str, Any]) -> tuple[Prepared, RuntimeContext]:
    envelope = job_of(root / "state", data, spec)
    runtime = runtime_of(envelope.runtime, use_gpu=False)
    return prepare_job(job_context_of(envelope, runtime.storage), runtime, Silent()), runtime


def assembly_of(
    prepared: Prepared, runtime: RuntimeContext, stored: Mapping[str, StoredInput], loading: Recorded | None = None
) -> Assembly:
    plan = prepared.plan
    return Assembly(plan.spec, plan.inputs, plan.data, stored, runtime, loading or Recorded())


def fitted(embeddings: Tensor) -> PretrainedInput:
    """The standardisation of embeddings, by hand."""
    item = PretrainedInput(embeddings.shape[1])
    item.standardise(embeddings)
    return item


def require_fitted(item: PretrainedInput, expected: PretrainedInput) -> None:
    torch.testing.assert_close(item.shift, expected.shift, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(item.scale, expected.scale, rtol=1e-4, atol=1e-5)


def texts_spec(**trainer: Any) -> dict[str, Any]:
    """One column read by three inputs, of which each treats its encoder otherwise, and two columns of other types."""
    spec = reviews.spec(**trainer)
    text, *others = spec["input_features"]
    encoder = text["encoder"]
    spec["input_features"] = [
        {**text, "name": "cached", "column": "review"},
        {**text, "name": "frozen", "column": "review", "preprocessing": {"cache_encoder_embeddings": False}},
        {**text, "name": "trained", "column": "review", "encoder": {**encoder, "trainable": True}},
        *others,
    ]
    return spec


@pytest.fixture
def texts(tmp_path: Path) -> tuple[Prepared, RuntimeContext]:
    save_bert(tmp_path / "models" / "tiny-bert", dropout=False)
    data = reviews.write_csv(tmp_path / "reviews.csv", reviews.make_rows(ROWS))
    return prepared_of(tmp_path, data, texts_spec())


def made_up(rows: int = ROWS, seed: int = 0) -> Tensor:
    return torch.randn(rows, HIDDEN, generator=torch.Generator().manual_seed(seed)) * 3 + seed


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve images, the last three of them for tests."""
    save_vit(tmp_path / "models" / "tiny-vit")
    lines = ["image,label,split"]
    for number in range(PHOTOS):
        (tmp_path / f"{number}.png").write_bytes(png(number))
        lines.append(f"{number}.png,{'ab'[number % 2]},{0 if number < 7 else 1 if number < 9 else 2}")
    (tmp_path / "photos.csv").write_text("\n".join(lines))
    return tmp_path / "photos.csv"


def photo_spec(epochs: int | None = None, **image: Any) -> dict[str, Any]:
    encoder = {"type": "auto_transformer", "pretrained_model_name_or_path": "tiny-vit"}
    return {
        "input_features": [{"name": "image", "type": "image", "encoder": encoder, **image}],
        "output_features": [{"name": "label", "type": "category"}],
        "preprocessing": {"split": {"type": "fixed", "column": "split"}},
        "trainer": {} if epochs is None else {"epochs": epochs},
    }


UNCACHED = {"cache_encoder_embeddings": False}


def test_a_feed_holds_embeddings_of_cached_texts_and_tokens_of_others(texts: tuple[Prepared, RuntimeContext]) -> None:
    prepared, runtime = texts
    data, plan = prepared.plan.data, prepared.plan.inputs["frozen"]
    stored = stored_inputs(prepared, runtime, Silent())
    assembly = assembly_of(prepared, runtime, stored)
    feed = assembly.feed(assembly.model())
    train = torch.from_numpy(data.rows(Part.TRAIN))
    embeddings = stored["cached"].embeddings
    assert feed.embedded.keys() == {"cached"} and feed.embedded["cached"].shape == (ROWS, HIDDEN)
    torch.testing.assert_close(feed.embedded["cached"], fitted(embeddings[train])(embeddings).detach())
    assert isinstance(plan, TextPlan)
    tokens = plan.preparation.tokenize([row["review"] for row in reviews.make_rows(ROWS)])
    assert feed.tokens.keys() == {"frozen", "trained"}
    for found in feed.tokens.values():
        np.testing.assert_array_equal(found.column.ids, tokens.ids)
        np.testing.assert_array_equal(found.column.lengths, tokens.lengths)
    assert (set(feed.arrays), set(feed.targets)) == ({"price", "category"}, {"verdict"})
    assert {len(values) for values in (*feed.arrays.values(), *feed.targets.values())} == {ROWS}
    assert sorted(torch.cat(list(feed.parts.values())).tolist()) == list(range(ROWS))
    for part, rows in feed.parts.items():
        np.testing.assert_array_equal(rows.numpy(), data.rows(part))
    assert feed.images is None and feed.runs_encoders


def test_a_model_skips_the_encoders_of_cached_inputs_alone(texts: tuple[Prepared, RuntimeContext]) -> None:
    prepared, runtime = texts
    stored = stored_inputs(prepared, runtime, Silent())
    assembly = assembly_of(prepared, runtime, stored)
    model = assembly.model()
    items = model.pretrained()
    kinds = {name: type(item.encoder) for name, item in items.items()}
    assert kinds == {"cached": SkipEncoder, "frozen": TextEncoder, "trained": TextEncoder}
    learns = {name: [each.requires_grad for each in items[name].encoder.parameters()] for name in kinds}
    assert not any(learns["frozen"]) and all(learns["trained"]) and learns["trained"]
    train = torch.from_numpy(prepared.plan.data.rows(Part.TRAIN))
    expected = fitted(stored["cached"].embeddings[train])
    require_fitted(items["cached"], expected)
    require_fitted(items["frozen"], expected)
    assert not torch.allclose(expected.shift, fitted(stored["cached"].embeddings).shift), "other rows tell apart"
    assert items["trained"].shift.abs().max() == 0 and (items["trained"].scale == 1).all()
    batch, _ = assembly.feed(model).take(torch.arange(5))
    cached, frozen = batch["cached"], batch["frozen"]
    assert isinstance(cached, Embedded) and isinstance(frozen, Tokens)
    torch.testing.assert_close(items["frozen"].eval()(frozen), cached.vectors, rtol=1e-3, atol=1e-4)
    assert model.eval()(batch)["verdict"].shape[0] == 5


def test_encoders_that_train_can_be_left_to_be_read_in_parts(texts: tuple[Prepared, RuntimeContext]) -> None:
    prepared, runtime = texts
    assembly = assembly_of(prepared, runtime, {"cached": StoredInput(made_up())})
    items = assembly.model(in_parts=True).pretrained()
    assert [name for name, item in items.items() if item.deferred is not None] == ["trained"]
    assert all(parameter.is_meta for parameter in items["trained"].encoder.parameters())
    assert not any(parameter.is_meta for parameter in items["frozen"].encoder.parameters())
    items["trained"].read(runtime.device)
    whole = prepared.plan.inputs["trained"].load_encoder()
    torch.testing.assert_close(items["trained"].encoder.state_dict(), whole.state_dict(), rtol=0, atol=0)


def test_many_training_rows_are_standardised_by_some_from_first_to_last(tmp_path: Path) -> None:
    save_bert(tmp_path / "models" / "tiny-bert")
    data = reviews.write_csv(tmp_path / "reviews.csv", reviews.make_rows(3_000))
    prepared, runtime = prepared_of(tmp_path, data, reviews.spec())
    train = torch.from_numpy(prepared.plan.data.rows(Part.TRAIN))
    assert len(train) == 2_100
    embeddings = torch.full((3_000, HIDDEN), 1e6)
    embeddings[train] = torch.arange(2_100.0)[:, None].expand(-1, HIDDEN)
    item = assembly_of(prepared, runtime, {"review": StoredInput(embeddings)}).model().pretrained()["review"]
    expected = fitted(embeddings[train])
    torch.testing.assert_close(item.shift, expected.shift, rtol=0, atol=1.0)
    torch.testing.assert_close(item.scale, expected.scale, rtol=0.01, atol=0)


def test_stored_views_and_served_rows_reach_the_feed_standardised(texts: tuple[Prepared, RuntimeContext]) -> None:
    prepared, runtime = texts
    train, test = (torch.from_numpy(prepared.plan.data.rows(part)) for part in (Part.TRAIN, Part.TEST))
    positions = torch.full((ROWS,), -1)
    positions[train] = torch.arange(len(train))
    views = Views(made_up(2 * len(train), 1), positions, 3, 2)
    served = ServedRows.of(made_up(len(test), 2), test, ROWS)
    assembly = assembly_of(prepared, runtime, {"cached": StoredInput(made_up(), views, served)})
    feed, standard = assembly.feed(assembly.model()), fitted(made_up()[train])
    drawn = feed.take(train, 1)[0]["cached"]
    assert isinstance(drawn, Embedded)
    torch.testing.assert_close(drawn.vectors, standard(views.values[views.index(train, 1)]))
    mixed = torch.cat([train[:3], test[:3]])  # as a fold of a sweep trains on rows that have no views
    drawn = feed.take(mixed, 1)[0]["cached"]
    assert isinstance(drawn, Embedded)
    expected = torch.cat([views.values[views.index(train[:3], 1)], made_up()[test[:3]]])
    torch.testing.assert_close(drawn.vectors, standard(expected))
    for as_predict, values in ((False, made_up()[test]), (True, served.values)):
        found = replace(feed, as_predict=as_predict).take(test)[0]["cached"]
        assert isinstance(found, Embedded)
        torch.testing.assert_close(found.vectors, standard(values))


@pytest.mark.parametrize("epochs", [3, None])
def test_images_that_are_read_in_every_epoch_come_with_a_loader_of_so_many(
    tmp_path: Path, photos: Path, epochs: int | None
) -> None:
    prepared, runtime = prepared_of(tmp_path, photos, photo_spec(epochs, preprocessing=UNCACHED))
    loading = Recorded()
    assembly = assembly_of(prepared, runtime, {}, loading)
    feed = assembly.feed(assembly.model())
    assert loading.asked == [(["image"], (epochs or ENCODER_EPOCHS) * PHOTOS)]
    assert feed.runs_encoders and not feed.tokens and not feed.embedded
    plan = prepared.plan.inputs["image"]
    assert isinstance(plan, ImagePlan)
    reader = plan.reader(prepared.plan.data.images["image"])
    [(rows, batch, targets)] = feed.stream([torch.tensor([8, 3, 0])])
    assert rows.tolist() == [8, 3, 0] and targets["label"].shape == (3,)
    expected = torch.stack([reader.crop(row, None) for row in (8, 3, 0)])
    assert isinstance(batch["image"], Tensor) and torch.equal(batch["image"], expected)


def test_images_that_are_stored_need_no_loader(tmp_path: Path, photos: Path) -> None:
    prepared, runtime = prepared_of(tmp_path, photos, photo_spec())
    loading = Recorded()
    assembly = assembly_of(prepared, runtime, {"image": StoredInput(made_up(PHOTOS))}, loading)
    model = assembly.model()
    assert model.pretrained()["image"].skipped
    assert assembly.feed(model).images is None and loading.asked == []


@pytest.mark.parametrize("augmented", [False, True])
def test_images_are_standardised_as_they_are_in_training_rows(tmp_path: Path, photos: Path, augmented: bool) -> None:
    changed = {"augmentation": [{"type": "random_horizontal_flip"}]} if augmented else {}
    prepared, runtime = prepared_of(tmp_path, photos, photo_spec(1, preprocessing=UNCACHED, **changed))
    plan = prepared.plan.inputs["image"]
    assert isinstance(plan, ImagePlan) and (plan.augmentation is not None) == augmented
    reader = replace(plan.reader(prepared.plan.data.images["image"]), augmentation=None)
    encoder = plan.load_encoder().eval()
    with torch.inference_mode():
        embeddings = encoder(torch.stack([reader.crop(row, None) for row in range(PHOTOS)])).clone()
    item = assembly_of(prepared, runtime, {}).model().pretrained()["image"]
    assert isinstance(item.encoder, ImageEncoder)
    require_fitted(item, fitted(embeddings[:7]))
