"""What a model said of the rows of many batches, put together from all processes."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.model.world import World
from headstart_server.training.feed import Feed
from headstart_server.training.reports import Metrics


class Outputs:
    """Collects the logits of each process's rows; the order is by process, then by batch."""

    def __init__(self, names: Sequence[str], feed: Feed, world: World) -> None:
        self._names, self._feed, self._world = names, feed, world
        self._batches: list[Tensor] = []
        self._logits: dict[str, list[Tensor]] = {name: [] for name in names}

    def add(self, batch: Tensor, logits: Mapping[str, Tensor]) -> None:
        """Takes note of a batch: all its rows, and the logits of this process's portion."""
        count = len(self._world.share(batch))
        self._batches.append(batch)
        for name in self._names:
            self._logits[name].append(logits[name][:count])

    def everybody(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(logits, targets) of every row of every batch, on the CPU, in every process."""
        shares = [torch.cat(parts) for parts in zip(*map(self._world.shares, self._batches), strict=True)]
        counts, rows = [len(share) for share in shares], torch.cat(shares)
        logits = {name: self._world.gathered(torch.cat(self._logits[name]), counts) for name in self._names}
        targets = {
            name: values.index_select(0, rows.to(values.device)).cpu() for name, values in self._feed.targets.items()
        }
        return logits, targets


def load_metrics() -> None:
    """Imports what `measured` needs: it takes seconds, which who never measures does without."""
    import headstart_server.training.metrics  # noqa: F401


def measured(features: Sequence[FittedFeature], logits: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Metrics:
    """Metrics by `output.metric`; of several processes one has to know them."""
    from headstart_server.training.metrics import metrics_of

    return {
        f"{feature.name}.{name}": value
        for feature in features
        for name, value in metrics_of(feature, logits[feature.name], targets[feature.name]).items()
    }
