"""What Ludwig's keys say is what is trained: layers, sizes, losses, thresholds, calibration, and which rows."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
import yaml
from headstart_server.data.dataset import PreparedData, prepare
from headstart_server.data.features.sets import SetStatistics
from headstart_server.data.parts import Part
from headstart_server.encoders.tabular import Category, OneHot
from headstart_server.model.ecd import ECD
from headstart_server.model.losses import build_loss
from headstart_server.spec.defaults import apply_defaults
from headstart_server.spec.parse import parse_yaml
from torch import Tensor, nn
from torch.nn import functional

from tests.support.heads import neural_head
from tests.support.tables import WHERE, sources_of

ROWS = 60
COLUMNS: dict[str, list[Any]] = {
    "n": [float(index % 7) for index in range(ROWS)],
    "m": [float(index % 5) for index in range(ROWS)],
    "v": [f"{index} {index % 3} 1" for index in range(ROWS)],
    "c": [str(index % 4) for index in range(ROWS)],
    "tags": [f"a,b{index % 3}" for index in range(ROWS)],
    "y": [str(index % 3) for index in range(ROWS)],
    "b": [str(index % 2) for index in range(ROWS)],
    "r": [float(index) for index in range(ROWS)],
    "split": [min(2, index // 20) for index in range(ROWS)],
}


def of(inputs: list[dict[str, Any]] | None = None, output: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A file over these columns; by default a number to a category."""
    return {
        "input_features": inputs or [{"name": "n", "type": "number"}],
        "output_features": [output or {"name": "y", "type": "category"}],
        **more,
    }


def data_of(values: dict[str, Any]) -> PreparedData:
    """The rows of a file, prepared as a job does."""
    return prepare(apply_defaults(parse_yaml(json.dumps(values))), sources_of(**COLUMNS), 0)


def model_of(values: dict[str, Any]) -> ECD:
    """The model that a file trains."""
    data = data_of(values)
    return ECD(data.inputs, data.outputs, parse_yaml(json.dumps(values)).combiner, {})


def layers(stack: Any) -> list[str]:
    """A stack as words: `7-64`, `ReLU`, `Dropout 0.5`, ..."""
    words = []
    for module in stack:
        match module:
            case nn.Linear():
                words.append(f"{module.in_features}-{module.out_features}")
            case nn.Dropout():
                words.append(f"Dropout {module.p:g}")
            case _:
                words.append(type(module).__name__)
    return words


DIFFERING = [{"output_size": 8, "activation": "tanh"}, {"fc_size": 4, "dropout": 0.5, "norm": "layer"}]
DIFFERED = ["1-8", "Tanh", "8-4", "LayerNorm", "ReLU", "Dropout 0.5"]


@pytest.mark.parametrize(
    ("combiner", "expected"),
    [
        ({"fc_layers": DIFFERING}, DIFFERED),
        ({"fc_layers": DIFFERING, "num_fc_layers": 5}, DIFFERED),
        ({"type": "concat", "num_fc_layers": 2, "fc_size": 3}, ["1-3", "ReLU", "3-3", "ReLU"]),
        ({"fc_layers": [{}], "output_size": 6, "dropout": 0.25}, ["1-6", "ReLU", "Dropout 0.25"]),
        ({"fc_layers": [{"output_size": 2, "use_bias": True}], "activation": "elu"}, ["1-2", "ELU"]),
        ({"fc_layers": [], "flatten_inputs": True, "weights_initializer": "xavier_uniform"}, []),
        ("concat", []),
    ],
)
def test_layers_of_the_combiner(combiner: Any, expected: list[str]) -> None:
    assert layers(neural_head(model_of(of(combiner=combiner))).combiner.stack) == expected


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"fc_layers": DIFFERING}, DIFFERED),
        ({"decoder": {"type": "classifier", "fc_layers": DIFFERING}}, DIFFERED),
        ({"num_fc_layers": 1, "fc_size": 5, "activation": "tanh"}, ["1-5", "Tanh"]),
        (
            {"decoder": {"num_fc_layers": 1, "fc_output_size": 5, "fc_dropout": 0.5, "fc_norm": "layer"}},
            ["1-5", "LayerNorm", "ReLU", "Dropout 0.5"],
        ),
        ({"decoder": {"num_fc_layers": 1, "fc_activation": "sigmoid"}}, ["1-256", "Sigmoid"]),
        ({"decoder": "classifier", "dependencies": [], "reduce_input": "sum"}, []),
    ],
)
def test_layers_of_an_output(output: dict[str, Any], expected: list[str]) -> None:
    decoder = neural_head(model_of(of(output={"name": "y", "type": "category", **output}))).decoder("y")
    assert layers(decoder.stack) == expected
    assert decoder.projection.out_features == 3


def test_layers_of_defaults_give_way_to_a_features_own() -> None:
    defaults = {"category": {"decoder": {"fc_layers": DIFFERING}}}
    assert layers(neural_head(model_of(of(defaults=defaults))).decoder("y").stack) == DIFFERED
    own = {"name": "y", "type": "category", "decoder": {"num_fc_layers": 1, "output_size": 2}}
    assert layers(neural_head(model_of(of(output=own, defaults=defaults))).decoder("y").stack) == ["1-2", "ReLU"]


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ({"encoder": "dense", "num_layers": 2, "fc_size": 3}, ["1-3", "ReLU", "3-3", "ReLU"]),
        (
            {"encoder": {"type": "dense", "fc_layers": [{"output_size": 5}, {"output_size": 2}]}},
            ["1-5", "ReLU", "5-2", "ReLU"],
        ),
        ({"encoder": {"type": "dense", "activation": "tanh", "output_size": 4}}, ["1-4", "Tanh"]),
    ],
)
def test_layers_of_a_dense_encoder(feature: dict[str, Any], expected: list[str]) -> None:
    [encoder] = model_of(of([{"name": "n", "type": "numerical", **feature}])).encoders
    assert [word for word in layers(encoder)[1:] if word != "Dropout 0"] == expected


@pytest.mark.parametrize(
    ("encoder", "kind", "width"),
    [
        ("sparse", OneHot, 5),
        ({"type": "dense", "representation": "sparse"}, OneHot, 5),
        ({"type": "dense", "embedding_size": 7, "embeddings_trainable": True, "embeddings_on_cpu": True}, Category, 7),
    ],
)
def test_vectors_of_a_category(encoder: Any, kind: type[nn.Module], width: int) -> None:
    [found] = model_of(of([{"name": "c", "type": "category", "encoder": encoder}])).encoders
    assert isinstance(found, kind) and found.dimension == width


def test_an_input_that_is_not_active_is_left_out() -> None:
    inputs = [{"name": "m", "type": "number", "active": False}, {"name": "n", "type": "number", "active": True}]
    assert model_of(of(inputs)).input_names == ["n"]


@pytest.mark.parametrize(
    ("tokenizer", "items"), [("comma", {"a", "b0", "b1", "b2"}), ("space", {"a,b0", "a,b1", "a,b2"})]
)
def test_items_of_a_set(tokenizer: str, items: set[str]) -> None:
    data = data_of(of([{"name": "tags", "type": "set", "preprocessing": {"tokenizer": tokenizer}}]))
    statistics = data.inputs[0].statistics
    assert isinstance(statistics, SetStatistics)
    assert set(statistics.vocabulary) - {"<UNK>"} >= items


@pytest.mark.parametrize(("preprocessing", "mean"), [({"normalization": None}, 9.5), ({}, 0.0)])
def test_numbers_are_plain_where_normalization_is_null(preprocessing: dict[str, Any], mean: float) -> None:
    split = {"type": "fixed", "column": "split"}
    data = data_of(
        of([{"name": "r", "type": "number", "preprocessing": preprocessing}], preprocessing={"split": split})
    )
    values = torch.from_numpy(
        data.inputs[0].transform(sources_of(**COLUMNS).rows.rows.column("r").combine_chunks(), WHERE)
    )
    assert values[data.rows(Part.TRAIN)].mean().item() == pytest.approx(mean, abs=1e-5)


LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.3, 0.2, -0.1]])
CLASSES = torch.tensor([0, 2])


def _cross_entropy(weights: list[float] | None = None, smoothing: float = 0.0) -> Tensor:
    weight = None if weights is None else torch.tensor(weights)
    return functional.cross_entropy(LOGITS, CLASSES, weight=weight, label_smoothing=smoothing)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("softmax_cross_entropy", _cross_entropy()),
        ({"weight": 3.0, "robust_lambda": 0, "confidence_penalty": 0}, 3 * _cross_entropy()),
        ({"class_weights": {0: 2.0, 1: 1.0, 2: 5.0}}, _cross_entropy([2.0, 1.0, 5.0])),
        ({"labels_smoothing": 0.2, "class_similarities": None}, _cross_entropy(smoothing=0.2)),
    ],
)
def test_losses_of_a_category(loss: Any, expected: Tensor) -> None:
    values = of(output={"name": "y", "type": "category", "loss": loss})
    [output] = prepare(apply_defaults(parse_yaml(yaml.safe_dump(values))), sources_of(**COLUMNS), 0).outputs
    assert list(output.classes) == ["0", "1", "2"]
    assert build_loss(output, torch.device("cpu"))(LOGITS, CLASSES).item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("mean_absolute_error", functional.l1_loss),
        ({"type": "huber"}, functional.huber_loss),
        ({"type": "huber", "delta": 0.5}, lambda a, b: functional.huber_loss(a, b, delta=0.5)),
    ],
)
def test_losses_of_a_number(loss: Any, expected: Any) -> None:
    [output] = data_of(of(output={"name": "r", "type": "number", "loss": loss})).outputs
    a, b = torch.tensor([3.0, 0.1]), torch.tensor([0.0, 0.0])
    assert build_loss(output, torch.device("cpu"))(a, b).item() == pytest.approx(expected(a, b).item())


def test_the_loss_of_a_binary_output_under_its_old_name() -> None:
    loss = {"type": "cross_entropy", "positive_class_weight": 4.0}
    [output] = data_of(of(output={"name": "b", "type": "binary", "loss": loss})).outputs
    found = build_loss(output, torch.device("cpu"))(torch.zeros(1), torch.ones(1)).item()
    assert found == pytest.approx(4 * math.log(2))


@pytest.mark.parametrize(
    ("output", "threshold", "calibration"),
    [
        ({"threshold": 0.3, "calibration": {"type": "temperature_scaling"}}, 0.3, True),
        ({"decoder": {"threshold": 0.7, "calibration": "temperature_scaling"}}, 0.7, True),
        ({"calibration": False}, None, False),
    ],
)
def test_thresholds_and_calibration(output: dict[str, Any], threshold: float | None, calibration: bool) -> None:
    [fitted] = data_of(of(output={"name": "b", "type": "binary", **output})).outputs
    assert (fitted.spec.decoder.threshold, fitted.spec.decoder.calibration) == (threshold, calibration)


@pytest.mark.parametrize(
    ("preprocessing", "rows"),
    [
        ({"force_split": True, "split_probabilities": [0.5, 0.25, 0.25]}, (30, 15, 15)),
        ({"split": {"type": "fixed"}}, (20, 20, 20)),
        ({"stratify": "y", "split_probabilities": (0.6, 0.2, 0.2)}, (36, 12, 12)),
    ],
)
def test_rows_of_the_splits(preprocessing: dict[str, Any], rows: tuple[int, int, int]) -> None:
    data = data_of(of(preprocessing=preprocessing))
    assert tuple(len(data.rows(part)) for part in (Part.TRAIN, Part.VALIDATION, Part.TEST)) == rows


def test_missing_cells_are_filled_as_the_old_section_says() -> None:
    preprocessing = {"numerical": {"missing_value_strategy": "fill_with_const", "fill_value": 3}}
    [feature] = data_of(of(preprocessing=preprocessing)).inputs
    assert (feature.spec.preprocessing.missing_value_strategy, feature.spec.preprocessing.fill_value) == (
        "fill_with_const",
        "3",
    )
