"""Who calls, as servicers ask: see core.principal."""

from typing import Any

from headstart_server.core.principal import Principal, known_caller


def caller_of(context: Any) -> Principal:
    """The principal of the call that is being answered; raises LookupError where nobody has let it in."""
    del context
    caller = known_caller()
    if caller is None:
        raise LookupError("a call reached its servicer before its caller was known")
    return caller
