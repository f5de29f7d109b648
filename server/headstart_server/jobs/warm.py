"""Warms a worker up: everything a job would import, before there is a job."""

import torch
import transformers

from headstart_server.core.memory import keep_few_primitives
from headstart_server.encoders.precision import fast_precision
from headstart_server.engines import local
from headstart_server.training import metrics


def warm_up() -> None:
    """Imports the engine, quiets libraries, and runs one tiny training step so that torch's lazy parts are loaded."""
    assert local and metrics
    keep_few_primitives()
    quiet()
    if torch.cuda.is_available():
        fast_precision("cuda")
    weight = torch.zeros(4, 4, requires_grad=True)
    optimizer = torch.optim.AdamW([weight], fused=True)
    torch.autograd.backward((torch.randn(2, 4) @ weight).sum())
    optimizer.step()
    # transformers imports a module when somebody first asks for one of its names
    assert transformers.BertModel and transformers.AutoTokenizer


def quiet() -> None:
    """Has transformers tell errors alone."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
