"""What training changes of a pretrained encoder."""

from enum import StrEnum


class Tuning(StrEnum):
    """A kind of tuning; whoever needs to know asks for a property, not for a kind."""

    FROZEN = "frozen"
    """Nothing: its embeddings can be stored, and models share one copy of its weights."""
    ADAPTER = "adapter"
    """What an adapter adds beside its weights: it runs in every epoch, and a model keeps the adapter alone."""
    LAST_LAYERS = "last layers"
    """Its last layers: what those below give can be stored. A model keeps the encoder whole."""
    FULL = "full"
    """Every parameter: it runs in every epoch, and a model keeps it whole."""

    @property
    def trains(self) -> bool:
        """Whether gradients flow into the encoder."""
        return self is not Tuning.FROZEN

    @property
    def partial(self) -> bool:
        """Whether some parameters train and others do not: those that whoever made the encoder has left to train."""
        return self in (Tuning.ADAPTER, Tuning.LAST_LAYERS)

    @property
    def shares_weights(self) -> bool:
        """Whether a published model refers to the pretrained weights instead of keeping its own."""
        return self in (Tuning.FROZEN, Tuning.ADAPTER)
