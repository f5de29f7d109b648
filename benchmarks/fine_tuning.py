"""From a frozen encoder to one that is trained whole: accuracy, time and memory of what lies between."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.support.corpus import corpus, write_csv
from benchmarks.support.jobs import text_spec
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench

_ROOT = Path(__file__).resolve().parent.parent
_WHOLE = "the whole encoder"
_COLUMNS = (
    Column("how", "what is trained"),
    Column("epochs", "epochs"),
    Column("accuracy", "test accuracy", "{:.4f}"),
    Column("error", "standard error", "{:.4f}"),
    Column("seconds", "job, s", "{:,.0f}"),
    Column("peak", "memory at most", "{:,.0f} MiB"),
    Column("share", "of the whole encoder's", "{:.2f}"),
    Column("size", "the model", "{:,.1f} MiB"),
)


def run(bench: Bench) -> Report:
    """Each way in a process of its own, one after the other."""
    found = corpus(bench.data_root, "text/sst2").head(*bench.pick((10_000, 10_000), (256, 128)))
    folder = bench.scratch / "data"
    folder.mkdir()
    for part, rows in (("train", found.train), ("test", found.test)):
        write_csv(folder / f"{part}.csv", rows)
    results = {how: _trained(folder, specs) for how, specs in _ways(bench.pick({}, {"epochs": 1})).items()}
    tested = len(found.test["label"])
    return Report(
        "fine_tuning",
        "What of an encoder is trained, and what it takes.",
        f"{found.origin}; {len(found.train['label']):,} training rows, {tested:,} test rows, all-MiniLM-L6-v2, fp32",
        [Table(_COLUMNS, [_row(how, result, results, tested) for how, result in results.items()])],
        [
            "Epochs, rates and batch sizes are those that the server chooses. Memory is the largest growth of what is "
            "resident since before the job: weights, gradients, the optimizer's state, activations, stored embeddings.",
            "The first job stores the embeddings that those find that begin with the head.",
            "Two accuracies that differ by less than the standard error say the same.",
        ],
    )


def _ways(trainer: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Specs by what they train, each of which begins from the model of the one before."""
    kinds: tuple[dict[str, Any], ...] = ({}, {"trainable": True}, {"adapter": "lora"}, {"trainable_layers": 2})
    frozen, whole, adapted, last = (_spec(trainer, **encoder) for encoder in kinds)
    return {
        "a linear head on stored embeddings": [frozen],
        _WHOLE: [whole],
        "the head, then the whole encoder (LP-FT)": [frozen, whole],
        "an adapter (LoRA, r = 8)": [adapted],
        "the head, then an adapter": [frozen, adapted],
        "the last two of six layers": [last],
        "the last two of six layers, the others' activations stored": [last],
    }


def _spec(trainer: dict[str, Any], **encoder: Any) -> dict[str, Any]:
    spec = text_spec("text", "label", trainer={"checkpoint": False, **trainer})
    spec["input_features"][0]["encoder"] |= {"trainable": None, **encoder}
    return spec


def _trained(folder: Path, specs: list[dict[str, Any]]) -> dict[str, float]:
    (folder / "specs.json").write_text(json.dumps(specs))
    command = [sys.executable, "-m", "benchmarks.support.fine_tuned", str(folder)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT, check=True).stdout
    found: dict[str, float] = json.loads(answer.splitlines()[-1])
    return found


def _row(how: str, found: dict[str, float], results: dict[str, dict[str, float]], tested: int) -> dict[str, Any]:
    return {
        "how": how,
        "epochs": int(found["epochs"]),
        "accuracy": found["accuracy"],
        "error": math.sqrt(found["accuracy"] * (1 - found["accuracy"]) / tested),
        "seconds": found["seconds"],
        "peak": found["peak"] / 2**20,
        "share": found["peak"] / results[_WHOLE]["peak"],
        "size": found["size"] / 2**20,
    }
