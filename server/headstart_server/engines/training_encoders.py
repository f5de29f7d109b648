"""Text encoders that train: what makes their steps cheaper while they do, and is undone when they have."""

from headstart_server.encoders.product_attention import attend_as_before, attend_by_products
from headstart_server.encoders.text_encoder import TextEncoder
from headstart_server.encoders.tuning import Tuning
from headstart_server.encoders.used_tokens import keep_used_tokens, restore_tokens
from headstart_server.model.ecd import ECD
from headstart_server.planning.job_plan import JobPlan
from headstart_server.training.feed import Feed


def prepare_encoders(model: ECD, feed: Feed, plan: JobPlan) -> None:
    """Of each that trains: on a CPU, attention by products; where it trains whole, its rows' token vectors alone."""
    if plan.backend.strategy != "ddp":  # processes hold parts of it
        return
    for name, item in model.pretrained().items():
        if name not in feed.tokens or not isinstance(item.encoder, TextEncoder) or not item.tuning.trains:
            continue
        if feed.device.type == "cpu":
            attend_by_products(item.encoder.model)
        # what Adafactor keeps of a table are means over all of it
        if item.tuning is Tuning.FULL and plan.spec.trainer.optimizer.type != "adafactor":
            keep_used_tokens(item.encoder, feed.tokens[name].column.ids)


def restore_encoders(model: ECD) -> None:
    """Undoes `prepare_encoders`."""
    for item in model.pretrained().values():
        if isinstance(item.encoder, TextEncoder):
            restore_tokens(item.encoder)
            attend_as_before(item.encoder.model)
