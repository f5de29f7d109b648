"""What the layers below the last ones give for the tokens of a text input: a vector each, kept as embeddings are."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt

from headstart_server.core.errors import TrainingFailedError
from headstart_server.core.reasons import Reason
from headstart_server.embedding_store.fill import Encoded
from headstart_server.embedding_store.key import Keys, keys_of_tokens
from headstart_server.encoders.last_layers import LayersBelow
from headstart_server.encoders.passes import encode_batches
from headstart_server.encoders.tokens import TokenColumn
from headstart_server.encoding.rows import EncoderPass, PassContext
from headstart_server.planning.text_inputs import TextPlan, division_named


class StatesPass(EncoderPass[LayersBelow]):
    """The pass of the layers below; its rows are tokens, by their number in the token column.

    Args:
        plan: Of an input whose last layers train.
        tokens: Of all texts.
        texts: Their keys.
        context: What the pass runs with.
    """

    piece_rows = None

    def __init__(self, plan: TextPlan, tokens: TokenColumn, texts: Keys, context: PassContext) -> None:
        super().__init__(plan, context)
        self._space = plan.states_space.identifier  # its encoder is another than that of whole embeddings
        self._plan, self._tokens, self._texts = plan, tokens, texts

    @cached_property
    def keys(self) -> Keys:
        """Of every token."""
        return keys_of_tokens(self._texts, self._tokens.lengths)

    def _loaded(self) -> LayersBelow:
        return self._plan.load_parts()[0].to(self._context.device)

    def __call__(self, rows: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        """See EncoderPass. A text is read whole, whichever of its tokens are wanted."""
        encoder, offsets = self.load(), self._tokens.offsets
        texts = np.unique(np.searchsorted(offsets, rows, side="right") - 1)
        wanted = np.zeros(int(offsets[-1]), bool)
        wanted[rows] = True
        tokens = self._tokens.select(texts)
        padding = self._plan.preparation.padding
        with division_named(f"{self._plan.path}.encoder.trainable_layers", self._plan.source.name):
            for places, states in encode_batches(encoder, tokens, padding, self._context.device):
                width = states.shape[1]
                numbers = offsets[texts[places]][:, None] + np.arange(width)
                kept = np.arange(width) < tokens.lengths[places][:, None]
                kept &= wanted[np.where(kept, numbers, 0)]
                self._require_finite(states[kept])
                yield numbers[kept], states[kept]

    def _require_finite(self, states: npt.NDArray[np.float32]) -> None:
        if not np.isfinite(states).all():
            path = f"{self._plan.path}.encoder.trainable_layers"
            message = "the layers below give numbers that are not finite; check the encoder's weights"
            raise TrainingFailedError(message, reason=Reason.NON_FINITE_EMBEDDING, field=path)
