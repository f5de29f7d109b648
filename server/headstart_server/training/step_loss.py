"""A step's loss in parts: those of all processes and micro-batches add up to one process's over the whole step."""

from collections.abc import Mapping

import torch
from torch import Tensor

from headstart_server.model.losses import Loss
from headstart_server.training.feed import Feed
from headstart_server.training.micro_batches import MicroBatch


class StepLoss:
    """The loss of some rows of a step, as their part of the mean over all of its rows."""

    def __init__(self, losses: Mapping[str, Loss], feed: Feed) -> None:
        self._losses, self._feed = losses, feed
        self._weighed: Tensor | None = None
        self._masses: dict[str, float] = {}
        """Of all rows of the step that was weighed last, by output."""

    def __call__(
        self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor], of: MicroBatch, counted: int
    ) -> Tensor:
        """The part that `counted` rows of a micro-batch contribute; the outputs' losses are added."""
        parts = [loss(logits[name], targets[name]) for name, loss in self._losses.items()]
        # each part is a mean over the rows here: times their share of the step's rows (or of the weights of their
        # classes) all parts, of processes and micro-batches, add up to the mean of one process over the whole step
        if counted < of.count:
            shares = [self._share_of_mass(name, targets[name], of, counted) for name in self._losses]
            parts = [part * share for part, share in zip(parts, shares, strict=True)]
        return parts[0] if len(parts) == 1 else torch.stack(parts).sum()

    def with_gradients(
        self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor], of: MicroBatch, counted: int
    ) -> tuple[Tensor, list[Tensor]]:
        """What a call returns, and its gradient by the logits of each output."""
        parts = [loss.with_gradient(logits[name], targets[name]) for name, loss in self._losses.items()]
        if counted < of.count:
            shares = [self._share_of_mass(name, targets[name], of, counted) for name in self._losses]
            parts = [(part * share, gradient * share) for (part, gradient), share in zip(parts, shares, strict=True)]
        losses, gradients = [part for part, _ in parts], [gradient for _, gradient in parts]
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum(), gradients

    def _share_of_mass(self, name: str, targets: Tensor, of: MicroBatch, counted: int) -> float:
        loss = self._losses[name]
        # a share of 0 is an idle process's: its row weighs nothing, but its backward pass takes part in the exchange
        # of gradients that the others wait for
        if loss.class_weights is None or counted == 0:
            return counted / of.count
        # by identity: all passes of a step hold the same tensor (`cut`)
        if self._weighed is not of.step_rows:
            self._weighed, self._masses = of.step_rows, {}
        if name not in self._masses:
            everybody = self._feed.targets[name].index_select(0, of.step_rows.to(self._feed.targets[name].device))
            self._masses[name] = loss.mass(everybody.to(targets.device))
        return loss.mass(targets) / self._masses[name]
