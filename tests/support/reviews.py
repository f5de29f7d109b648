"""A small made-up task: a review, its price and category, and what can be predicted from them."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

Row = dict[str, str]

EVERY_OUTPUT: dict[str, Any] = {
    "input_features": [
        {"name": "review", "type": "text", "encoder": {"pretrained_model_name_or_path": "tiny-bert"}},
        {"name": "price", "type": "number"},
        {"name": "category", "type": "category"},
    ],
    "output_features": [
        {"name": "verdict", "type": "category"},
        {"name": "watched", "type": "binary"},
        {"name": "score", "type": "number"},
        {"name": "tags", "type": "set"},
    ],
    "trainer": {"epochs": 3},
}
"""A spec with an output of each type but vectors, on the encoder `tiny-bert`."""


def make_rows(count: int, seed: int = 0) -> list[Row]:
    """Rows whose verdict follows from a word of the text."""
    generator = random.Random(seed)
    rows = []
    for index in range(count):
        good = generator.random() < 0.5
        word = "great" if good else "awful"
        price = generator.uniform(1, 100)
        rows.append(
            {
                "review": f"{word} " * generator.randrange(4, 7) + f"film {seed} {index}",
                "price": f"{price:.2f}",
                "category": generator.choice(["drama", "comedy", "horror"]),
                "verdict": "positive" if good else "negative",
                "watched": "yes" if good else "no",
                "score": f"{price / 10 + (5 if good else 0):.3f}",
                "tags": " ".join(["happy"] * good + ["cheap"] * (price < 50)) or "none",
                "point": f"{price / 100:.3f} {float(good)}",
            }
        )
    return rows


def write_csv(path: Path, rows: list[Row]) -> Path:
    """Rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: list[Row]) -> Path:
    """Rows as JSON Lines."""
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def columns(rows: list[Row], *names: str) -> dict[str, list[str]]:
    """Some columns of rows."""
    return {name: [row[name] for row in rows] for name in names}


def spec(**trainer: Any) -> dict[str, Any]:
    """Text, number and category to a verdict, the tiny encoder frozen."""
    encoder = {"type": "bert", "pretrained_model_name_or_path": "tiny-bert", "trainable": False}
    return {
        "input_features": [
            {"name": "review", "type": "text", "encoder": encoder},
            {"name": "price", "type": "number"},
            {"name": "category", "type": "category"},
        ],
        "output_features": [{"name": "verdict", "type": "category"}],
        "trainer": {"epochs": 3, **trainer},
    }
