"""What a pretrained input can read: one class of rows for each type of feature. A further one is a line here."""

from collections.abc import Mapping

from headstart_server.encoding.images import ImageRows
from headstart_server.encoding.rows import InputRows
from headstart_server.encoding.texts import TextRows

MODALITIES: Mapping[str, type[InputRows]] = {"text": TextRows, "image": ImageRows}
"""By type of feature."""
