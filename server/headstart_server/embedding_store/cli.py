"""`headstart store list | stats | verify | prune | compact` over a state directory, beside a server or without one."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headstart_server.core.layout import Layout
from headstart_server.embedding_store.compaction import Compacted, compact
from headstart_server.embedding_store.eviction import evict
from headstart_server.embedding_store.inventory import summarise, verify
from headstart_server.settings import Settings

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def main(argv: list[str]) -> int:
    """Runs one command; returns the exit code: 0, 1 where `verify` finds corruption, 2 without a state directory."""
    arguments = _parser().parse_args(argv)
    if not arguments.state_dir.is_dir():
        return _refuse(f"--state-dir: {str(arguments.state_dir)!r} is no folder; name the server's", arguments.json)
    layout = Layout(arguments.state_dir)
    code, result = _COMMANDS[arguments.command](layout, arguments)
    if arguments.json:
        print(json.dumps(result, default=str))
    else:
        _print(result)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="headstart store", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    state_dir = Path(os.environ.get("HEADSTART_STATE_DIR") or Settings.model_fields["state_dir"].default)
    for name, text in (
        ("list", "one line per embedding space"),
        ("stats", "totals"),
        ("verify", "read every block and compare checksums"),
        ("prune", "remove least recently used shards down to a size"),
        ("compact", "merge small shards into larger ones, as a server does by itself where there are many"),
    ):
        command = commands.add_parser(name, help=text)
        text = "the server's state directory; default: HEADSTART_STATE_DIR, else the server's (%(default)s)"
        command.add_argument("--state-dir", type=Path, default=state_dir, help=text)
        command.add_argument("--json", action="store_true", help="print JSON")
        if name == "prune":
            command.add_argument("--max-size", type=_size, required=True, help="bytes to keep, e.g. 500M or 20G")
    return parser


def _size(text: str) -> int:
    number, unit = (text[:-1], text[-1].lower()) if text[-1:].isalpha() else (text, "")
    if unit not in _UNITS or not number.replace(".", "", 1).isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no size; use e.g. 500M or 20G")
    return int(float(number) * _UNITS[unit])


def _list(layout: Layout, _: argparse.Namespace) -> tuple[int, Any]:
    return 0, [
        {"tenant": each.tenant, **asdict(summary)}
        for each in layout.everyone()
        for summary in summarise(each.embeddings)
    ]


def _stats(layout: Layout, _: argparse.Namespace) -> tuple[int, Any]:
    spaces = [space for root in layout.embedding_stores() for space in summarise(root)]
    totals = {
        name: sum(getattr(space, name) for space in spaces) for name in ("rows", "bytes", "shards", "quarantined")
    }
    return 0, {"spaces": len(spaces), **totals}


def _verify(layout: Layout, _: argparse.Namespace) -> tuple[int, Any]:
    checks = [check for root in layout.embedding_stores() for check in verify(root)]
    bad = [check for check in checks if check.problem or check.corrupt_blocks]
    found = [{**asdict(check), "path": str(check.path.relative_to(layout.root))} for check in bad]
    return int(bool(bad)), {"shards": len(checks), "corrupt": len(bad), "found": found}


def _prune(layout: Layout, arguments: argparse.Namespace) -> tuple[int, Any]:
    removed = evict(layout.embedding_stores(), arguments.max_size)
    return 0, {"removed_shards": removed.shards, "removed_bytes": removed.bytes}


def _compact(layout: Layout, _: argparse.Namespace) -> tuple[int, Any]:
    done = sum((compact(root, least_shards=2) for root in layout.embedding_stores()), Compacted())
    return 0, {"merged_shards": done.parts, "into": done.merged, "removed_shards": done.removed}


_COMMANDS = {"list": _list, "stats": _stats, "verify": _verify, "prune": _prune, "compact": _compact}


def _refuse(message: str, as_json: bool) -> int:
    error = {"message": message, "code": "INVALID_ARGUMENT", "exit_code": 2}
    print(json.dumps({"error": error}) if as_json else f"error: {message}", file=sys.stderr)
    return 2


def _print(result: Any) -> None:
    if isinstance(result, list):
        for item in result:
            description = item["description"]
            size = f"{item['rows']:>10} rows  {item['bytes'] / 2**20:>9.1f} MiB"
            owner = f"{item['tenant']}  " if item["tenant"] else ""
            print(f"{owner}{item['identifier']}  {size}  {description}")
        return
    for name, value in result.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
