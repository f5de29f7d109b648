"""Whether rows of any length may share a batch of an architecture, measured before any of its weights are read."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from headstart_server.encoders.batch_sharing import States, UnsteadyError, measure_sharing
from headstart_server.encoders.text_models import encoder_part, model_limit, model_options, takes_mask

_LAYERS = ("num_hidden_layers", "num_layers", "n_layers", "n_layer", "encoder_layers", "decoder_layers")
_FEWEST_LAYERS = 2
_KINDS = ("layer_types", "layers_block_type")
"""Lists of what each layer is, in models whose layers are of several kinds."""
_VOCABULARY = 256
_DRAWN = 0.1


def shares_batches(kind: Any, config: Any) -> bool:
    """Whether a model of class `kind` and this configuration reads padded rows of any length as it reads each alone.

    It is measured on its first layers, up to where each kind of layer has come once, and few tokens, all of them with
    random weights: what padding changes is a matter of the architecture, but for weights that happen to be zero. False
    where that cannot be measured, too; then the whole model has to be. Draws no number from torch's own generator.
    """
    # Of the CPU's generator alone: by default fork_rng keeps the state of every GPU's, too.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            small = _cut(config)
            encoder, _ = encoder_part(_drawn(kind._from_config(small, dtype=torch.float32, **model_options(kind, ""))))
            found = measure_sharing(_states(encoder), _VOCABULARY, 0, min(model_limit(config), 64))
        except (UnsteadyError, ImportError, LookupError, AttributeError, TypeError, ValueError, RuntimeError):
            return False
    return found.free


def _cut(config: Any) -> Any:
    """The configuration with its first layers alone, and few tokens."""
    small = copy.deepcopy(config)
    kinds = {name: list(value) for name in _KINDS if isinstance(value := getattr(small, name, None), list | tuple)}
    count = max([_FEWEST_LAYERS, *map(_until_all_came, kinds.values())])
    names = [name for name in _LAYERS if isinstance(getattr(small, name, None), int)]
    if not names:
        raise ValueError("its configuration does not say how many layers it has")
    for name in names:
        setattr(small, name, min(count, getattr(small, name)))
    for name, value in kinds.items():
        if name in vars(small):  # others are derived from the number of layers
            setattr(small, name, value[:count])
    # The model's own padding may lie beyond the small vocabulary.
    small.vocab_size, small.pad_token_id = _VOCABULARY, 0
    return small


def _until_all_came(kinds: list[Any]) -> int:
    """How many items from the first until each kind has come."""
    return max((kinds.index(kind) + 1 for kind in set(kinds)), default=0)


def _drawn(model: nn.Module) -> nn.Module:
    """The model with biases, norms and the vector of padding that are neither zero nor one, in evaluation mode."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * _DRAWN)
    return model.eval()


def _states(encoder: nn.Module) -> States:
    masked = takes_mask(encoder)

    def states(ids: Tensor, mask: Tensor | None) -> Tensor:
        given = {"attention_mask": mask} if masked else {}
        found: Tensor = encoder(input_ids=ids, return_dict=True, **given).last_hidden_state
        return found

    return states
