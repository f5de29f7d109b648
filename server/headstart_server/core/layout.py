"""Where everything lies below the state directory."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The folders of one server's state."""

    root: Path

    @property
    def database(self) -> Path:
        """Jobs and their events."""
        return self.root / "headstart.sqlite"

    @property
    def lock(self) -> Path:
        """Held by the one server that works here."""
        return self.root / "server.lock"

    @property
    def datasets(self) -> Path:
        """Uploaded files."""
        return self.root / "datasets"

    @property
    def tables(self) -> Path:
        """Data files converted to Arrow, by digest."""
        return self.root / "tables"

    @property
    def embeddings(self) -> Path:
        """The embedding store."""
        return self.root / "embeddings"

    @property
    def tokens(self) -> Path:
        """Tokenised columns, by content."""
        return self.root / "tokens"

    @property
    def encoders(self) -> Path:
        """Frozen encoders of published models, by digest."""
        return self.root / "encoders"

    @property
    def models(self) -> Path:
        """Published models."""
        return self.root / "models"

    @property
    def artifacts(self) -> Path:
        """Exported models."""
        return self.root / "artifacts"

    @property
    def precision(self) -> Path:
        """Which arithmetic was measured to be fast, by machine."""
        return self.root / "precision.json"

    @property
    def batch_sharing(self) -> Path:
        """What was measured of each text encoder's batches."""
        return self.root / "batch_sharing"

    @property
    def jobs(self) -> Path:
        """What jobs need while they run."""
        return self.root / "jobs"

    def job(self, identifier: str) -> Path:
        """Checkpoints, inline tables and scratch files of one job."""
        return self.jobs / identifier
