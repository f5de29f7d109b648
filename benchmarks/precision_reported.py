"""How far embeddings in bf16 are from those in fp32, in which Predict answers: texts and images."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.images.reader import crop_of
from headstart_server.encoders.image import FEATURES, load_image_encoder
from headstart_server.encoders.image_passes import encode_few
from headstart_server.encoders.passes import encode_batches
from headstart_server.encoders.sources import ModelSources
from headstart_server.encoders.text import load_encoder
from headstart_server.encoders.text_preparation import load_preparation
from headstart_server.encoders.torchvision_models import architecture
from headstart_server.encoders.torchvision_weights import find_weights

from benchmarks.support.corpus import corpus, distinct_texts
from benchmarks.support.encoder import MAX_LENGTH, source
from benchmarks.support.pictures import MOBILENET, model_root, photos, read_rows
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench

_CPU = torch.device("cpu")
_COLUMNS = (
    Column("encoder", "encoder"),
    Column("rows", "rows", "{:,}"),
    Column("median", "median difference", "{:.4f}"),
    Column("most", "largest difference", "{:.4f}"),
    Column("cosine", "least cosine", "{:.5f}"),
)
Matrix = npt.NDArray[np.float32]


def run(bench: Bench) -> Report:
    """Each row in both precisions; the difference is the length of the difference over that of the fp32 embedding."""
    rows = [
        _row(name, *found)
        for name, found in (("all-MiniLM-L6-v2, mean", _texts(bench)), ("mobilenet_v2", _images(bench)))
    ]
    return Report(
        "precision_reported",
        "How far embeddings computed in bf16 are from those in fp32.",
        "text/sst2 and image/cats_dogs",
        [Table(_COLUMNS, rows)],
        ["Predict and exports compute in fp32; a job stores texts in bf16 where that is fast, and images in fp32."],
    )


def _row(name: str, exact: Matrix, rounded: Matrix) -> dict[str, Any]:
    lengths = np.linalg.norm(exact, axis=1)
    apart = np.linalg.norm(rounded - exact, axis=1) / lengths
    cosines = (exact * rounded).sum(1) / lengths / np.linalg.norm(rounded, axis=1)
    return {
        "encoder": name,
        "rows": len(exact),
        "median": float(np.median(apart)),
        "most": float(apart.max()),
        "cosine": float(cosines.min()),
    }


def _texts(bench: Bench) -> Iterator[Matrix]:
    texts = distinct_texts(corpus(bench.data_root, "text/sst2"))[: bench.pick(1_000, 200)]
    preparation = load_preparation(source(), MAX_LENGTH, "encoder")
    tokens = preparation.tokenize(texts)
    for precision in ("fp32", "bf16"):
        encoder = load_encoder(source(), "mean", use_pretrained=True, field="encoder").at(precision, _CPU)
        found: Matrix | None = None
        for positions, embeddings in encode_batches(encoder, tokens, preparation.padding, _CPU):
            found = np.empty((len(texts), embeddings.shape[1]), np.float32) if found is None else found
            found[positions] = embeddings
        assert found is not None
        yield found


def _images(bench: Bench) -> Iterator[Matrix]:
    folder = photos(bench.data_root, "image/cats_dogs", bench.scratch / "data")
    sources = ModelSources(model_root(bench.data_root, bench.scratch / "models"))
    found = find_weights(sources, architecture("mobilenetv2", "mobilenet_v2", "encoder"), MOBILENET, "encoder")
    files = [folder / row["image_path"] for row in read_rows(folder / "test.csv")[: bench.pick(200, 40)]]
    crops = torch.stack(
        [torch.from_numpy(crop_of(file.read_bytes(), found.transform, ImageLimits())) for file in files]
    )
    for precision in ("fp32", "bf16"):
        encoder = load_image_encoder(found, found.transform, FEATURES, use_pretrained=True, field="encoder")
        yield encode_few(encoder.fused().at(precision, _CPU), crops, _CPU)
