"""Which parameters are parts of larger ones, as FSDP makes them."""

import sys

from torch import Tensor


def is_sharded(parameter: Tensor) -> bool:
    """Whether a parameter is spread over processes.

    Its type is in a module that takes a second to import, which FSDP has done where there is such a parameter.
    """
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(parameter, module.DTensor)
