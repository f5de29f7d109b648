"""`headstart store list | stats | verify | prune` over a state directory, with or without a server beside it."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headstart_server.core.layout import Layout
from headstart_server.embedding_store.eviction import evict
from headstart_server.embedding_store.inventory import summarise, verify

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def main(argv: list[str]) -> int:
    """Runs one command; returns the exit code: 0, or 1 where `verify` finds corruption."""
    arguments = _parser().parse_args(argv)
    root = Layout(arguments.state_dir).embeddings
    code, result = _COMMANDS[arguments.command](root, arguments)
    if arguments.json:
        print(json.dumps(result, default=str))
    else:
        _print(result)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="headstart store", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("list", "one line per embedding space"),
        ("stats", "totals"),
        ("verify", "read every block and compare checksums"),
        ("prune", "remove least recently used shards down to a size"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--state-dir", type=Path, required=True, help="the server's state directory")
        command.add_argument("--json", action="store_true", help="print JSON")
        if name == "prune":
            command.add_argument("--max-size", type=_size, required=True, help="bytes to keep, e.g. 500M or 20G")
    return parser


def _size(text: str) -> int:
    number, unit = (text[:-1], text[-1].lower()) if text[-1:].isalpha() else (text, "")
    if unit not in _UNITS or not number.replace(".", "", 1).isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no size; use e.g. 500M or 20G")
    return int(float(number) * _UNITS[unit])


def _list(root: Path, _: argparse.Namespace) -> tuple[int, Any]:
    return 0, [asdict(summary) for summary in summarise(root)]


def _stats(root: Path, _: argparse.Namespace) -> tuple[int, Any]:
    spaces = summarise(root)
    totals = {
        name: sum(getattr(space, name) for space in spaces) for name in ("rows", "bytes", "shards", "quarantined")
    }
    return 0, {"spaces": len(spaces), **totals}


def _verify(root: Path, _: argparse.Namespace) -> tuple[int, Any]:
    checks = verify(root)
    bad = [check for check in checks if check.problem or check.corrupt_blocks]
    found = [{**asdict(check), "path": str(check.path.relative_to(root))} for check in bad]
    return int(bool(bad)), {"shards": len(checks), "corrupt": len(bad), "found": found}


def _prune(root: Path, arguments: argparse.Namespace) -> tuple[int, Any]:
    removed = evict(root, arguments.max_size)
    return 0, {"removed_shards": removed.shards, "removed_bytes": removed.bytes}


_COMMANDS = {"list": _list, "stats": _stats, "verify": _verify, "prune": _prune}


def _print(result: Any) -> None:
    if isinstance(result, list):
        for item in result:
            description = item["description"]
            print(f"{item['identifier']}  {item['rows']:>10} rows  {item['bytes'] / 2**20:>9.1f} MiB  {description}")
        return
    for name, value in result.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
