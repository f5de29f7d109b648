"""What a model said of the rows of many batches, put together from all processes."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.model.losses import Loss
from headstart_server.model.world import World
from headstart_server.training.feed import Feed
from headstart_server.training.reports import Metrics

_TOP_K = 3


class Outputs:
    """Collects the answers to each process's rows; the order is by process, then by batch."""

    def __init__(self, features: Sequence[FittedFeature], feed: Feed, world: World) -> None:
        self._features, self._feed, self._world = features, feed, world
        self._batches: list[Tensor] = []
        self._answers: dict[str, list[Tensor]] = {feature.name: [] for feature in features}
        self._condensed = 0
        """How many of an output's answers are condensed."""

    def add(self, batch: Tensor, answers: Mapping[str, Tensor]) -> None:
        """Takes note of a batch: all its rows, and the answers to this process's portion of them."""
        count = self._world.share(batch).shape[0]
        self._batches.append(batch)
        for name, kept in self._answers.items():
            kept.append(answers[name][:count])

    @property
    def rows(self) -> Tensor:
        """The numbers of the rows, in the order of `everybody`, int64 [n]."""
        return torch.cat([torch.cat(parts) for parts in self._shares()])

    def everybody(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(answers, targets) of every row of every batch, on the CPU, in every process."""
        # the order in which `all_gather` puts the answers together: by rank, of each rank batch by batch
        shares = [torch.cat(parts) for parts in self._shares()]
        counts, rows = [len(share) for share in shares], torch.cat(shares)
        answers = {name: self._world.all_gather(torch.cat(kept), counts) for name, kept in self._answers.items()}
        targets = {
            name: values.index_select(0, rows.to(values.device)).cpu() for name, values in self._feed.targets.items()
        }
        return answers, targets

    def _shares(self) -> Iterator[tuple[Tensor, ...]]:
        """By rank, the rows that it has of each batch."""
        return zip(*map(self._world.shares, self._batches), strict=True)

    def condense(self) -> None:
        """Keeps of the logits noted so far what metrics need."""
        for feature in self._features:
            kept = self._answers[feature.name]
            if len(kept) > self._condensed:
                kept[self._condensed :] = [condensed(feature, torch.cat(kept[self._condensed :]))]
        self._condensed = max(map(len, self._answers.values()), default=0)


def condensed(feature: FittedFeature, logits: Tensor) -> Tensor:
    """What the metrics of an output need of its logits [n, ...].

    Of categories, whose logits take rows x classes numbers, these are the classes that are ranked first: the answer,
    then the `top_k` likeliest, int64 [n, 1 + k]. (`topk` and `argmax` differ where two are as likely.)
    """
    if feature.spec.type != "category":
        return logits
    top = min(feature.spec.top_k or _TOP_K, logits.shape[1])
    return torch.cat([logits.argmax(1, keepdim=True), logits.topk(top).indices], dim=1)


class LossSums:
    """The mean loss of each output over the rows of many batches of all processes."""

    def __init__(self, losses: Mapping[str, Loss], world: World) -> None:
        self._losses, self._world = losses, world
        self._sums = torch.zeros(len(losses), 2, dtype=torch.float64)

    def add(self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> None:
        """Takes note of rows that count."""
        for index, (name, loss) in enumerate(self._losses.items()):
            # an idle process has no rows here, and the mean of none is not a number
            if mass := loss.mass(targets[name]):
                self._sums[index] += torch.tensor([float(loss(logits[name], targets[name])) * mass, mass])

    def means(self) -> dict[str, float]:
        """By output; the same in every process. Not a number where no row counts."""
        total = self._world.all_reduce_sum(self._sums)
        return dict(zip(self._losses, (total[:, 0] / total[:, 1]).tolist(), strict=True))


def load_metrics() -> None:
    """Imports what `measured` needs: it takes seconds, which who never measures does without."""
    import headstart_server.training.metrics  # noqa: F401


def measured(
    features: Sequence[FittedFeature], answers: Mapping[str, Tensor], targets: Mapping[str, Tensor]
) -> Metrics:
    """Metrics by `output.metric` of condensed answers; of several processes one has to know them."""
    from headstart_server.training.metrics import metrics_of

    return {
        f"{feature.name}.{name}": value
        for feature in features
        for name, value in metrics_of(feature, answers[feature.name], targets[feature.name]).items()
    }
