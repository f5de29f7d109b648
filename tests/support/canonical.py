"""Batches as the server reads them."""

from __future__ import annotations

import pyarrow as pa
from headstart_server.data.canonical import canonical_batches


def canonical_batch(batch: pa.RecordBatch, field: str) -> pa.RecordBatch:
    """As `canonical_batches`, in one."""
    return pa.Table.from_batches(list(canonical_batches(batch, field))).combine_chunks().to_batches()[0]
