"""The usual head: a combiner, and a decoder per output, which learn by steps."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.model.combiner import ConcatCombiner
from headstart_server.model.decoders import Decoder
from headstart_server.model.head import Head
from headstart_server.spec.model import CombinerSpec


class NeuralHead(Head):
    """A combiner, and a decoder per output."""

    kind = "neural"

    def __init__(self, widths: Sequence[int], outputs: Sequence[FittedFeature], combiner: CombinerSpec) -> None:
        super().__init__(widths, outputs, combiner)
        self.output_names = [feature.name for feature in outputs]
        self.combiner = ConcatCombiner(sum(widths), combiner)
        self.decoders = nn.ModuleList(Decoder(self.combiner.dimension, feature) for feature in outputs)

    def forward(self, encoded: Sequence[Tensor]) -> dict[str, Tensor]:
        """See Head."""
        combined = self.combiner(list(encoded))
        return {name: decoder(combined) for name, decoder in self._decoders()}

    def calibrated(self, logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See Head."""
        return {name: decoder.calibrated(logits[name]) for name, decoder in self._decoders()}

    def probabilities(self, logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See Head."""
        return {name: decoder.probabilities(logits[name]) for name, decoder in self._decoders()}

    def calibrate(self, output: str, temperature: float) -> None:
        """See Head."""
        self.decoder(output).temperature.fill_(temperature)

    def decoder(self, output: str) -> Decoder:
        """The decoder of an output."""
        return dict(self._decoders())[output]

    def _decoders(self) -> list[tuple[str, Decoder]]:
        found = []
        for name, decoder in zip(self.output_names, self.decoders, strict=True):
            assert isinstance(decoder, Decoder)
            found.append((name, decoder))
        return found
