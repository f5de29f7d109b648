"""The text encoder: one of transformers' models and its pooling, right for whatever rows share a batch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from headstart_server.encoders.batch_sharing import ALONE, ONE_LENGTH, BatchSharing
from headstart_server.encoders.layout import lay_for_short_texts
from headstart_server.encoders.pooling import pool
from headstart_server.encoders.precision import DTYPES
from headstart_server.encoders.pretrained import PretrainedEncoder
from headstart_server.encoders.product_attention import attend_by_products
from headstart_server.encoders.text_models import pooled_as, takes_mask
from headstart_server.encoders.text_shape import table_size
from headstart_server.encoders.traced import TEXT_FAMILIES, Pass, traced

_VOCABULARY = 64
"""Ids to draw from for models that have no table of tokens, as those of bytes or characters."""
_TRACED_SIZES = ((2, 9), (1, 1), (1, 23), (3, 14))
"""Rows and tokens at which a traced pass is compared with one in Python."""
_STRIDE = 7_919
"""Between ids of neighbours: a prime, so that tokens differ in any vocabulary."""


class TextEncoder(PretrainedEncoder):
    """A transformers model and its pooling: token ids [b, t] (and mask [b, t]) to [b, d].

    `model` gives token vectors; of an encoder-decoder it is the encoder. `positions` is the largest t that it has
    positions for, None if there is no limit. Where `sharing` says that padding would change embeddings, a padded batch
    is read length by length.
    """

    def __init__(
        self,
        model: nn.Module,
        reduction: str,
        dimension: int,
        positions: int | None = None,
        *,
        config: Any = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.positions = positions
        self.model = model
        self.reduction = reduction
        self.dimension = dimension
        self.sharing = BatchSharing()
        self.config: Any = config if config is not None else getattr(model, "config", None)
        self._names = dict(names or {})
        """Names in the whole model by names in its encoder; empty where all of it encodes."""
        self.pooling = pooled_as(self.config, reduction) if self.config is not None else reduction
        self._masked = takes_mask(model)
        self._traced: Pass | None = None
        """Of rows without padding, as `_traced_padded` of others; None where they are read in Python."""
        self._traced_padded: Pass | None = None

    @property
    def padding(self) -> int:
        """The id of padding; 0, which is masked as well, where the configuration's own has no vector."""
        padding = getattr(self.config, "pad_token_id", None)
        return padding if isinstance(padding, int) and 0 <= padding < self.vocabulary else 0

    @property
    def vocabulary(self) -> int:
        """How many token ids there are at least."""
        return table_size(self.model) or int(getattr(self.config, "vocab_size", 0) or _VOCABULARY)

    @property
    def one_pass(self) -> bool:
        """See PretrainedEncoder."""
        return self.sharing.free

    def for_answers(self, device: torch.device, precision: str = "fp32") -> "TextEncoder":
        """See PretrainedEncoder."""
        encoder = self.at(precision, device).requires_grad_(False)
        if device.type == "cpu":
            lay_for_short_texts(encoder)
            encoder._trace()
        return encoder

    def at(self, precision: str, device: torch.device) -> "TextEncoder":
        """Moved to a device, its weights in `fp32`, `bf16` or `fp16`, to read rows and not to learn."""
        if precision == "bf16" and device.type == "cpu":
            attend_by_products(self.model)
        return self.to(device=device, dtype=DTYPES[precision])

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """`attention_mask` is None where no row is padded, which lets attention take its fast path."""
        if self.sharing.rows == ONE_LENGTH and attention_mask is not None:
            return self._apart(input_ids, attention_mask)
        if self.sharing.rows == ALONE and len(input_ids) > 1:
            return self._apart(input_ids, attention_mask)
        return self._embedded(input_ids, attention_mask)

    def states(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Token vectors [b, t, d] as the model gives them for rows as they are."""
        states: Tensor = self._output(input_ids, attention_mask).last_hidden_state
        return states

    def pooled(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """What the model's own pooler gives [b, d] for rows as they are."""
        pooled: Tensor = self._output(input_ids, attention_mask).pooler_output
        return pooled

    def reads(self, name: str) -> bool:
        """Whether a weight of the whole model has a part in embeddings."""
        return not self._names or name in self._names.values()

    def save(self, folder: Path) -> None:
        """Saves the model in float32, in transformers' layout; of an encoder-decoder the encoder's weights."""
        if not self._names:
            model: Any = self.model
            model.save_pretrained(folder)
            return
        self.config.save_pretrained(folder)
        state = self.model.state_dict()
        weights = {whole: state[name].detach().cpu().clone() for name, whole in self._names.items()}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    def _embedded(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        if ids.shape[1] < self.sharing.shortest:
            mask = torch.ones_like(ids) if mask is None else mask
            missing = (0, self.sharing.shortest - ids.shape[1])
            ids, mask = functional.pad(ids, missing, value=self.padding), functional.pad(mask, missing)
        if mask is None and bool((ids == self.padding).any()):
            mask = torch.ones_like(ids)  # some models (XLM) take these tokens of a text for padding unless told
        if mask is None:
            return (self._traced or self._read)(ids)
        return (self._traced_padded or self._read)(ids, mask)

    def _read(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        output = self._output(ids, mask)
        if self.reduction == "cls_pooled":
            pooled: Tensor = output.pooler_output
            return pooled
        return pool(output.last_hidden_state, mask, self.pooling)

    def _trace(self) -> None:
        """Has rows read without Python from now on, where that gives the same."""
        if self.sharing.free and getattr(self.config, "model_type", None) in TEXT_FAMILIES:
            examples = [self._example(rows, tokens) for rows, tokens in _TRACED_SIZES]
            built = self.config.to_json_string(use_diff=False), self.reduction, self.pooling
            self._traced = traced(self._read, self.model, built, [(ids,) for ids, _ in examples])
            self._traced_padded = traced(self._read, self.model, (*built, "padded"), examples)

    def _example(self, rows: int, tokens: int) -> tuple[Tensor, Tensor]:
        """Some ids and their mask [rows, tokens], each row a token shorter than the one before."""
        tokens = min(tokens, self.positions or tokens)
        ids = torch.arange(rows * tokens).reshape(rows, tokens) * _STRIDE % self.vocabulary
        ids = torch.where(ids == self.padding, (self.padding + 1) % self.vocabulary, ids)
        lengths = (tokens - torch.arange(rows)).clamp(min=1)
        return ids, (torch.arange(tokens) < lengths[:, None]).long()

    def _output(self, ids: Tensor, mask: Tensor | None) -> Any:
        masked = {"attention_mask": mask} if self._masked else {}
        return self.model(input_ids=ids, return_dict=True, **masked)

    def _apart(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """Rows of one length at a time, or one by one, without padding; in the order given."""
        lengths = mask.sum(1).tolist() if mask is not None else [ids.shape[1]] * len(ids)
        groups: dict[object, list[int]] = {}
        for row, length in enumerate(lengths):
            groups.setdefault(row if self.sharing.rows == ALONE else length, []).append(row)
        order = torch.tensor([row for rows in groups.values() for row in rows], device=ids.device)
        found = [self._embedded(ids[rows, : max(1, int(lengths[rows[0]]))], None) for rows in groups.values()]
        return torch.cat(found)[torch.argsort(order)]
