"""`make gpu-check`: the paths that only a GPU takes, run and timed on it. Needs neither the network nor Ray.

Weights are MiniLM's where a package carries them, otherwise random ones of the same shape: the arithmetic is the same.
Writes `benchmarks/out/gpu_check.md`; exits with 1 where there is no GPU or a result is wrong.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from headstart_server.core.errors import InvalidInputError
from headstart_server.encoders.passes import encode_batches
from headstart_server.encoders.sources import ModelSource, ModelSources
from headstart_server.encoders.text import load_encoder
from headstart_server.encoders.text_preparation import TextPreparation, load_preparation
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from benchmarks.support.engine import Engine
from benchmarks.support.generated import Shape, texts_and_labels
from benchmarks.support.gpu_images import Line, image_passes, image_trainings

OUT = Path(__file__).parent / "out" / "gpu_check.md"
_NAME = "sentence-transformers/all-MiniLM-L6-v2"
_TOLERANCE = {"fp32": 1e-3, "bf16": 0.1, "fp16": 0.02}
_ROWS = 20_000
_SHAPE = Shape({"negative": 0.5, "positive": 0.5}, median_words=18, percentile_95_words=35)


def main() -> int:
    """Runs every check; returns the exit code."""
    if not torch.cuda.is_available():
        print("no GPU here: torch.cuda.is_available() is false; nothing was checked", file=sys.stderr)
        return 1
    os.environ["HF_HUB_OFFLINE"] = "1"
    transformers.utils.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        sources, source = _weights(Path(folder))
        models = Path(folder) / "images"
        images = Engine(Path(folder) / "image-state", ModelSources(models))
        lines = [
            *_passes(source),
            *_trainings(Path(folder), sources, source.name),
            *image_passes(models, torch.device("cuda")),
            *image_trainings(models, images),
        ]
    table = "\n".join(["| work | result | speed |", "|---|---|---|", *(f"| {' | '.join(line)} |" for line in lines)])
    title = f"{torch.cuda.get_device_name()}, torch {torch.__version__}, weights {source.name}"
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(f"# GPU check\n\n{title}\n\n{table}\n", encoding="utf-8")
    print(OUT.read_text(encoding="utf-8"))
    return int(any(line[1].startswith("WRONG") for line in lines))


def _weights(folder: Path) -> tuple[ModelSources, ModelSource]:
    try:
        sources = ModelSources()
        return sources, sources.find(_NAME, None, "weights")
    except InvalidInputError:
        sources = ModelSources(folder)
        _save_random(folder / "random-minilm")
        return sources, sources.find("random-minilm", None, "weights")


def _save_random(folder: Path) -> None:
    """A BERT of MiniLM's shape with random weights and a tokenizer of whole words."""
    words = sorted({word for text in texts_and_labels(_SHAPE, 2_000, 0)[0] for word in text.lower().split()})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words]
    tokenizer = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    config = transformers.BertConfig(
        vocab_size=30_522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1_536
    )
    transformers.BertModel(config).save_pretrained(folder)
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def _passes(source: ModelSource) -> list[Line]:
    """The embedding pass at each precision, beside fp32 on the CPU for the first rows."""
    preparation = load_preparation(source, 256, "weights")
    texts, _ = texts_and_labels(_SHAPE, _ROWS, 0)
    expected = _encoded(source, preparation, texts[:64], "fp32", torch.device("cpu"))
    lines = []
    for precision in ("fp32", "bf16", "fp16"):
        _encoded(source, preparation, texts[:512], precision, torch.device("cuda"))
        torch.cuda.synchronize()
        start = time.perf_counter()
        found = _encoded(source, preparation, texts, precision, torch.device("cuda"))
        seconds = time.perf_counter() - start
        difference = float(np.abs(found[:64] - expected).max())
        verdict = "differs" if difference <= _TOLERANCE[precision] else "WRONG: differs"
        lines.append(
            (
                f"embedding pass, {precision}",
                f"{verdict} by {difference:.1e} from the CPU",
                f"{_ROWS / seconds:,.0f} rows/s",
            )
        )
    return lines


def _encoded(
    source: ModelSource, preparation: TextPreparation, texts: list[str], precision: str, device: torch.device
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    encoder = load_encoder(source, "mean", use_pretrained=True, field="weights").at(precision, device)
    tokens = preparation.tokenize(texts)
    embeddings = np.empty((len(texts), encoder.dimension), np.float32)
    for rows, encoded in encode_batches(encoder, tokens, preparation.padding, device):
        embeddings[rows] = encoded
    return embeddings


def _trainings(folder: Path, sources: ModelSources, name: str) -> list[Line]:
    """Whole trainings through the engine: stored, and trainable with and without AMP and compile."""
    engine = Engine(folder / "state", sources)
    cases: dict[str, tuple[bool, dict[str, Any]]] = {
        "frozen and stored": (False, {}),
        "trainable, fp32": (True, {}),
        "trainable, AMP": (True, {"use_mixed_precision": True}),
        "trainable, AMP and compile": (True, {"use_mixed_precision": True, "compile": True}),
    }
    return [_training(engine, name, title, trainable, options) for title, (trainable, options) in cases.items()]


def _training(engine: Engine, name: str, title: str, trainable: bool, options: dict[str, Any]) -> Line:
    texts, labels = texts_and_labels(_SHAPE, 4_000, 0)
    train = {"text": texts[:3_600], "label": labels[:3_600]}
    validation = {"text": texts[3_600:], "label": labels[3_600:]}
    encoder = {"type": "auto_transformer", "pretrained_model_name_or_path": name, "trainable": trainable}
    spec = {
        "input_features": [{"name": "text", "type": "text", "encoder": encoder}],
        "output_features": [{"name": "label", "type": "category"}],
        "trainer": {"epochs": 3, "batch_size": 64, **options},
    }
    epochs = engine.train(spec, train, validation)
    last = epochs[-1]
    falls = last.train["loss"] < epochs[0].train["loss"]
    verdict = f"{'loss' if falls else 'WRONG: loss'} {epochs[0].train['loss']:.3f} to {last.train['loss']:.3f}"
    accuracy = f"accuracy {last.validation['label.accuracy']:.3f}"
    return title, f"{verdict}, {accuracy}", f"{last.train_seconds:.3f} s an epoch of {len(texts) - 400:,} rows"


if __name__ == "__main__":
    sys.exit(main())
