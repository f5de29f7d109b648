"""Augmentations in specs: Ludwig's short forms mean what the long ones do; what is wrong is named with a fix."""

from typing import Any

import pytest
from headstart_server.core.errors import Violation
from headstart_server.spec.augmentations import AUGMENTATIONS, settled
from headstart_server.spec.model import AugmentationSpec, FeatureSpec
from headstart_server.spec.parse import parse_values, parse_yaml

from tests.support.specs import spec_input, violations_of

FIELD = "input_features[0].augmentation"


def _feature(**changes: Any) -> FeatureSpec:
    return parse_values(spec_input(type="image", **changes)).input_features[0]


def _wrong(*steps: Any, **changes: Any) -> list[Violation]:
    return violations_of(spec_input(**{"type": "image", "augmentation": list(steps), **changes}))


def test_true_means_what_it_means_to_ludwig_and_false_nothing() -> None:
    assert [step.type for step in _feature(augmentation=True).augmentation] == [
        "random_horizontal_flip",
        "random_rotate",
    ]
    assert _feature(augmentation=False).augmentation == []


def test_parameters_may_stand_beside_the_type_and_a_type_alone() -> None:
    short = _feature(augmentation=[{"type": "random_brightness", "min": 1, "max": 1.5}, "random_blur"])
    parameters = {"min": 1.0, "max": 1.5}
    assert short == _feature(
        augmentation=[{"type": "random_brightness", "parameters": parameters}, {"type": "random_blur"}]
    )


def test_a_parameter_may_be_auto() -> None:
    [step] = _feature(augmentation=[{"type": "random_rotate", "degree": "auto"}]).augmentation
    assert settled(step).parameters == {"degree": 15}


def test_yaml_says_it_all_in_a_line_each() -> None:
    spec = parse_yaml(
        """
        input_features:
          - name: photo
            type: image
            encoder: {type: resnet, model_variant: 50}
            augmentation:
              - random_horizontal_flip
              - {type: random_rotate, degree: 20}
              - {type: auto_augmentation, method: rand_augment}
        output_features: [{name: label, type: category}]
        defaults: {image: {encoder: {model_variant: 101}}}
        """
    )
    feature = spec.input_features[0]
    assert feature.encoder.model_variant == "50"
    assert spec.defaults["image"].encoder.model_variant == "101"
    assert feature.augmentation == [
        AugmentationSpec(type="random_horizontal_flip"),
        AugmentationSpec(type="random_rotate", parameters={"degree": 20.0}),
        AugmentationSpec(type="auto_augmentation", method="rand_augment"),
    ]


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_settling_gives_every_parameter_and_keeps_those_given(kind: str) -> None:
    step = settled(AugmentationSpec(type=kind))
    assert step.parameters.keys() == AUGMENTATIONS[kind].keys()
    assert (step.method is not None) == (kind == "auto_augmentation")
    assert all(known.least <= step.parameters[name] <= known.most for name, known in AUGMENTATIONS[kind].items())
    assert _feature(augmentation=[step.model_dump()]).augmentation == [step], "what is settled is valid"
    for name, known in AUGMENTATIONS[kind].items():
        assert settled(AugmentationSpec(type=kind, parameters={name: known.most})).parameters[name] == known.most


@pytest.mark.parametrize(
    ("step", "path", "words"),
    [
        ("random_blurr", "[0].type", "did you mean 'random_blur'"),
        ({"type": ""}, "[0].type", "'' is no augmentation"),
        ({"type": "random_rotate", "degrees": 3}, "[0].parameters.degrees", "did you mean 'degree'"),
        ({"type": "random_rotate", "bogus_min": 3}, "[0].parameters.bogus_min", "has no 'bogus_min'"),
        ({"type": "random_rotate", "degree": 181}, "[0].parameters.degree", "181 is out of bounds; use 0 to 180"),
        ({"type": "random_rotate", "degree": -1}, "[0].parameters.degree", "-1 is out of bounds"),
        ({"type": "random_rotate", "degree": float("nan")}, "[0].parameters.degree", "finite"),
        ({"type": "random_rotate", "degree": 10**400}, "[0].parameters.degree", "valid number"),
        ({"type": "random_rotate", "degree": True}, "[0].parameters.degree", "True"),
        ({"type": "random_rotate", "degree": "far"}, "[0].parameters.degree", "'far'"),
        ({"type": "random_rotate", "method": "x"}, "[0].method", "is for auto_augmentation, not random_rotate"),
        ({"type": "random_rotate", "speed": "x"}, "[0].speed", "unknown key"),
        ({"type": "random_blur", "kernel_size": 4}, "[0].parameters.kernel_size", "4 is not odd; use 3, 5, 7"),
        ({"type": "random_blur", "kernel_size": 3.5}, "[0].parameters.kernel_size", "3.5 is not odd"),
        ({"type": "random_brightness", "min": 3}, "[0].parameters.min", "3 is above max (2)"),
        (
            {"type": "random_resized_crop", "scale_min": 0.9, "scale_max": 0.8},
            "[0].parameters.scale_min",
            "above scale_max",
        ),
        ({"type": "random_erasing", "scale_max": 0.01}, "[0].parameters.scale_min", "above scale_max"),
        ({"type": "color_jitter", "hue": 0.6}, "[0].parameters.hue", "0 to 0.5"),
        (
            {"type": "auto_augmentation", "method": "best"},
            "[0].method",
            "use trivial_augment, auto_augment, rand_augment",
        ),
        (7, "[0]", "must be a mapping"),
    ],
)
def test_what_is_wrong_is_named_by_its_path_with_a_fix(step: Any, path: str, words: str) -> None:
    [violation] = _wrong(step)
    assert violation.field == FIELD + path
    assert words in violation.message


def test_everything_wrong_is_said_at_once() -> None:
    wrong = _wrong(
        "random_blurr", {"type": "random_rotate", "degree": 181}, "random_resized_crop", "random_resized_crop"
    )
    assert [violation.field for violation in wrong] == [
        f"{FIELD}[0].type",
        f"{FIELD}[1].parameters.degree",
        f"{FIELD}[3]",
    ]


def test_augmentation_is_for_image_inputs() -> None:
    [violation] = _wrong("random_rotate", type="text")
    assert (violation.field, violation.message) == (FIELD, "is for image inputs, not text; leave it out")


def test_views_without_augmentation_are_refused() -> None:
    [violation] = _wrong(preprocessing={"cached_views": 3})
    assert violation.field == "input_features[0].preprocessing.cached_views"
    assert "every view would be the same" in violation.message
