"""Plans image inputs: the architecture, its weights and transform, augmentation, which views are stored."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from headstart_server.core.digests import fingerprint
from headstart_server.core.errors import invalid
from headstart_server.data.images.augmentation import Augmentation
from headstart_server.data.images.reader import ImageReader
from headstart_server.data.images.scan import ScannedImages
from headstart_server.data.images.transform import ImageTransform
from headstart_server.embedding_store.space import Space
from headstart_server.encoders.catalog import AUTO_TRANSFORMER, DEFAULT_TYPES, encoder_type
from headstart_server.encoders.deferred import DeferredEncoder
from headstart_server.encoders.image import (
    FEATURES,
    ImageEncoder,
    ImageSource,
    defer_image_encoder,
    dimension_of,
    load_image_encoder,
    save_image_encoder,
)
from headstart_server.encoders.sources import ModelSources
from headstart_server.encoders.torchvision_models import architecture, architectures
from headstart_server.encoders.torchvision_weights import find_weights, without_weights
from headstart_server.encoders.vision_processors import vision_transform
from headstart_server.encoders.vision_transformers import (
    check_vision_source,
    default_reduction,
    require_fitting_transform,
)
from headstart_server.planning.pretrained import PretrainedPlan, plan_caching, plan_precision, plan_training
from headstart_server.planning.resolution import Resolution
from headstart_server.spec.augmentations import settled
from headstart_server.spec.model import FeatureSpec


@dataclass(frozen=True)
class ImagePlan(PretrainedPlan):
    """One image input, resolved."""

    transform: ImageTransform
    augmentation: Augmentation | None
    views: int
    """Augmented views that are stored of each training image; 0: none."""
    seed: int

    @property
    def space(self) -> Space:
        """See PretrainedPlan."""
        return self._space({"transform": self.transform.describe()})

    @property
    def view_spaces(self) -> tuple[Space, ...]:
        """See PretrainedPlan. What a view shows depends on the file, the seed and the view's number."""
        if self.augmentation is None:
            return ()
        drawn = {"augmentation": self.augmentation.describe(), "seed": self.seed}
        prepared = {"transform": self.transform.describe(), **drawn}
        return tuple(self._space({**prepared, "view": view}) for view in range(self.views))

    @property
    def view_seed(self) -> int:
        """See PretrainedPlan."""
        return self.seed

    def reader(self, images: ScannedImages) -> ImageReader:
        """Reads an input's images as this encoder takes them, augmented by epoch."""
        return ImageReader(images, self.transform, self.augmentation, self.seed)

    def view_reader(self, images: ScannedImages) -> ImageReader:
        """As `reader`, with views that depend on each image's content instead of its row."""
        return replace(self.reader(images), by_content=True)

    def load_encoder(self) -> ImageEncoder:
        """See PretrainedPlan."""
        return load_image_encoder(
            self.source, self.transform, self.reduction, use_pretrained=self.use_pretrained, field=self.path
        )

    def _deferred(self) -> DeferredEncoder | None:
        """See PretrainedPlan."""
        return defer_image_encoder(self.source, self.transform, self.reduction)

    @property
    def preparation_reference(self) -> dict[str, Any]:
        """See PretrainedPlan."""
        return {"transform": self.transform.describe()}

    def save_encoder(self, encoder: nn.Module, folder: Path) -> None:
        """See PretrainedPlan."""
        assert isinstance(encoder, ImageEncoder)
        save_image_encoder(folder, encoder, self.source)

    def _space(self, preparation: dict[str, object]) -> Space:
        return Space(
            kind="image",
            weights=self.source.weights_digest,
            preparation=fingerprint(preparation),
            pooling=self.reduction,
            max_length=0,
            precision=self.precision,
            dimension=self.dimension,
        )


def plan_image(
    feature: FeatureSpec, path: str, sources: ModelSources, resolution: Resolution, device_type: str, seed: int
) -> ImagePlan:
    """Plans one image input; raises InvalidInputError."""
    use_pretrained, tuning = plan_training(feature.encoder, path, resolution)
    source, reduction, transform = _source(feature, path, sources, resolution, use_pretrained=use_pretrained)
    augmentation = _augmentation(feature, path, transform)
    views = feature.preprocessing.cached_views or 0
    varies = "images are augmented anew in every epoch" if augmentation is not None and not views else ""
    cached = plan_caching(feature.preprocessing, path, resolution, tuning, varies=varies)
    if views and not cached:
        raise invalid(
            f"{path}.preprocessing.cached_views",
            f"{views}, but nothing is cached: {'the encoder is trainable' if tuning.trains else 'it is switched off'}; "
            "leave it out, and every epoch augments images anew",
        )
    resolution.settle(f"{path}.preprocessing.bad_image_policy", feature.preprocessing.bad_image_policy, "fail")
    return ImagePlan(
        name=feature.name,
        path=path,
        source=source,
        reduction=reduction,
        dimension=dimension_of(source),
        use_pretrained=use_pretrained,
        tuning=tuning,
        cached=cached,
        precision=plan_precision(feature.preprocessing, path, resolution, device_type, cached=cached, images=True),
        transform=transform,
        augmentation=augmentation,
        views=views,
        seed=seed,
    )


def _augmentation(feature: FeatureSpec, path: str, transform: ImageTransform) -> Augmentation | None:
    """What the spec asks for, with every parameter; refuses a blur that reflects more than there is of an image."""
    for index, step in enumerate(feature.augmentation):
        # a blur reflects half of its kernel, which has to be less than the image's side
        most = 2 * min(transform.crop) - 1
        if (size := step.parameters.get("kernel_size", 0)) > most:
            raise invalid(
                f"{path}.augmentation[{index}].parameters.kernel_size",
                f"{size:g} is too large for this encoder's {transform.crop[0]} x {transform.crop[1]} images; "
                f"use {most} or less",
            )
    return Augmentation(tuple(map(settled, feature.augmentation))) if feature.augmentation else None


def _source(
    feature: FeatureSpec, path: str, sources: ModelSources, resolution: Resolution, *, use_pretrained: bool
) -> tuple[ImageSource, str, ImageTransform]:
    """The weights, how their output becomes one vector, and the transform before them."""
    encoder, name_path = feature.encoder, f"{path}.encoder.pretrained_model_name_or_path"
    type_path, variant_path = f"{path}.encoder.type", f"{path}.encoder.model_variant"
    kind = encoder_type(resolution.settle(type_path, encoder.type, DEFAULT_TYPES["image"]), "image", type_path)
    if kind.name == AUTO_TRANSFORMER:
        return _transformer(feature, path, sources, resolution)
    variant = resolution.settle(
        variant_path, encoder.model_variant, architectures()[kind.name][0].variant, "the family's smallest"
    )
    item = architecture(kind.name, variant, variant_path)
    _refuse_unread(feature, path, use_pretrained=use_pretrained)
    if not use_pretrained:
        return without_weights(item), FEATURES, without_weights(item).transform
    source = find_weights(sources, item, encoder.pretrained_model_name_or_path, name_path)
    resolution.settle(name_path, encoder.pretrained_model_name_or_path, source.name)
    return source, FEATURES, source.transform


def _refuse_unread(feature: FeatureSpec, path: str, *, use_pretrained: bool) -> None:
    """Raises InvalidInputError for what a model of torchvision would not read."""
    name, revision = feature.encoder.pretrained_model_name_or_path, feature.encoder.revision
    if revision is not None:
        raise invalid(
            f"{path}.encoder.revision",
            f"{revision[:80]!r} is a revision of the hub's, which torchvision's models do not come from; leave it out",
        )
    if name is not None and not use_pretrained:
        raise invalid(
            f"{path}.encoder.pretrained_model_name_or_path",
            f"{name[:120]!r} would not be read, for use_pretrained is false; leave out one of them",
        )


def _transformer(
    feature: FeatureSpec, path: str, sources: ModelSources, resolution: Resolution
) -> tuple[ImageSource, str, ImageTransform]:
    encoder, name_path = feature.encoder, f"{path}.encoder.pretrained_model_name_or_path"
    if not encoder.pretrained_model_name_or_path:
        on_hand = ", ".join(sources.transformers_on_hand()) or "none"
        raise invalid(name_path, f"is missing; {AUTO_TRANSFORMER} needs the name of its weights (on hand: {on_hand})")
    name = resolution.settle(name_path, encoder.pretrained_model_name_or_path, "")
    source = sources.find(name, encoder.revision, name_path)
    check_vision_source(source, encoder.reduce_output or "cls_pooled", name_path)
    reduction = resolution.settle(f"{path}.encoder.reduce_output", encoder.reduce_output, default_reduction(source))
    transform = vision_transform(source, name_path)
    require_fitting_transform(source, transform, name_path)
    return source, reduction, transform
