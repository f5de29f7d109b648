"""Who calls: found by the transport before a servicer is called, and known to it by this."""

from contextvars import ContextVar
from typing import Any

from headstart_server.core.principal import Principal

_CALLER: ContextVar[Principal | None] = ContextVar("caller", default=None)


def caller_of(context: Any) -> Principal:
    """The principal of the call that is being answered; raises LookupError where nobody has let it in."""
    del context
    caller = _CALLER.get()
    if caller is None:
        raise LookupError("a call reached its servicer before its caller was known")
    return caller


def known_caller() -> Principal | None:
    """The same; None where it is not known."""
    return _CALLER.get()


def set_caller(caller: Principal | None) -> None:
    """Lets the rest of this task know who calls."""
    _CALLER.set(caller)
