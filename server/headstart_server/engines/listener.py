"""To whom an engine reports."""

from typing import Protocol

from headstart_server.engines.events import JobEvent


class Listener(Protocol):
    """Receives everything about one job."""

    def report(self, event: JobEvent) -> None:
        """Takes note; a state that the job is in already is no news."""

    def check(self) -> None:
        """Raises CancelledError or PausedError when the job is to stop."""

    def stopping(self) -> bool:
        """Whether the job is to stop at its next checkpoint."""


class Silent:
    """A listener for what somebody else reports already."""

    def report(self, event: JobEvent) -> None:
        """Nothing."""

    def check(self) -> None:
        """Nothing."""

    def stopping(self) -> bool:
        """Never."""
        return False
