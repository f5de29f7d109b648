"""Flips a bit of each kind of stored file, or cuts it, again and again: no other answer, no service down.

python -m tests.damage.run --per-kind 100 --seed 1
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import transformers
from headstart_server.core.errors import HeadstartError

from tests.damage.kinds import Kind, every_kind
from tests.support.tiny_models import save_bert

OUTCOMES = ("noticed", "harmless", "repaired", "WRONG")
"""Refused by an error of ours; the same answer from a file that stayed so; a miss, made again; anything else."""


def damaged(data: bytes, generator: random.Random) -> bytes:
    """Half of the time one bit flipped, else cut somewhere."""
    place = generator.randrange(len(data))
    if generator.random() < 0.5:
        return data[:place]
    return data[:place] + bytes([data[place] ^ 1 << generator.randrange(8)]) + data[place + 1 :]


def trial(kind: Kind, root: Path, sound: Path, generator: random.Random) -> tuple[str, str]:
    """(outcome, why where it is WRONG) of one damage; the folder is restored before it."""
    shutil.rmtree(root)
    shutil.copytree(sound, root)
    right = kind.read()
    broken = damaged(kind.path.read_bytes(), generator)
    kind.path.write_bytes(broken)
    try:
        answer = kind.read()
        kind.listed()
    except HeadstartError:
        try:
            kind.listed()
        except Exception as error:  # noqa: BLE001 - whatever it is, a list must not raise it
            return "WRONG", f"the list raised {error!r}"
        return "noticed", ""
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return "WRONG", f"raised {error!r}"
    if answer is None:
        return "repaired", ""
    if answer != right:
        return "WRONG", "gave another answer"
    same = kind.path.exists() and kind.path.read_bytes() == broken
    return ("harmless" if same else "repaired"), ""


def damage_all(folder: Path, per_kind: int, seed: int) -> tuple[dict[str, Counter[str]], list[str]]:
    """Outcomes by kind, and what went wrong."""
    save_bert(folder / "bert")
    root, sound = folder / "state", folder / "sound"
    kinds = list(every_kind(root, folder / "bert"))
    shutil.copytree(root, sound)
    counts: dict[str, Counter[str]] = {}
    faults = []
    for kind in kinds:
        counts[kind.name] = Counter()
        for number in range(per_kind):
            outcome, why = trial(kind, root, sound, random.Random(f"{seed} {kind.name} {number}"))
            counts[kind.name][outcome] += 1
            if why:
                faults.append(f"{kind.name}, trial {number} of seed {seed}: {why[:300]}")
    return counts, faults


def main(argv: list[str]) -> int:
    """Prints a line per kind; returns 1 where something went wrong."""
    parser = argparse.ArgumentParser(prog="tests.damage.run", description=__doc__.splitlines()[0])
    parser.add_argument("--per-kind", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        counts, faults = damage_all(Path(folder), arguments.per_kind, arguments.seed)
    print(f"{'kind':32}{'trials':>8}" + "".join(f"{name:>10}" for name in OUTCOMES))
    for name, found in counts.items():
        print(f"{name:32}{found.total():>8}" + "".join(f"{found[outcome]:>10}" for outcome in OUTCOMES))
    print("\n".join(faults) or "no other answer, no list down")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
