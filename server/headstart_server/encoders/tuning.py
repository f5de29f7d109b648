"""What training changes of a pretrained encoder."""

from enum import StrEnum

_ADAPTERS = "lora_"
"""How the parts of names begin that PEFT gives to what an adapter adds."""


class Tuning(StrEnum):
    """A kind of tuning; whoever needs to know asks for a property, not for a kind."""

    FROZEN = "frozen"
    """Nothing: its embeddings can be stored, and models share one copy of its weights."""
    ADAPTER = "adapter"
    """What an adapter adds beside its weights: it runs in every epoch, and a model keeps the adapter alone."""
    FULL = "full"
    """Every parameter: it runs in every epoch, and a model keeps it whole."""

    @property
    def trains(self) -> bool:
        """Whether gradients flow into the encoder."""
        return self is not Tuning.FROZEN

    @property
    def shares_weights(self) -> bool:
        """Whether a published model refers to the pretrained weights instead of keeping its own."""
        return self is not Tuning.FULL

    def changes(self, name: str) -> bool:
        """Whether training changes the parameter or buffer of an encoder that has this name in it."""
        if self is Tuning.ADAPTER:
            return any(part.startswith(_ADAPTERS) for part in name.split("."))
        return self.trains
