"""A few small variants of different families in `make test`; `make test-models` does the same for every one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from headstart_server.core.errors import InvalidInputError
from headstart_server.encoders.catalog import encoder_type
from headstart_server.encoders.image import FEATURES, load_image_encoder
from headstart_server.encoders.torchvision_models import architecture, architectures, head_of
from headstart_server.encoders.torchvision_weights import without_weights
from torchvision.models import list_models

from tests.models.check import check
from tests.support.checkpoints import known


@pytest.mark.parametrize("name", ["squeezenet1_1", "shufflenet_v2_x0_5", "mobilenet_v3_small"])
def test_small_variants_are_cut_loaded_fused_and_exported_as_torchvisions_own(name: str) -> None:
    formats = ("onnx", "torchscript") if name == "squeezenet1_1" else ("torchscript",)  # ONNX takes half a minute
    found = check(known(name), formats=formats)
    assert found.failures == []
    assert max(found.features, *(getattr(found, file_format) for file_format in formats)) <= 1e-5


def test_every_classification_model_of_torchvision_is_one_variant_of_one_family() -> None:
    import torchvision

    names = [item.name for items in architectures().values() for item in items]
    assert sorted(names) == sorted(list_models(module=torchvision.models))
    for items in architectures().values():
        variants = [item.variant for item in items]
        assert len(set(variants)) == len(variants)


def test_families_have_their_usual_names() -> None:
    known_families = """alexnet convnext densenet efficientnet googlenet inceptionv3 maxvit mnasnet mobilenetv2
        mobilenetv3 regnet resnet resnext shufflenet_v2 squeezenet swin vgg vit wide_resnet"""
    assert set(known_families.split()) <= set(architectures())


@pytest.mark.parametrize(
    ("family", "variant", "name"),
    [
        ("mobilenetv3", "large", "mobilenet_v3_large"),
        ("efficientnet", "v2_s", "efficientnet_v2_s"),
        ("swin", "v2_t", "swin_v2_t"),
        ("vgg", "11_bn", "vgg11_bn"),
        ("wide_resnet", "50_2", "wide_resnet50_2"),
        ("resnet", "resnet50", "resnet50"),
        ("mobilenetv2", "base", "mobilenet_v2"),
    ],
)
def test_variants_are_named_by_what_follows_their_family(family: str, variant: str, name: str) -> None:
    assert architecture(family, variant, "f").name == name


@pytest.mark.parametrize(
    ("kind", "variant", "name"),
    [("swin_transformer", "t", "swin_t"), ("efficientnet", "v2_small", "efficientnet_v2_s")],
)
def test_ludwigs_names_are_known(kind: str, variant: str, name: str) -> None:
    assert architecture(encoder_type(kind, "image", "type").name, variant, "variant").name == name


def test_an_unknown_variant_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match=r"f: 'huge' is no variant of mobilenetv3.*small.*large"):
        architecture("mobilenetv3", "huge", "f")


@pytest.mark.parametrize(
    ("name", "head"), [("vit_b_16", "heads.head"), ("squeezenet1_0", "classifier.1"), ("resnet18", "fc")]
)
def test_the_classifier_is_the_last_layer_with_a_class_per_output(name: str, head: str) -> None:
    assert head_of(name) == head


def test_a_vit_is_built_for_the_images_of_its_weights() -> None:
    source = without_weights(known("vit_h_14"))
    assert source.transform.crop == (518, 518)
    with torch.device("meta"):
        encoder = load_image_encoder(source, source.transform, FEATURES, use_pretrained=False, field="f")
    model: Any = encoder.model
    assert model.encoder.pos_embedding.shape[1] == (518 // 14) ** 2 + 1
