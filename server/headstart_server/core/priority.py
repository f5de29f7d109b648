"""How much of the cores a process takes where others want them, too."""

import os
from contextlib import suppress
from pathlib import Path

_AUTOGROUP = Path("/proc/self/autogroup")


def lower_priority(by: int) -> None:
    """Makes this process nicer, by 0 to 19.

    Linux shares the cores out among sessions first, each a group of its own, and the nice value of a process counts
    within its group alone (sched(7), "The autogroup feature"): a process with a session of its own says it of its
    group, too. Where control groups share the cores out, as in Kubernetes, the group's has no effect.
    """
    os.nice(by)
    if os.getpid() == os.getsid(0):
        with suppress(OSError):  # no Linux, or a kernel without the feature
            _AUTOGROUP.write_text(str(by), encoding="ascii")
