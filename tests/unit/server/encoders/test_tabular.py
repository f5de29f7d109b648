"""Learned encoders: shapes they promise, values that plain torch gives."""

from typing import Any

import pytest
import torch
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.features.fitted import FittedFeature, fit_feature
from headstart_server.encoders.catalog import DEFAULT_TYPES
from headstart_server.encoders.tabular import Set, build_tabular
from headstart_server.spec.model import FeatureSpec
from torch import nn

from tests.support.tables import WHERE, cells, chunks

VALUES: dict[str, list[Any]] = {
    "number": [1.0, 2.0, 3.0],
    "binary": ["yes", "no", "yes"],
    "vector": ["1 2", "3 4", "5 6"],
    "category": ["a", "b", "c"],
    "set": ["a b", "b", ""],
}


def _feature(kind: str, **encoder: Any) -> FittedFeature:
    spec = FeatureSpec.model_validate({"name": "column", "type": kind, "encoder": encoder})
    return fit_feature(spec, chunks(VALUES[kind]), WHERE, output=False)


def _built(kind: str, **encoder: Any) -> tuple[nn.Module, torch.Tensor]:
    feature = _feature(kind, **encoder)
    return build_tabular(feature, "f", DEFAULT_TYPES), torch.from_numpy(feature.transform(cells(VALUES[kind]), WHERE))


@pytest.mark.parametrize(
    ("kind", "encoder"),
    [
        ("number", {}),
        ("number", {"type": "dense", "output_size": 5, "num_layers": 2}),
        ("number", {"type": "dense", "num_layers": 0}),
        ("binary", {}),
        ("binary", {"type": "dense"}),
        ("vector", {}),
        ("vector", {"type": "dense", "output_size": 7}),
        ("category", {}),
        ("category", {"embedding_size": 3}),
        ("category", {"type": "onehot"}),
        ("set", {}),
        ("set", {"embedding_size": 6}),
    ],
)
def test_an_encoder_gives_rows_of_the_width_it_promises(kind: str, encoder: dict[str, Any]) -> None:
    module, values = _built(kind, **encoder)
    encoded = module(values)
    assert encoded.shape == (3, module.dimension)
    assert encoded.dtype == torch.float32
    for name in ("output_size", "embedding_size"):
        if name in encoder:
            assert module.dimension == encoder[name]


def test_passthrough_passes_through() -> None:
    number, values = _built("number")
    assert torch.equal(number(values)[:, 0], values)
    vector, rows = _built("vector")
    assert torch.equal(vector(rows), torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))


def test_onehot_is_torchs() -> None:
    module, values = _built("category", type="onehot")
    assert torch.equal(module(values), nn.functional.one_hot(values, 4).float())


def test_a_set_is_the_mean_of_its_items_as_embedding_bag_computes_it() -> None:
    module, hot = _built("set", embedding_size=4)
    assert isinstance(module, Set)
    for row in range(3):
        items = hot[row].nonzero()[:, 0]
        expected = (
            nn.functional.embedding_bag(items[None], module.vectors, mode="mean")[0] if len(items) else torch.zeros(4)
        )
        assert torch.allclose(module(hot)[row], expected, atol=1e-6)


def test_unknown_encoders_are_refused_by_path() -> None:
    with pytest.raises(InvalidInputError) as caught:
        build_tabular(_feature("number", type="onehot"), "input_features[3]", DEFAULT_TYPES)
    assert caught.value.field == "input_features[3].encoder.type"


def test_dropout_acts_in_training_only() -> None:
    module, values = _built("category", dropout=0.9, embedding_size=50)
    assert (module.train()(values) == 0).any()
    assert torch.equal(module.eval()(values), module.eval()(values))
