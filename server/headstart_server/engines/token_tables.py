"""The tables of token vectors of encoders that train: cut to those that the job's rows have, and whole again."""

from headstart_server.encoders.text_encoder import TextEncoder
from headstart_server.encoders.tuning import Tuning
from headstart_server.encoders.used_tokens import keep_used_tokens, restore_tokens
from headstart_server.model.ecd import ECD
from headstart_server.planning.job_plan import JobPlan
from headstart_server.training.feed import Feed


def cut_tables(model: ECD, feed: Feed, plan: JobPlan) -> None:
    """Leaves each encoder that trains whole the vectors of its rows' tokens, where processes hold whole models."""
    # what Adafactor keeps of a table are means over all of it
    if plan.backend.strategy != "ddp" or plan.spec.trainer.optimizer.type == "adafactor":
        return
    for name, item in model.pretrained().items():
        if item.tuning is Tuning.FULL and name in feed.tokens and isinstance(item.encoder, TextEncoder):
            keep_used_tokens(item.encoder, feed.tokens[name].column.ids)


def restore_tables(model: ECD) -> None:
    """Puts whole tables back."""
    for item in model.pretrained().values():
        if isinstance(item.encoder, TextEncoder):
            restore_tokens(item.encoder)
