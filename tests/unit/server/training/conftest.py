"""Every test of the package runs on one thread."""

from tests.support.threads import one_thread

__all__ = ["one_thread"]
