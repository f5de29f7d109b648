"""What is said of a job besides what it trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from headstart.v1.training_pb2 import TrainJobRequest


@dataclass(frozen=True)
class JobDetails:
    """What people say of a job, its turn, and its times.

    Attributes:
        description: for people, at most 2,048 characters.
        labels: what it is filtered by (`client.jobs.list(filter='labels.team = "search"')`).
        priority: of a tenant's jobs that wait, those of higher priority run first, from -100 to 100.
        timeout: longest time from its creation to its end; it fails after that.
        ttl: how long it is kept after its end, its model aside.
    """

    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    timeout: timedelta | None = None
    ttl: timedelta | None = None

    def fill(self, request: TrainJobRequest) -> None:
        """Set the fields of a request."""
        request.description, request.priority = self.description, self.priority
        request.labels.update(self.labels)
        if self.timeout is not None:
            request.timeout.FromTimedelta(self.timeout)
        if self.ttl is not None:
            request.ttl.FromTimedelta(self.ttl)
