"""The file of quotas: YAML, checked when it is read, and read again when it changes."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import structlog
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.quotas import Quotas, QuotaTable, TenantQuotas
from headstart_server.core.reasons import Reason

_log = structlog.get_logger()
_POLL_SECONDS = 5.0
_MOST_BYTES = 4 << 20


def _whole(value: Any) -> Any:
    """Whole numbers as such, of which Helm makes `1e+12`."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Count = Annotated[int | None, BeforeValidator(_whole), Field(ge=0)]
_Jobs = Annotated[int | None, BeforeValidator(_whole), Field(ge=1)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    running_jobs: _Jobs = None
    queued_jobs: _Count = None
    dataset_rows: _Count = None
    dataset_bytes: _Count = None
    predict_rows_per_second: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    defaults: _Entry = Field(default_factory=_Entry)
    tenants: dict[str, _Entry] = Field(default_factory=dict)


def read_quotas(path: Path) -> QuotaTable:
    """The quotas of a file; raises FailedPreconditionError naming what is wrong with it.

    A tenant's entry takes from the defaults what it leaves out.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _unusable(path, f"larger than {_MOST_BYTES:,} bytes")
        found = _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except OSError as error:
        raise _unusable(path, str(error.strerror)) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise _unusable(path, f"no YAML: {str(error).splitlines()[0]}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise _unusable(path, f"{field}: {first['msg']}; keys are {', '.join(_Entry.model_fields)}") from error
    defaults = found.defaults.model_dump()
    tenants = {
        name: TenantQuotas(**{**defaults, **entry.model_dump(exclude_unset=True)})
        for name, entry in found.tenants.items()
    }
    return QuotaTable(TenantQuotas(**defaults), tenants)


class QuotaFile:
    """Keeps quotas as their file says."""

    def __init__(self, path: Path, quotas: Quotas) -> None:
        self._path, self._quotas = path, quotas
        self._seen = self._version()
        quotas.table = read_quotas(path)

    async def watch(self) -> None:
        """Reads the file again whenever it changes; what cannot be used is logged, and the old quotas stay."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> None:
        """Reads the file again if it has changed."""
        version = self._version()
        if version == self._seen:
            return
        self._seen = version
        try:
            self._quotas.table = read_quotas(self._path)
            _log.info("quotas read again", file=str(self._path))
        except FailedPreconditionError as error:
            _log.error("quotas stay as they were", error=error.message)

    def _version(self) -> tuple[int, int, int] | None:
        """Tells one content of the file from another; None where there is no file."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _unusable(path: Path, why: str) -> FailedPreconditionError:
    return FailedPreconditionError(f"the quotas in {path} cannot be used: {why}", reason=Reason.BAD_SETTINGS)
