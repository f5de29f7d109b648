"""The forward and backward pass of a micro-batch: by autograd, or of linear heads by the products that it comes to."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from headstart_server.model.ecd import Batch
from headstart_server.model.neural_head import NeuralHead
from headstart_server.training.feed import Targets
from headstart_server.training.micro_batches import MicroBatch
from headstart_server.training.parallel.base import Alone, Parallel
from headstart_server.training.precision import Precision
from headstart_server.training.step_loss import StepLoss

Logits = dict[str, Tensor]


class AutogradPass:
    """Runs whatever model there is, and backpropagates."""

    def __init__(self, parallel: Parallel, precision: Precision, step_loss: StepLoss) -> None:
        self._parallel, self._precision, self._step_loss = parallel, precision, step_loss

    def __call__(self, batch: Batch, targets: Targets, each: MicroBatch, counted: int) -> tuple[Logits, Tensor]:
        """Logits of the rows, and their part of the step's loss; gradients are added to those that are there."""
        size = self._parallel.world.size
        with self._parallel.synced(each.last, idle=counted == 0):
            with self._precision.autocast():
                logits = self._parallel(batch)
                loss = self._step_loss(logits, targets, each, counted)
            # each loss is its rows' part of the mean over all rows of the step, so that gradients have to be added up;
            # DDP and FSDP divide their sum by the number of processes, which this takes back
            self._parallel.backward(loss if size == 1 else loss * size, self._precision)
        return logits, loss.detach()


class LinearPass:
    """Of a model in which nothing learns but the last layer of each output: without autograd.

    On stored embeddings a step takes some tenths of a millisecond, most of which is not arithmetic. The gradient of a
    linear layer is two products with that of the loss by the logits.
    """

    def __init__(self, parallel: Parallel, step_loss: StepLoss, head: NeuralHead) -> None:
        self._model, self._step_loss, self._head = parallel.model, step_loss, head
        self._decoders = [(name, head.decoder(name)) for name in head.output_names]

    @classmethod
    def of(cls, parallel: Parallel, precision: Precision, step_loss: StepLoss) -> "LinearPass | None":
        """The pass over a model of one process, where it is linear in what learns and computed in float32."""
        head = parallel.model.head
        if type(parallel) is not Alone or parallel.world.size > 1 or precision.name != "fp32":
            return None
        if not isinstance(head, NeuralHead) or len(head.combiner.stack):
            return None
        decoders = [head.decoder(name) for name in head.output_names]
        layers = [decoder.projection for decoder in decoders]
        learns = {id(parameter) for parameter in parallel.model.parameters() if parameter.requires_grad}
        own = {id(parameter) for layer in layers for parameter in layer.parameters()}
        if learns != own or any(len(decoder.stack) for decoder in decoders) or _hooked(layers):
            return None
        return cls(parallel, step_loss, head)

    @torch.no_grad()
    def __call__(self, batch: Batch, targets: Targets, each: MicroBatch, counted: int) -> tuple[Logits, Tensor]:
        """See AutogradPass."""
        encoded = self._model.encoded(batch)
        rows = encoded[0] if len(encoded) == 1 else torch.cat(encoded, 1)
        logits = {}
        for name, decoder in self._decoders:
            layer = decoder.projection
            logits[name] = decoder.shaped(torch.addmm(layer.bias, rows, layer.weight.t()))
        loss, gradients = self._step_loss.with_gradients(logits, targets, each, counted)
        for (_, decoder), gradient in zip(self._decoders, gradients, strict=True):
            columns = gradient[:, None] if gradient.ndim == 1 else gradient
            _add(decoder.projection.weight, columns.t() @ rows)
            _add(decoder.projection.bias, columns.sum(0))
        return logits, loss


def step_pass(parallel: Parallel, precision: Precision, step_loss: StepLoss) -> AutogradPass | LinearPass:
    """The pass that suits a model."""
    return LinearPass.of(parallel, precision, step_loss) or AutogradPass(parallel, precision, step_loss)


def _add(parameter: Tensor, gradient: Tensor) -> None:
    parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)


def _hooked(layers: Sequence[nn.Linear]) -> bool:
    """Whether somebody watches a layer, or has put something else in its place."""
    return any(type(layer) is not nn.Linear or layer._forward_hooks or layer._backward_hooks for layer in layers)
