"""By how much metrics grow while something happens."""

from __future__ import annotations

from prometheus_client import REGISTRY


class Growth:
    """Of one metric, since this was made."""

    def __init__(self, name: str, **labels: str) -> None:
        self._name, self._labels = name, labels
        self._before = self.now

    @property
    def now(self) -> float:
        """Its value."""
        return REGISTRY.get_sample_value(self._name, self._labels) or 0.0

    def __call__(self) -> float:
        return self.now - self._before
