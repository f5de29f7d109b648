"""Where everything lies below the state directory."""

from dataclasses import dataclass, replace
from pathlib import Path

from headstart_server.core.names import check_tenant, is_tenant

_TENANTS, _EMBEDDINGS = "tenants", "embeddings"


@dataclass(frozen=True)
class Layout:
    """The folders of one server's state, as one tenant has them.

    What the default tenant has lies in the state directory itself, what any other has below `tenants/{tenant}` in it.
    Jobs, frozen encoders and measurements lie together. Raises InvalidInputError for a tenant's name that is none.
    """

    root: Path
    tenant: str = ""
    """Empty: the default tenant."""
    shared_content: bool = False
    """Whether tenants find each other's stored embeddings."""

    def __post_init__(self) -> None:
        check_tenant(self.tenant)

    @property
    def prefix(self) -> str:
        """Of the names of what the tenant has, here and in a shared storage."""
        return f"{_TENANTS}/{self.tenant}/" if self.tenant else ""

    @property
    def own(self) -> Path:
        """The folder of what the tenant has."""
        return self.root / self.prefix

    def of(self, tenant: str) -> "Layout":
        """The same server's state as another tenant has it."""
        return replace(self, tenant=tenant)

    def everyone(self) -> "list[Layout]":
        """As each tenant has it that has a folder here, the default tenant first."""
        folders = (path for path in (self.root / _TENANTS).glob("*") if path.is_dir())
        tenants = sorted(folder.name for folder in folders if is_tenant(folder.name))
        return [self.of(tenant) for tenant in ("", *tenants)]

    def embedding_stores(self) -> list[Path]:
        """Every embedding store here, also those of tenants who share one by now."""
        return [layout.own / _EMBEDDINGS for layout in self.everyone()]

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
        return self.own / "datasets"

    @property
    def tables(self) -> Path:
        """Data files converted to Arrow, by digest."""
        return self.own / "tables"

    @property
    def embeddings(self) -> Path:
        """The embedding store."""
        return (self.root if self.shared_content else self.own) / _EMBEDDINGS

    @property
    def tokens(self) -> Path:
        """Tokenised columns, by content."""
        return self.own / "tokens"

    @property
    def encoders(self) -> Path:
        """Frozen encoders of published models, by digest."""
        return self.root / "encoders"

    @property
    def models(self) -> Path:
        """Published models."""
        return self.own / "models"

    @property
    def artifacts(self) -> Path:
        """Exported models."""
        return self.own / "artifacts"

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
