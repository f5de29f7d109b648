"""What training changes of a pretrained encoder."""

from enum import StrEnum


class Tuning(StrEnum):
    """A kind of tuning; whoever needs to know asks for a property, not for a kind."""

    FROZEN = "frozen"
    """Nothing: its embeddings can be stored, and models share one copy of its weights."""
    FULL = "full"
    """Every parameter: it runs in every epoch, and a model keeps it whole."""

    @property
    def trains(self) -> bool:
        """Whether gradients flow into the encoder."""
        return self is not Tuning.FROZEN

    @property
    def shares_weights(self) -> bool:
        """Whether a published model refers to the pretrained weights instead of keeping its own."""
        return self is Tuning.FROZEN
