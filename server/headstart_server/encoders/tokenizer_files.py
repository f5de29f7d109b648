"""Whether a folder has the tokenizer of its model: its files, words of its own, ids that the model has vectors for."""

import importlib.util
from typing import Any

from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.encoders.sources import ModelSource

_OTHER_NAMES = ("tokenizer.json", "tokenizer_config.json", "normalizer.json")
_PROBES = (
    "the of and to in is was for on it as a good bad film word",
    "e t a o i n s r h l d u 1 2 3 , .",
    "ACGT LAGVSERTIDPKQNFYMHWC",
)
_PROBED = 64


def unreadable_tokenizer(source: ModelSource, error: Exception, field: str) -> InvalidInputError:
    """The error for a tokenizer that transformers does not load."""
    present = source.vocabularies
    if not present:
        return _no_files(source, "tokenizer.json", field)
    if "vocab.txt" in present and isinstance(error, TypeError):
        return _no_files(source, "bpe.codes" if "bpe.codes" not in present else "a vocabulary file", field)
    sentencepiece = [name for name in present if name.endswith((".model", ".spm"))]
    if sentencepiece and "tokenizer.json" not in present and importlib.util.find_spec("sentencepiece") is None:
        return invalid(
            field,
            f"{source.name!r} has a SentencePiece model ({sentencepiece[0]}) and no tokenizer.json; add tokenizer.json "
            "(transformers' save_pretrained writes it where sentencepiece is installed), or install sentencepiece here",
        )
    reason = " ".join(str(error).replace(str(source.folder), "").split())[:300]
    files = ", ".join(sorted(present))[:200]
    return invalid(field, f"{source.name!r}: the tokenizer cannot be loaded from {files}: {reason}; check these files")


def require_tokenizer(source: ModelSource, tokenizer: Any, config: Any, field: str) -> None:
    """Raises InvalidInputError naming `field` for a tokenizer without its files, without words, or of another model.

    transformers makes tokenizers of most families without any file: each word is then unknown.
    """
    _require_files(source, tokenizer, field)
    if not _knows_words(tokenizer):
        raise invalid(
            field, f"{source.name!r}: its tokenizer knows no word, so that all texts would be alike; give its own files"
        )
    rows = getattr(config.get_text_config(), "vocab_size", None)
    if not isinstance(rows, int) or not type(tokenizer).vocab_files_names:
        return
    token, last = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if last >= rows:
        raise invalid(
            field,
            f"{source.name!r}: its tokenizer is one of another model: {token[:40]!r} is token {last}, and "
            f"config.json's vocab_size is {rows}; give the tokenizer that the model was trained with",
        )


def _require_files(source: ModelSource, tokenizer: Any, field: str) -> None:
    named: dict[str, str] = type(tokenizer).vocab_files_names
    present = source.vocabularies
    whole = hasattr(tokenizer, "backend_tokenizer") and "tokenizer.json" in present
    if not named or whole:
        return
    if not present:
        raise _no_files(source, " or ".join(sorted(set(named.values()) - {"tokenizer_config.json"})), field)
    merges = named.get("merges_file")
    if merges is not None and merges not in present:
        raise _no_files(source, merges, field)


def _no_files(source: ModelSource, missing: str, field: str) -> InvalidInputError:
    return invalid(
        field,
        f"{source.name!r} has no tokenizer files: {missing} is missing; copy them beside its weights",
        reason="NO_TOKENIZER",
    )


def _knows_words(tokenizer: Any) -> bool:
    """Whether a text has any token that is neither unknown nor special: ordinary words, or the tokenizer's own."""
    empty = {tokenizer.unk_token_id, *tokenizer.all_special_ids}
    own = [token for token, number in tokenizer.get_vocab().items() if number not in empty][-_PROBED:]
    for text in (*_PROBES, *own, *(tokenizer.convert_tokens_to_string([token]) for token in own)):
        if set(tokenizer(text, add_special_tokens=False)["input_ids"]) - empty:
            return True
    return False
