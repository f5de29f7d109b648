"""The embedding pass: rows per second of real text, beside sentence-transformers, a straight loop and bare products."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from headstart_server.encoders.precision import DTYPES
from sentence_transformers import SentenceTransformer

from benchmarks.support.clock import Sample, elapsed, interleaved
from benchmarks.support.corpus import Columns, corpus, distinct_texts
from benchmarks.support.embedding import EmbeddingPass, text_plan
from benchmarks.support.encoder import plain_model, source, straight_loop, tokens_of
from benchmarks.support.flops import MatrixProducts, encoder_flops
from benchmarks.support.ludwig import VERSION, Ludwig
from benchmarks.support.machine import auto_precision, device
from benchmarks.support.report import RECORDED, Column, Report, Table
from benchmarks.support.scale import Bench

_RECORDED = 92.0
_OURS = "headstart, auto"
_PRODUCTS = "matrix products alone, "
_COLUMNS = (
    Column("work", "embedding pass"),
    Column("precision", "precision"),
    Column("rows_per_second", "rows/s", "{:,.0f}"),
    Column("spread", "spread", "{:.0%}"),
    Column("gflops", "GFLOP/s", "{:,.0f}"),
    Column("ours_over", f"{_OURS} is faster by", "{:.2f}×"),
    Column("share_of_products", "of the machine's products", "{:.0%}"),
    Column("recorded", f"rows/s, {RECORDED}", "{:,.0f}"),
)


def run(bench: Bench) -> Report:
    """Everybody encodes the same distinct rows, tokenising included, weights loaded beforehand."""
    found = corpus(bench.data_root, "text/sst2")
    texts = distinct_texts(found)
    texts = texts[:: max(1, len(texts) // bench.pick(4_096, 512))]
    config = plain_model().config
    work = encoder_flops(config, [len(row) for row in tokens_of(texts)])
    contenders = _contenders(texts, bench.scratch)
    for precision in dict.fromkeys(("fp32", auto_precision())):
        contenders[_PRODUCTS + precision] = (
            precision,
            partial(_products_alone, MatrixProducts(config, precision), work),
        )
    samples = interleaved({name: measure for name, (_, measure) in contenders.items()}, 3)
    precisions = {name: precision for name, (precision, _) in contenders.items()}
    ludwig = Ludwig.found(bench.scratch)
    if ludwig is not None:
        labelled: Columns = {"text": texts, "label": [str(index % 2) for index in range(len(texts))]}
        measured = ludwig.measure(labelled, trainable=False, epochs=1, batch_size=128)
        samples[VERSION], precisions[VERSION] = Sample((measured.encode,)), "fp32"
    return Report(
        "embedding_pass",
        "How fast a frozen encoder reads distinct rows, and how much of the machine's arithmetic that uses.",
        f"{found.origin}; {len(texts):,} distinct rows, {work / len(texts) / 1e9:.2f} counted GFLOP each",
        [Table(_COLUMNS, _rows(samples, precisions, len(texts), work))],
        [
            "Ours hashes the rows, looks them up, encodes, publishes shards and gathers the matrix; the others encode.",
            "GFLOP/s count the arithmetic of real tokens only: padding is work that brings nothing.",
            "Bare products multiply 8,192 tokens by the weights of one encoder layer; the last two columns compare "
            "with the products of the same precision.",
        ],
    )


def _contenders(texts: list[str], scratch: Path) -> dict[str, tuple[str, Callable[[], float]]]:
    """(precision, measurement in seconds) by name."""
    auto = auto_precision()
    found: dict[str, tuple[str, Callable[[], float]]] = {_OURS: (auto, _ours(texts, auto, scratch))}
    if auto != "fp32":
        found["headstart, fp32"] = ("fp32", _ours(texts, "fp32", scratch))
    found["sentence-transformers, default"] = ("fp32", _sentence_transformers(texts, "fp32"))
    found["sentence-transformers, bf16"] = ("bf16", _sentence_transformers(texts, "bf16"))
    for precision in dict.fromkeys(("fp32", auto)):
        model = plain_model(precision)
        found[f"straight loop, {precision}"] = (precision, partial(elapsed, partial(straight_loop, model, texts)))
    return found


def _products_alone(products: MatrixProducts, work: float) -> float:
    return work / products.flops_per_second()


def _ours(texts: list[str], precision: str, scratch: Path) -> Callable[[], float]:
    """Our pass over an empty store, a new one each time."""
    encoding = EmbeddingPass(text_plan(precision), texts)
    stores = (scratch / f"{precision}-{number}" for number in range(1_000_000))
    return lambda: elapsed(lambda: encoding.into(next(stores)))


def _sentence_transformers(texts: list[str], precision: str) -> Callable[[], float]:
    """Its `encode` with its own defaults; all rows need not fit one batch."""
    model = SentenceTransformer(
        str(source().folder),
        device=device().type,
        model_kwargs={"dtype": DTYPES[precision]},
        local_files_only=True,
    )
    return lambda: elapsed(lambda: model.encode(texts, show_progress_bar=False))


def _rows(samples: dict[str, Sample], precisions: dict[str, str], rows: int, work: float) -> list[dict[str, object]]:
    ours = samples[_OURS].median
    products = {precision: samples[_PRODUCTS + precision].median for precision in ("fp32", precisions[_OURS])}
    table: list[dict[str, object]] = []
    for name, sample in samples.items():
        bare, precision = name.startswith(_PRODUCTS), precisions[name]
        table.append(
            {
                "work": name,
                "precision": precision,
                "rows_per_second": None if bare else rows / sample.median,
                "spread": sample.spread,
                "gflops": work / sample.median / 1e9,
                "ours_over": None if name == _OURS else sample.median / ours,
                "share_of_products": products[precision] / sample.median if precision in products else None,
            }
        )
    return table if VERSION in samples else [*table, {"work": VERSION, "precision": "fp32", "recorded": _RECORDED}]
