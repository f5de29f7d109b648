"""What streams that may be silent for long have in common."""

from headstart_server.core.errors import invalid


def heartbeat_seconds(given: float) -> float:
    """How long a stream may be silent; raises InvalidInputError."""
    if given and not 1 <= given < float("inf"):
        raise invalid("heartbeat_seconds", f"{given:g} is too short or no time; use 1 second or more, or 0 for none")
    return given
