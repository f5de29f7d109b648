"""The model: encoders taken out and put back change nothing; its head is what it says it is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from headstart_server.encoders.activations import ACTIVATIONS
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text import TextEncoder, load_encoder
from headstart_server.encoders.text_preparation import load_preparation
from headstart_server.encoders.tuning import Tuning
from headstart_server.model.combiner import ConcatCombiner
from headstart_server.model.decoders import Decoder
from headstart_server.model.ecd import ECD, PretrainedInput, SkipEncoder, Tokens
from headstart_server.model.layers import fully_connected
from headstart_server.spec.layers import fc_layers
from headstart_server.spec.model import CombinerSpec
from torch import nn

from tests.support.heads import neural_head
from tests.support.training import Run, feature_of, settings_of

OUTPUTS: dict[str, list[Any]] = {
    "category": ["a", "b", "c"],
    "binary": ["0", "1"],
    "number": [1.0, 2.0],
    "set": ["p q", "r"],
    "vector": ["1 2 3 4"],
}


def _encoder(folder: Path) -> TextEncoder:
    return load_encoder(ModelSource("tiny", folder), "mean", use_pretrained=True, field="f")


def _batch(folder: Path, texts: list[str]) -> Tokens:
    preparation = load_preparation(ModelSource("tiny", folder), 16, "f")
    tokens = preparation.tokenize(texts)
    ids, mask = tokens.padded(torch.arange(len(texts)).numpy(), preparation.padding)
    return Tokens(torch.from_numpy(ids), None if mask is None else torch.from_numpy(mask))


def _model(folder: Path, *, trainable: bool = False) -> tuple[ECD, PretrainedInput]:
    item = PretrainedInput(32, Tuning.FULL if trainable else Tuning.FROZEN)
    output = feature_of("out", "category", OUTPUTS["category"], output=True)
    model = ECD([feature_of("t", "text", ["a"])], [output], CombinerSpec(num_fc_layers=1, norm="ghost"), {"t": item})
    item.restore(_encoder(folder))
    return model, item


TEXTS = ["the good film", "bad", "it was not great and it was not awful"]


def test_stored_embeddings_give_what_the_encoder_gives(tiny_bert: Path) -> None:
    model, item = _model(tiny_bert)
    model.eval()
    tokens = _batch(tiny_bert, TEXTS)
    with torch.no_grad():
        embeddings = item.encoder(tokens.ids, tokens.mask)
        item.standardise(embeddings)
        whole = model({"t": tokens})["out"]
        assert not item.skipped
        item.skip()
        assert item.skipped
        skipped = model({"t": embeddings})["out"]
        item.restore(_encoder(tiny_bert))
        restored = model({"t": tokens})["out"]
    assert torch.allclose(whole, skipped, atol=1e-6)
    assert torch.equal(whole, restored)


def test_half_precision_embeddings_are_computed_with_in_float32() -> None:
    assert SkipEncoder(4)(torch.ones(2, 4, dtype=torch.float16)).dtype == torch.float32


def test_standardised_embeddings_have_mean_nothing_and_a_typical_length_of_their_own() -> None:
    item = PretrainedInput(16)
    embeddings = torch.randn(5_000, 16, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 17) + 100
    embeddings[:, 3] = 7.0
    item.standardise(embeddings)
    standardised = item(embeddings)
    assert torch.isfinite(standardised).all()
    assert standardised.mean(0).abs().max() < 1e-4
    varied = [column for column in range(16) if column != 3]
    deviations = standardised[:, varied].std(0, correction=0)
    assert torch.allclose(deviations, deviations.mean().expand(15), rtol=1e-4)
    assert standardised[:, 3].abs().max() < 1e-3


def test_a_frozen_encoder_stays_in_evaluation_and_gets_no_gradient(tiny_bert: Path) -> None:
    model, item = _model(tiny_bert)
    model.train()
    assert not item.encoder.training and not any(module.training for module in item.encoder.modules())
    tokens = _batch(tiny_bert, TEXTS)
    assert torch.equal(item(tokens), item(tokens))
    model({"t": tokens})["out"].sum().backward()
    assert all(parameter.grad is None for parameter in item.encoder.parameters())
    assert all(parameter.grad is not None for parameter in neural_head(model).decoders.parameters())


def test_a_trainable_encoder_trains(tiny_bert: Path) -> None:
    model, item = _model(tiny_bert, trainable=True)
    model.train()
    assert item.encoder.training
    model({"t": _batch(tiny_bert, TEXTS)})["out"].square().sum().backward()
    assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in item.encoder.parameters())


def test_the_learned_state_leaves_out_what_is_frozen_alone(tiny_bert: Path) -> None:
    frozen, trainable = _model(tiny_bert)[0], _model(tiny_bert, trainable=True)[0]
    assert not any(".encoder.model." in name for name in frozen.learned_state())
    assert any(".encoder.model." in name for name in trainable.learned_state())
    assert {"encoders.0.shift", "encoders.0.scale"} <= set(frozen.learned_state())


def test_a_learned_state_fits_a_model_with_skip_encoders(tiny_bert: Path) -> None:
    model, _ = _model(tiny_bert)
    skipping = ECD(
        [feature_of("t", "text", ["a"])],
        [feature_of("out", "category", OUTPUTS["category"], output=True)],
        CombinerSpec(num_fc_layers=1, norm="ghost"),
        {"t": PretrainedInput(32)},
    )
    skipping.load_learned_state(model.learned_state())
    embeddings = torch.randn(3, 32)
    model.pretrained()["t"].skip()
    assert torch.equal(model.eval()({"t": embeddings})["out"], skipping.eval()({"t": embeddings})["out"])


def test_a_state_that_does_not_fit_is_refused(tiny_bert: Path) -> None:
    model, _ = _model(tiny_bert)
    state = model.learned_state()
    name = next(iter(state))
    with pytest.raises(RuntimeError, match="state differs"):
        model.load_learned_state({key: value for key, value in state.items() if key != name})
    with pytest.raises(RuntimeError, match="state differs"):
        model.load_learned_state({**state, "more": torch.zeros(1)})
    with pytest.raises(RuntimeError):
        model.load_learned_state({**state, name: torch.zeros(7, 7)})


@pytest.mark.parametrize(
    ("kind", "shape"), [("category", (5, 3)), ("binary", (5,)), ("number", (5,)), ("set", (5, 3)), ("vector", (5, 4))]
)
def test_logits_have_the_shape_of_their_output(kind: str, shape: tuple[int, ...]) -> None:
    feature = feature_of("out", kind, OUTPUTS[kind], output=True, decoder={"num_fc_layers": 2, "output_size": 6})
    decoder = Decoder(7, feature)
    logits = decoder(torch.randn(5, 7))
    assert logits.shape == shape
    assert decoder.probabilities(logits).shape == shape


def test_probabilities_are_softmax_and_sigmoid_of_tempered_logits() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 9.0]])
    category, binary, several, number = (
        Decoder(2, feature_of("out", kind, OUTPUTS[kind], output=True))
        for kind in ("category", "binary", "set", "number")
    )
    for decoder in (category, binary, several, number):
        decoder.temperature.fill_(2.0)
    assert torch.allclose(category.probabilities(logits), torch.softmax(logits / 2, 1))
    assert torch.allclose(binary.probabilities(logits[0]), torch.sigmoid(logits[0] / 2))
    assert torch.allclose(several.probabilities(logits), torch.sigmoid(logits))
    assert torch.equal(number.probabilities(logits[0]), logits[0])


def test_the_model_gives_every_output_by_name() -> None:
    inputs = Run(settings_of()).features()[0]
    outputs = [feature_of(f"o{kind}", kind, values, output=True) for kind, values in OUTPUTS.items()]
    model = ECD(inputs, outputs, CombinerSpec(), {})
    feed = Run(settings_of()).feed()
    batch, _ = feed.take(torch.arange(4))
    logits = model(batch)
    assert list(logits) == [feature.name for feature in outputs]
    found = model.probabilities(logits)
    assert torch.allclose(found["ocategory"].sum(1), torch.ones(4))


def test_features_are_joined_in_the_specs_order() -> None:
    combiner = ConcatCombiner(3, CombinerSpec())
    joined = combiner([torch.tensor([[1.0]]), torch.tensor([[2.0, 3.0]])])
    assert joined.tolist() == [[1.0, 2.0, 3.0]]
    assert combiner.dimension == 3


@pytest.mark.parametrize("norm", ["batch", "layer", "ghost", "none"])
@pytest.mark.parametrize("layers", [0, 2])
def test_combiners_of_every_norm_give_their_width(norm: Any, layers: int) -> None:
    combiner = ConcatCombiner(6, CombinerSpec(norm=norm, num_fc_layers=layers, output_size=5, dropout=0.5))
    assert combiner.dimension == (6 if layers == 0 else 5)
    rows = torch.randn(9, 6)
    assert combiner([rows]).shape == (9, combiner.dimension)
    assert torch.equal(combiner.eval()([rows]), combiner([rows]))


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_a_stack_is_linear_norm_activation_dropout(activation: str) -> None:
    layers = {"num_fc_layers": 2, "output_size": 3, "dropout": 0.5, "norm": "layer", "activation": activation}
    stack, width = fully_connected(4, fc_layers(CombinerSpec.model_validate(layers)))
    assert isinstance(stack, nn.Sequential)
    assert width == 3
    kinds = [type(module) for module in stack]
    assert kinds == [nn.Linear, nn.LayerNorm, type(ACTIVATIONS[activation]()), nn.Dropout] * 2


def test_no_layers_are_no_change() -> None:
    stack, width = fully_connected(4, [])
    rows = torch.randn(2, 4)
    assert width == 4 and torch.equal(stack(rows), rows)


@pytest.mark.parametrize("differing", [0, 3])
def test_what_training_hardly_saw_does_next_to_nothing(differing: int) -> None:
    generator = torch.Generator().manual_seed(0)
    item, texts = PretrainedInput(64), torch.randn(100, 64, generator=generator)
    embeddings = texts[0].expand(1_000, 64).clone()
    embeddings[:differing] = texts[1 : differing + 1]
    item.standardise(embeddings.half())
    assert item(texts).norm(dim=1).max() < 0.5


@pytest.mark.parametrize("differing", [20, 30, 60])
def test_rows_of_which_there_are_few_are_not_far_away(differing: int) -> None:
    torch.manual_seed(0)
    embeddings = torch.nn.functional.normalize(torch.randn(2, 64), dim=1)[torch.arange(1000).lt(differing).long()]
    item = PretrainedInput(64)
    item.standardise(embeddings)
    assert item(embeddings).norm(dim=1).max() <= 5.0 + 1e-4


def test_columns_of_ordinary_texts_are_scaled_by_their_deviation_alone() -> None:
    item = PretrainedInput(32)
    embeddings = torch.randn(400, 32, generator=torch.Generator().manual_seed(1))
    embeddings[7, 5] = 1e4  # one column that is out of the ordinary in one row
    item.standardise(embeddings)
    assert torch.equal(item.scale, embeddings.std(0, correction=0) * 32**0.5 / 2.5)
