"""Whether a folder has the tokenizer of its model: its files, words of its own, ids that the model has vectors for."""

import importlib.util
from typing import Any

from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.reasons import Reason
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text_models import UNLIMITED

_OTHER_NAMES = ("tokenizer.json", "tokenizer_config.json", "normalizer.json")
# Words, single characters, and the letters of bases and amino acids (ESM).
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
    configured = ["tokenizer_config.json"] if (source.folder / "tokenizer_config.json").is_file() else []
    files = ", ".join([*sorted(present), *configured])[:200]
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
    rows = _rows(config)
    if rows is None or not type(tokenizer).vocab_files_names:
        return
    # Padding may have been added without a vector of its own; see `padding_of`.
    words = ((token, number) for token, number in tokenizer.get_vocab().items() if token != tokenizer.pad_token)
    token, last = max(words, key=lambda item: item[1])
    if last >= rows:
        raise invalid(
            field,
            f"{source.name!r}: its tokenizer is one of another model: {token[:40]!r} is token {last}, and "
            f"config.json's vocab_size is {rows}; give the tokenizer that the model was trained with",
        )


def longest_of(source: ModelSource, tokenizer: Any, field: str) -> int:
    """Most tokens of a text, special ones included, that the tokenizer's own files allow.

    Raises InvalidInputError naming `field` where that is no number, or leaves no room for a word.
    """
    given, special = tokenizer.model_max_length, tokenizer.num_special_tokens_to_add()
    if isinstance(given, bool) or not isinstance(given, int | float) or not given > special:
        raise invalid(
            field,
            f"{source.name!r}: tokenizer_config.json: model_max_length is {str(given)[:60]!r}, but must be a whole "
            f"number from {special + 1}; correct it, or leave it out",
        )
    return int(min(given, UNLIMITED))


def padding_of(tokenizer: Any, config: Any) -> int:
    """The id that fills rows up. What is padded is masked, so that any id of the model's will do where the tokenizer's
    own has no vector, as with a `[PAD]` added to a model that was not resized for it."""
    padding, rows = int(tokenizer.pad_token_id or 0), _rows(config)
    return padding if rows is None or padding < rows else 0


def _rows(config: Any) -> int | None:
    """Tokens that the configuration says the model has vectors for; None where it does not say."""
    rows = getattr(config.get_text_config(), "vocab_size", None)
    return rows if isinstance(rows, int) else None


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
        reason=Reason.NO_TOKENIZER,
    )


def _knows_words(tokenizer: Any) -> bool:
    """Whether a text has any token that is neither unknown nor special: ordinary words, or the tokenizer's own."""
    empty = {tokenizer.unk_token_id, *tokenizer.all_special_ids}
    own = [token for token, number in tokenizer.get_vocab().items() if number not in empty][-_PROBED:]
    for text in (*_PROBES, *own, *(tokenizer.convert_tokens_to_string([token]) for token in own)):
        if set(tokenizer(text, add_special_tokens=False)["input_ids"]) - empty:
            return True
    return False
