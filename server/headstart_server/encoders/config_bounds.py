"""What a model's `config.json` may ask for, looked at before anything is built by it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headstart_server.core.errors import InvalidInputError, invalid

_MOST_BYTES = 16 << 20
_DEPTH = 16
_LONGEST_LIST = 65_536
_LIMITS: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"(n_|num_)?(\w+_)?layers?|n_layer|num_hidden_groups|inner_group_num|num_blocks|depths?"), 1_000),
    (re.compile(r"\w*experts\w*"), 4_096),
    (re.compile(r"(n_|num_)\w*heads?|\w+_heads"), 4_096),
    (re.compile(r"hidden_sizes?|d_model|d_ff|d_kv|d_inner|dim|n_embd|n_inner|\w*hidden_dim|embedding_size"), 1 << 20),
    (re.compile(r"\w*(intermediate|ffn_dim|projection_dim|embed_dim|head_dim)\w*"), 1 << 20),
    (re.compile(r"\w*vocab_size|n_vocab|type_vocab_size"), 1 << 24),
    (re.compile(r"image_size|patch_size|num_channels"), 1 << 16),
)
"""The most that numbers may be, by their key."""
_MOST = 1 << 40
"""The most that any whole number may be: no size, count or limit is larger."""
_SPARE, _SPARE_OF_LAYERS = 4, 64
"""How many numbers a byte of weights may stand for: some are packed, and some layers share their weights."""
_POSITIVE = re.compile(
    r"hidden_size|d_model|num_hidden_layers|num_attention_heads|vocab_size|n_layers?|n_heads?|n_embd"
)
_UNUSED = ("label2id", "id2label", "quantization_config", "task_specific_params", "generation_config", "auto_map")


def require_modest_config(folder: Path, weights: int, name: str, field: str) -> None:
    """Raises InvalidInputError naming `field`, the key, its value and its limit; `weights` counts the files' bytes."""
    path = folder / "config.json"
    if path.stat().st_size > _MOST_BYTES:
        raise invalid(field, f"{name[:120]!r}: config.json is larger than {_MOST_BYTES >> 20} MiB")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise invalid(field, f"{name[:120]!r}: config.json is no JSON: {str(error)[:120]}") from error
    if not isinstance(content, dict):
        raise invalid(field, f"{name[:120]!r}: config.json must hold an object, not a {type(content).__name__}")
    for key, value in _values(content, ""):
        if wrong := _wrong(key, value):
            raise _refused(name, key, value, wrong, field)
    for part in (content, *(value for value in content.values() if isinstance(value, dict))):
        if wrong := _unlike_weights(part, weights):
            raise invalid(field, f"{name[:120]!r}: config.json: {wrong}, but its weights take {weights:,} bytes")


def _unlike_weights(config: dict[str, Any], weights: int) -> str:
    """What a configuration asks for that files of this size cannot hold, with much to spare; nothing if they can."""
    width = _number(config, "hidden_size", "d_model", "n_embd", "dim")
    vocabulary, layers = _number(config, "vocab_size"), _number(config, "num_hidden_layers", "num_layers", "n_layer")
    narrow = _number(config, "embedding_size", "emb_dim", "word_embed_proj_dim") or width
    if vocabulary * narrow > _SPARE * weights:
        return f"vocab_size is {vocabulary:,}, of vectors {narrow:,} wide"
    if width * width > _SPARE * weights or layers * width * width > _SPARE_OF_LAYERS * weights:
        return f"its width is {width:,}, of {max(layers, 1):,} layers"
    return ""


def _number(config: dict[str, Any], *keys: str) -> int:
    """The first of these that is a whole number, else 0."""
    found = (config.get(key) for key in keys)
    return next((value for value in found if isinstance(value, int) and not isinstance(value, bool)), 0)


def _values(content: Any, key: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every value with its dotted key; items of lists have the key of the list, as numbers of a kind."""
    if depth > _DEPTH:
        yield key, content
    elif isinstance(content, dict):
        for part, value in content.items():
            if part not in _UNUSED:
                yield from _values(value, f"{key}.{part}" if key else str(part), depth + 1)
    elif isinstance(content, list) and len(content) <= _LONGEST_LIST:
        for value in content:
            yield from _values(value, key, depth + 1)
    else:
        yield key, content


def _wrong(key: str, value: Any) -> str:
    """What is wrong with one value, nothing if it is right."""
    last = key.rpartition(".")[2]
    sized = next((limit for pattern, limit in _LIMITS if pattern.fullmatch(last)), None)
    if isinstance(value, list):
        return f"may hold at most {_LONGEST_LIST:,} items"
    if isinstance(value, dict):
        return f"is nested more than {_DEPTH} deep"
    if _POSITIVE.fullmatch(last) and (isinstance(value, bool | str) or (isinstance(value, int | float) and value < 1)):
        return "must be a whole number from 1"
    if isinstance(value, int) and abs(value) > (limit := sized or _MOST):
        return f"may be at most {limit:,}"
    return ""


def _refused(name: str, key: str, value: Any, wrong: str, field: str) -> InvalidInputError:
    shown = f"a list of {len(value):,}" if isinstance(value, list) else f"{value!r}"[:60]
    return invalid(field, f"{name[:120]!r}: config.json: {key[:120]} is {shown}, but {wrong}")
