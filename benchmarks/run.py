"""Runs benchmarks by name: prints their tables and keeps them as JSON and Markdown in `benchmarks/out`.

Usage: python -m benchmarks.run [NAME ...] [--quick]
"""

import argparse
import importlib
import os
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "benchmarks" / "out"
NAMES = (
    "headline",
    "embedding_pass",
    "warm_second_job",
    "million_rows",
    "stored_epoch",
    "trainable_epoch",
    "predict",
    "predict_steps",
    "heads",
    "dataset_predictions",
    "predict_memory",
    "responsiveness",
    "overload",
    "watched",
    "list_jobs",
    "suggestions",
    "trees",
    "sweep",
    "fine_tuning",
    "accuracy",
    "accuracy_trainable",
    "image_pass",
    "accuracy_images",
    "precision_reported",
    "many_images",
    "ray_pass",
    "fsdp_memory",
    "scaling",
)


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 if a benchmark could not run."""
    options = _parse(argv)
    _prepare_environment()
    machine = _machine()
    print(f"# Headstart benchmarks{' (quick)' if options.quick else ''}\n\n{_machine_line(machine)}\n", flush=True)
    failed = [name for name in options.names if not _run(name, options.quick, machine)]
    if failed:
        print(f"could not run: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Measure Headstart beside its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which to run, of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer rows and repetitions: a look, not a result")
    options = parser.parse_args(argv)
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    options.names = options.names or NAMES
    return options


def _prepare_environment() -> None:
    """No network, no chatter: before anything heavy is imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    warnings.filterwarnings("ignore", category=FutureWarning)
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def _machine() -> dict[str, Any]:
    from benchmarks.support.machine import describe

    return describe()


def _machine_line(machine: dict[str, Any]) -> str:
    return "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items())


def _run(name: str, quick: bool, machine: dict[str, Any]) -> bool:
    """Runs one benchmark; a failure is told, and the next one runs."""
    from benchmarks.support.scale import Bench

    data_root = Path(os.environ.get("HEADSTART_TEST_DATA", ROOT.parent / "shared" / "data"))
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix=f"headstart-{name}-") as scratch:
            bench = Bench(quick=quick, data_root=data_root, scratch=Path(scratch), out=OUT)
            report = importlib.import_module(f"benchmarks.{name}").run(bench)
    except Exception:  # noqa: BLE001 - one benchmark that breaks must not keep the others from running
        traceback.print_exc()
        return False
    report.save(OUT, {**machine, "quick": quick})
    print(f"{report.markdown()}\n({time.monotonic() - started:.0f} s)\n", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
