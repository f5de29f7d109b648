"""Live Predict during exports of every model of a folder: prints each export's end and how many calls failed.

Usage: python -m tests.exports.run --model-root FOLDER [--exports 20]

Exit code 1 if a call failed, or an export with anything but a refusal.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

import headstart

from tests.support import reviews
from tests.support.running_server import RunningServer
from tests.support.tiny_models import save_bert

CALLERS = 4


def train(client: headstart.Client, encoder: str) -> str:
    """A model with this encoder."""
    spec = reviews.spec(epochs=1)
    spec["input_features"][0]["encoder"] |= {"type": "auto_transformer", "pretrained_model_name_or_path": encoder}
    return client.train(spec, headstart.ServerPath("reviews.csv")).result().model


class Callers:
    """Predict again and again until told to stop."""

    def __init__(self, server: RunningServer, model: str) -> None:
        self._server, self._model = server, model
        self._done = threading.Event()
        self.counts: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def _call(self) -> None:
        rows = reviews.columns(reviews.make_rows(64), "review", "price", "category")
        with self._server.client() as client:
            while not self._done.is_set():
                try:
                    client.predict(self._model, rows, embedding_reuse="none")
                    self.counts["ok"] += 1
                except Exception as error:  # noqa: BLE001 - whatever it is, it is what this counts
                    self.counts[f"{type(error).__name__}: {error}"[:200]] += 1

    def stop(self) -> None:
        """Lets the last calls end."""
        self._done.set()
        for thread in self._threads:
            thread.join()


def main() -> int:
    """Trains all, then exports one after the other while four clients predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-root", type=Path, required=True)
    parser.add_argument("--exports", type=int, default=20)
    options = parser.parse_args()
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        reviews.write_csv(root / "reviews.csv", reviews.make_rows(120))
        (root / "models").mkdir()
        save_bert(root / "models" / "live-bert")
        for model in sorted(options.model_root.resolve().iterdir()):
            shutil.copytree(model, root / "models" / model.name)
        names = [path.name for path in sorted((root / "models").iterdir()) if path.name != "live-bert"]
        flags = ("--model-root", str(root / "models"), "--data-root", str(root))
        with RunningServer(root / "state", *flags) as server, server.client() as client:
            callers = Callers(server, train(client, "live-bert"))
            wanted = itertools.islice(
                itertools.cycle(itertools.product(names, ("onnx", "torchscript"))), options.exports
            )
            for name, file_format in wanted:
                try:
                    client.export(train(client, name), format=file_format)
                    end = "ok"
                except headstart.FailedPrecondition as error:
                    end = f"refused: {error}"
                except headstart.HeadstartError as error:
                    end = f"FAILED: {error}"
                print(f"{name} {file_format}: {end}"[:400], flush=True)
                ends[end.partition(":")[0]] += 1
            callers.stop()
    print(f"exports: {dict(ends)}; Predict calls: {dict(callers.counts)}")
    return int(ends["FAILED"] > 0 or set(callers.counts) != {"ok"})


if __name__ == "__main__":
    sys.exit(main())
