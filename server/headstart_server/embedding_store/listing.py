"""Lists a space's shards as one moment saw them, though others publish, merge and evict meanwhile."""

from pathlib import Path

_ATTEMPTS = 5


def shard_names(folder: Path) -> set[str]:
    """Names of the published shards in a folder.

    A listing of many files is not taken at one moment: it may miss a merged shard that came and the parts that went
    for it. So it is taken again where the folder changed meanwhile.
    """
    names: set[str] = set()
    # bounded: where shards are published all the time, no listing would be undisturbed
    for _ in range(_ATTEMPTS):
        before = _changed(folder)
        names = {path.name for path in folder.glob("[!.]*.safetensors")}
        if _changed(folder) == before:
            break
    return names


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
