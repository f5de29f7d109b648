"""The parts of an image pass by themselves: decoding alone, encoding alone, over files that a job would read."""

from pathlib import Path

import numpy as np
from headstart_server.data.formats import format_of
from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.images.loader import ImageLoader, workers_for
from headstart_server.data.images.scan import ScannedImages, scan
from headstart_server.data.opening import Location, open_location
from headstart_server.encoders.image import ImageEncoder
from headstart_server.encoders.image_passes import LOADED_IMAGES, Crops, encode_crops
from headstart_server.encoders.sources import ModelSources
from headstart_server.encoding.images import in_batches
from headstart_server.planning.image_inputs import ImagePlan, plan_image
from headstart_server.planning.resolution import Resolution
from headstart_server.spec.model import FeatureSpec, TrainSpec

from benchmarks.support.machine import device
from benchmarks.support.pictures import MOBILENET

MANY = 10_000
"""Images that are surely loaded by processes."""


def scanned_images(path: Path, column: str, cache: Path) -> ScannedImages:
    """The images that a table's column holds or names."""
    table = open_location(Location(path, format_of(path.name, "data"), folders=(path.parent,)), cache, "data")
    images = ImageColumn([table], column, ImageLimits())
    return scan(images, np.arange(len(images)))


def mobilenet_plan(column: str, models: Path) -> ImagePlan:
    """A frozen image input on mobilenet_v2 from a model root."""
    encoder = {"type": "mobilenetv2", "pretrained_model_name_or_path": MOBILENET}
    feature = FeatureSpec.model_validate({"name": column, "type": "image", "encoder": encoder})
    resolution = Resolution.of(TrainSpec(input_features=[feature]))
    return plan_image(feature, "input_features[0]", ModelSources(models), resolution, device().type, 42)


def placed_encoder(plan: ImagePlan) -> ImageEncoder:
    """The encoder as the pass has it."""
    return plan.load_encoder().fused().at(plan.precision, device())


def loader_of(plan: ImagePlan, images: ScannedImages) -> ImageLoader:
    """A loader with as many processes as a job over many images has."""
    return ImageLoader({plan.name: plan.reader(images)}, workers_for(MANY))


def decode_all(loader: ImageLoader, count: int) -> None:
    """Loads every image and does nothing with it."""
    for _ in loader.stream(in_batches(np.arange(count), LOADED_IMAGES), None):
        pass


def crops_of(loader: ImageLoader, name: str, count: int) -> list[Crops]:
    """The crops of the first images, in memory."""
    batches = loader.stream(in_batches(np.arange(count), LOADED_IMAGES), None)
    return [(np.array(batch.rows), batch.crops[name].clone()) for batch in batches]


def encode_all(encoder: ImageEncoder, crops: list[Crops]) -> None:
    """Encodes crops that lie in memory."""
    for _ in encode_crops(encoder, iter(crops), device()):
        pass
