"""The sample that a model keeps of its training rows: what exports are checked on."""

import pyarrow as pa

from headstart_server.data.dataset import PreparedData
from headstart_server.data.images.decode import BadImageError
from headstart_server.data.images.scan import ScannedImages
from headstart_server.data.parts import Part, spread

_ROWS = 64
_IMAGES = 16


def sample_of(data: PreparedData) -> pa.Table:
    """Training rows of the input columns, spread over the data; images as the bytes of their files."""
    chosen = spread(data.rows(Part.TRAIN), _IMAGES if data.images else _ROWS)
    columns = list(dict.fromkeys(feature.spec.source for feature in data.inputs))
    sample = data.sources.rows.rows.select(columns).take(pa.array(chosen))
    for feature in data.inputs:
        if feature.name in data.images:
            files = [_file(data.images[feature.name], row) for row in chosen.tolist()]
            place = sample.schema.get_field_index(feature.spec.source)
            sample = sample.set_column(place, feature.spec.source, pa.array(files, pa.large_binary()))
    return sample


def _file(images: ScannedImages, row: int) -> bytes | None:
    """A row's file; none where it has gone since it was read, for the model is trained already."""
    try:
        return images.read(row)
    except BadImageError:
        return None
