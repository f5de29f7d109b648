"""Tiny random models in transformers' layout, each saved to a folder: real behaviour without real weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

HIDDEN = 32
POSITIONS = 40
_WORDS = "the a good bad film movie was is not very great awful story plot love hate and or it this"


def _characters() -> list[str]:
    return [chr(code) for code in range(33, 127) if not chr(code).isupper()]


def _word_piece(special: list[str]) -> Tokenizer:
    pieces = [
        *special,
        *_WORDS.split(),
        *_characters(),
        *(f"##{letter}" for letter in _characters()),
        "##ing",
        "##ed",
        "##s",
    ]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=50))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _byte_level(special: list[str]) -> Tokenizer:
    vocabulary = {piece: index for index, piece in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _framed(tokenizer: Tokenizer, first: str | None, last: str) -> Tokenizer:
    frame = f"{first} $A {last}" if first else f"$A {last}"
    names = [name for name in (first, last) if name]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=frame, special_tokens=[(name, tokenizer.token_to_id(name)) for name in names]
    )
    return tokenizer


def _save(folder: Path, model: Any, tokenizer: Tokenizer, **special: Any) -> Path:
    model.save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    return folder


_BERT_WORDS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}


def bert_config(tokenizer: Tokenizer) -> transformers.BertConfig:
    """Two layers, 32 wide, 40 positions; weights large enough that texts differ."""
    return transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        initializer_range=0.3,
    )


def bert_tokenizer() -> Tokenizer:
    """WordPiece over a few words and every ASCII character."""
    return _framed(_word_piece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]), "[CLS]", "[SEP]")


def save_bert(folder: Path, *, pooler: bool = True, dropout: bool = True, seed: int = 0) -> Path:
    """A BERT; without dropout, whose random numbers no two topologies draw alike, if told so."""
    torch.manual_seed(seed)
    tokenizer = bert_tokenizer()
    config = bert_config(tokenizer)
    if not dropout:
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    model = transformers.BertModel(config, add_pooling_layer=pooler)
    return _save(folder, model, tokenizer, model_max_length=POSITIONS, **_BERT_WORDS)


def save_distilbert(folder: Path) -> Path:
    """A DistilBERT."""
    torch.manual_seed(1)
    tokenizer = bert_tokenizer()
    config = transformers.DistilBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        dim=HIDDEN,
        n_layers=2,
        n_heads=2,
        hidden_dim=64,
        max_position_embeddings=POSITIONS,
        initializer_range=0.3,
    )
    return _save(folder, transformers.DistilBertModel(config), tokenizer, **_BERT_WORDS)


def save_roberta(folder: Path) -> Path:
    """A RoBERTa: its first position is the padding id + 1, so that it reads two tokens less than it has positions."""
    torch.manual_seed(2)
    tokenizer = _framed(_byte_level(["<s>", "<pad>", "</s>", "<unk>"]), "<s>", "</s>")
    config = transformers.RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        initializer_range=0.3,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return _save(folder, transformers.RobertaModel(config), tokenizer, **special)


def save_gpt2(folder: Path) -> Path:
    """A GPT-2: causal, no padding token, no special tokens around a text, none at all for an empty one."""
    torch.manual_seed(3)
    tokenizer = _byte_level(["<|endoftext|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    config = transformers.GPT2Config(
        vocab_size=tokenizer.get_vocab_size(),
        n_embd=HIDDEN,
        n_layer=2,
        n_head=2,
        n_positions=POSITIONS,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
    )
    special = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    return _save(folder, transformers.GPT2Model(config), tokenizer, **special)


def save_t5(folder: Path) -> Path:
    """A T5 with encoder and decoder, of which only the encoder is read; its embedding is shared."""
    torch.manual_seed(4)
    tokenizer = _framed(_word_piece(["<pad>", "</s>", "[UNK]"]), None, "</s>")
    config = transformers.T5Config(
        vocab_size=tokenizer.get_vocab_size(),
        d_model=HIDDEN,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        initializer_factor=1.0,
        decoder_start_token_id=0,
    )
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "[UNK]"}
    return _save(folder, transformers.T5Model(config), tokenizer, **special)


SAVERS: dict[str, Callable[[Path], Path]] = {
    "bert": save_bert,
    "distilbert": save_distilbert,
    "roberta": save_roberta,
    "gpt2": save_gpt2,
    "t5": save_t5,
}


def save_all(root: Path) -> dict[str, Path]:
    """Every tiny model below `root`, by family."""
    return {name: save(root / name) for name, save in SAVERS.items()}
