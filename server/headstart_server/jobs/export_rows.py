"""Export jobs as rows of the job database."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy.engine import RowMapping

from headstart_server.core.errors import DataLossError
from headstart_server.engines.envelopes import predictions_order, predictions_text
from headstart_server.jobs.export_records import ExportOrder, ExportRecord, ExportState, Stage, error_of


def order_values(order: ExportOrder) -> dict[str, Any]:
    """The columns that say what was asked for: the same for orders that say the same."""
    return {**vars(order), "predictions": predictions_text(order.predictions)}


def row_of(job: ExportRecord) -> dict[str, Any]:
    """A new export as a row."""
    now = job.create_time.isoformat()
    return {
        "identifier": job.identifier,
        "tenant": job.tenant,
        **order_values(job.order),
        "state": job.state.value,
        **vars(job.stage),
        "artifact": job.artifact,
        "error": "null",
        "create_time": now,
        "start_time": None,
        "end_time": now if job.state.terminal else None,
        "update_time": now,
        "owner": "",
        "lease_until": 0.0,
        "attempt": 0,
    }


def record_of(row: RowMapping) -> ExportRecord:
    """A row as an export; raises DataLossError for one that nobody wrote."""
    try:
        error = json.loads(row["error"])
        return ExportRecord(
            identifier=row["identifier"],
            tenant=row["tenant"],
            order=ExportOrder(row["model"], row["format"], row["head_only"], predictions_order(row["predictions"])),
            state=ExportState(row["state"]),
            stage=Stage(row["stage"], row["message"], row["rows_done"], row["rows_total"]),
            artifact=row["artifact"],
            error=error_of(error) if error else None,
            attempt=row["attempt"],
            create_time=datetime.fromisoformat(row["create_time"]),
            start_time=_time(row["start_time"]),
            end_time=_time(row["end_time"]),
        )
    except (ValueError, TypeError, KeyError) as failure:
        where = f"exportJobs/{row['identifier']}"
        message = f"{where} is damaged: what the job database holds of it is not what was written; export again"
        raise DataLossError(message) from failure


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
