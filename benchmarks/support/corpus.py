"""The rows that benchmarks read: real data where it is, a generated stand-in where not."""

import csv
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.support.generated import Shape, texts_and_labels

Columns = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Corpus:
    """Training and test rows as columns of strings, and where they came from."""

    origin: str
    train: Columns
    test: Columns

    def head(self, train: int, test: int) -> "Corpus":
        """The first rows of each part."""
        return replace(self, train=take(self.train, range(train)), test=take(self.test, range(test)))


_SENTIMENT = {"negative": 0.48, "positive": 0.52}
_QUESTIONS = {"entity": 23, "human": 22, "description": 21, "numeric": 17, "location": 15, "abbreviation": 2}
_STARS = {"negative": 0.23, "neutral": 0.11, "positive": 0.66}
_SHAPES = {
    "text/sst2": (Shape(_SENTIMENT, 18, 35), "label", 6_920, 1_821),
    "text/trec": (Shape(_QUESTIONS, 10, 17), "label", 5_452, 500),
    "text/yelp_reviews": (Shape(_STARS, 72, 288), "sentiment", 8_000, 2_000),
}


def corpus(data_root: Path, name: str) -> Corpus:
    """One data set by its folder: the real one below `data_root`, or a stand-in of its size and lengths."""
    folder = data_root / name
    if (folder / "train.csv").is_file():
        return Corpus(f"{name}, the real rows", read_csv(folder / "train.csv"), read_csv(folder / "test.csv"))
    shape, target, train, test = _SHAPES[name]
    parts = [texts_and_labels(shape, rows, seed) for rows, seed in ((train, 1), (test, 2))]
    made = [{"text": texts, target: labels} for texts, labels in parts]
    return Corpus(f"a generated stand-in for {name}, in length and size", *made)


def titanic(data_root: Path) -> Corpus:
    """Passengers: a name, numbers with holes, categories."""
    folder = data_root / "tabular/titanic"
    if (folder / "train.csv").is_file():
        return Corpus("tabular/titanic, the real rows", read_csv(folder / "train.csv"), read_csv(folder / "test.csv"))
    return Corpus("a generated stand-in for tabular/titanic", _passengers(712, 1), _passengers(179, 2))


def take(columns: Columns, rows: Sequence[int]) -> Columns:
    """Some rows; those beyond the end are left out."""
    count = len(next(iter(columns.values())))
    kept = [row for row in rows if row < count]
    return {name: [values[row] for row in kept] for name, values in columns.items()}


def distinct_texts(found: Corpus) -> list[str]:
    """Every text once, in order."""
    return list(dict.fromkeys([*found.train["text"], *found.test["text"]]))


def read_csv(path: Path) -> Columns:
    """A CSV file as columns of strings."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def write_csv(path: Path, columns: Columns) -> Path:
    """The inverse of `read_csv`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def write_jsonl(path: Path, columns: Columns) -> Path:
    """The same rows as JSON lines."""
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def _passengers(rows: int, seed: int) -> Columns:
    names, survived = texts_and_labels(Shape({"0": 0.62, "1": 0.38}, 4, 6, topical=0.8), rows, seed)
    rng = random.Random(seed)
    women = [rng.random() < (0.7 if alive == "1" else 0.15) for alive in survived]
    return {
        "Name": names,
        "Survived": survived,
        "Sex": ["female" if woman else "male" for woman in women],
        "Pclass": [rng.choices("123", (4, 3, 4) if alive == "1" else (1, 2, 7))[0] for alive in survived],
        "Age": ["" if rng.random() < 0.2 else str(round(rng.gauss(30, 14) % 80, 1)) for _ in survived],
        "SibSp": [str(rng.choice((0, 0, 0, 1, 2))) for _ in survived],
        "Parch": [str(rng.choice((0, 0, 0, 1, 2))) for _ in survived],
        "Fare": [f"{rng.lognormvariate(3 if alive == '1' else 2.5, 0.9):.4f}" for alive in survived],
        "Embarked": [rng.choice(("S", "S", "S", "C", "Q", "")) for _ in survived],
    }
