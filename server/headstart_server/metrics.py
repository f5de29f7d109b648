"""Every Prometheus metric of the service, in one place; `python -m tests.contract.metrics` makes docs/metrics.md of it.

A metric is moved where the thing happens. What lies in files, in the database or in other processes is a reading, which
is taken when somebody scrapes.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram

_MILLISECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
_CALLS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600)
_WORK = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
_STAGES = (0.1, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)


@dataclass(frozen=True)
class Definition:
    """What is known of a metric before it has a value; the name is as it is scraped, without a histogram's endings."""

    name: str
    kind: str
    """`counter`, `gauge` or `histogram`."""
    labels: tuple[str, ...]
    text: str


DEFINITIONS: dict[str, Definition] = {}
"""Every metric by its name."""


def _defined(name: str, kind: str, labels: tuple[str, ...], text: str) -> Definition:
    DEFINITIONS[name] = Definition(name, kind, labels, text)
    return DEFINITIONS[name]


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(_defined(name, "counter", labels, text).name, text, labels)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(_defined(name, "gauge", labels, text).name, text, labels)


def _histogram(name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
    return Histogram(_defined(name, "histogram", labels, text).name, text, labels, buckets=buckets)


def _reading(name: str, text: str, *labels: str) -> Definition:
    return _defined(name, "gauge", labels, text)


# calls
RPCS = _counter("headstart_rpcs_total", "RPCs ended.", "service", "method", "code")
RPC_SECONDS = _histogram(
    "headstart_rpc_seconds", "Duration of RPCs, streams to their end.", _CALLS, "service", "method"
)
RPCS_IN_FLIGHT = _gauge(
    "headstart_rpcs_in_flight", "RPCs that are being answered, open streams included.", "service", "method"
)
STREAM_FAILURES = _counter(
    "headstart_stream_failures_total",
    "Requests of PredictStream and EmbedStream that were answered with an error in their place.",
    "method",
    "code",
)
UPLOADS = _gauge("headstart_uploads_in_progress", "Files that are being received.")
EXECUTOR_CALLS = _reading(
    "headstart_executor_calls", "Calls on the server's threads and in the line before them.", "executor"
)
EXECUTOR_LIMIT = _reading("headstart_executor_calls_limit", "From how many on calls are refused.", "executor")

# who calls
AUTHENTICATION_FAILURES = _counter(
    "headstart_authentication_failures_total",
    "Calls without valid credentials: `missing`, another `header`, an unknown `token`, a `jwt` or a `certificate` that "
    "is not taken.",
    "cause",
)
RELOAD_SUCCESSFUL = _gauge(
    "headstart_reload_successful",
    "0 where what is read again while the server runs is not in use as it is now: the `tokens`, the `keys` of an "
    "issuer, the TLS `certificates`; 1 otherwise, and where there is none.",
    "kind",
)
CERTIFICATE_EXPIRY = _gauge(
    "headstart_tls_certificate_expiry_timestamp_seconds", "When the server's TLS certificate ends; 0: it serves none."
)
RELOADED = ("tokens", "keys", "certificates")
CAUSES = ("missing", "header", "token", "jwt", "certificate")
"""For which calls have no valid credentials."""
AUDIT_FAILURES = _counter("headstart_audit_failures_total", "Events that could not be written to the audit log.")

# jobs
JOBS = _reading("headstart_jobs", "Jobs in the job database; of servers that share one, all of theirs.", "state")
QUEUE_JOBS = _reading("headstart_queue_jobs", "Jobs that wait; of servers that share a database, all of theirs.")
QUEUE_LIMIT = _reading("headstart_queue_jobs_limit", "How many jobs may wait.")
QUEUE_OLDEST = _reading(
    "headstart_queue_oldest_seconds", "For how long the first of the waiting jobs has been QUEUED; 0: none waits."
)
CONCURRENT_JOBS = _reading("headstart_running_jobs_limit", "How many jobs run at the same time.")
STAGE_SECONDS = _histogram(
    "headstart_job_stage_seconds",
    "For how long jobs were in a state; a state that ended with its server is left out.",
    _STAGES,
    "stage",
)
JOB_ATTEMPTS = _counter("headstart_job_attempts_total", "Jobs handed to a worker process, each time.")
READY = _gauge(
    "headstart_ready", "1 while the server can use its `database`, `queue`, `storage`, else 0.", "dependency"
)
JOB_RESTARTS = _counter(
    "headstart_job_restarts_total",
    "Jobs that went back to the queue: `server` gone, `worker` dead, `memory` out, `hang`, or `storage` away.",
    "cause",
)
JOBS_ENDED = _counter(
    "headstart_jobs_ended_total", "Jobs ended, by state and, of FAILED, by reason (docs/errors.md).", "state", "reason"
)
JOB_REPORTED = _gauge(
    "headstart_job_last_report_timestamp_seconds",
    "When a running job last reported anything. Its series go when it ends.",
    "train_job",
)
JOB_SPEED = _gauge("headstart_job_rows_per_second", "Training speed of a running job.", "train_job")
JOB_LOSS = _gauge("headstart_job_loss", "Training loss of a running job.", "train_job")
JOB_LEARNING_RATE = _gauge("headstart_job_learning_rate", "Learning rate of a running job.", "train_job")
JOB_EPOCH_SECONDS = _gauge(
    "headstart_job_epoch_seconds",
    "Last epoch of a running job: `data_wait`, `compute` and `evaluate`.",
    "train_job",
    "activity",
)

# embedding passes and training
ROWS = _counter(
    "headstart_embedding_rows_total",
    "Rows of embedding passes: `found` in the store, `repeated`, `encoded`, or `shared` (encoded by another job "
    "meanwhile).",
    "outcome",
)
PASS_SECONDS = _counter(
    "headstart_embedding_pass_seconds_total", "Duration of embedding passes: `data_wait` and `compute`.", "activity"
)
SECONDS_SAVED = _counter(
    "headstart_encoder_seconds_saved_total",
    "Rows found, repeated or shared times the measured seconds per encoded row of their embedding "
    "space; rows of spaces of which no speed was measured, in their pass or an earlier one, count nothing.",
)
TRAINING_SECONDS = _counter(
    "headstart_training_seconds_total", "Duration of epochs: `data_wait`, `compute` and `evaluate`.", "activity"
)
EPOCHS = _counter(
    "headstart_training_epochs_total", "Evaluations of trainings, one per epoch unless a spec asks for more."
)

# store and disk
STORE_BYTES = _reading("headstart_store_bytes", "Stored embeddings on this machine; with --storage-url its copies.")
STORE_LIMIT = _reading("headstart_store_bytes_limit", "--max-store-bytes; 0: none.")
STORE_SHARDS = _reading("headstart_store_shards", "Shards of stored embeddings on this machine.")
STORE_QUARANTINED = _reading("headstart_store_quarantined_shards", "Damaged shards in quarantine on this machine.")
STORE_EVICTED = _counter(
    "headstart_store_evicted_shards_total", "Shards that this server evicted to stay below its limit."
)
STORE_EVICTED_BYTES = _counter("headstart_store_evicted_bytes_total", "Size of the shards that this server evicted.")
STORE_MERGED = _counter("headstart_store_merged_shards_total", "Small shards that this server merged into larger ones.")
CACHE_LIMIT = _reading("headstart_cache_bytes_limit", "--max-cache-bytes; 0: none.")
DISK_FREE = _reading("headstart_disk_free_bytes", "What the server may still write on the disk of its state directory.")
DISK_SIZE = _reading("headstart_disk_size_bytes", "Size of the disk of the state directory.")
DAMAGED = _gauge(
    "headstart_damaged_resources", "Resources left out of the last full list: their description is damaged.", "kind"
)

# predictions and exports
BATCH_ROWS = _histogram(
    "headstart_predict_batch_rows",
    "Rows of the batches that predictions share.",
    (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024),
)
BATCH_WAIT = _histogram("headstart_predict_wait_seconds", "Time that a prediction waits for its batch.", _MILLISECONDS)
BATCH_SECONDS = _histogram("headstart_predict_compute_seconds", "Time that a batch of predictions is computed.", _CALLS)
WAITING_ROWS = _gauge("headstart_predict_waiting_rows", "Rows that wait for their batch.")
ADMITTED_ROWS = _gauge("headstart_predict_admitted_rows", "Rows of Predict and Embed that were taken and are in hand.")
PREDICT_ROWS = _counter(
    "headstart_predict_rows_total",
    "Rows of Predict (of Embed those `refused`): `answered`; `refused` before anything was done for them; `dropped` "
    "before they were computed, because their caller waited no more; `wasted`, computed for a caller who had gone.",
    "outcome",
)
POOL_HITS = _counter("headstart_model_pool_hits_total", "Times that a wanted model was live already.")
POOL_LOADS = _histogram("headstart_model_load_seconds", "Loading of models for predictions, failures included.", _WORK)
POOL_EVICTIONS = _counter("headstart_model_pool_evictions_total", "Live models dropped to stay below the limit.")
POOL_MODELS = _gauge("headstart_model_pool_models", "Live models.")
POOL_BYTES = _gauge("headstart_model_pool_bytes", "Weights of the live models' pretrained encoders.")
POOL_LIMIT = _reading("headstart_model_pool_bytes_limit", "--model-pool-bytes.")
EXPORTS_IN_PROGRESS = _reading("headstart_exports_in_progress", "Exports in the job database that wait or run.")
EXPORTS_LIMIT = _reading("headstart_running_exports_limit", "How many exports run at the same time.")
EXPORTS = _counter(
    "headstart_exports_total",
    "Exports ended: `published`, `failed`, `died` (their process), or `cancelled`.",
    "format",
    "outcome",
)
EXPORT_SECONDS = _histogram(
    "headstart_export_seconds", "Duration of exports that published, without the wait for their turn.", _WORK, "format"
)

# processes
WORKERS = _reading("headstart_worker_processes", "Living worker processes; `purpose` is `job` or `export`.", "purpose")
WORKER_MEMORY = _reading(
    "headstart_worker_resident_memory_bytes",
    "Resident memory of worker processes and of what they started; pages that they share count for each.",
    "purpose",
)
WORKER_STARTS = _counter("headstart_worker_starts_total", "Worker processes started.", "purpose")
WORKER_DEATHS = _counter(
    "headstart_worker_deaths_total", "Worker processes that died without being asked to end.", "purpose"
)
GPU_USED = _reading(
    "headstart_gpu_memory_used_bytes",
    "Memory of a GPU that all processes use; once the server has used the GPU.",
    "device",
)
GPU_SIZE = _reading("headstart_gpu_memory_bytes", "Memory of a GPU; once the server has used it.", "device")
GPU_ALLOCATED = _reading(
    "headstart_gpu_allocated_bytes", "Memory of a GPU that tensors of the server's own process hold.", "device"
)
BUILD = _reading("headstart_build_info", "1; the labels say which versions run.", "version", "python", "torch")
READING_FAILURES = _counter(
    "headstart_reading_failures_total",
    "Readings that failed; their metrics are left out of the scrape. The log says why.",
    "source",
)

ACTIVITIES = ("data_wait", "compute", "evaluate")
"""Of an epoch's seconds."""


def forget_job(identifier: str) -> None:
    """Drops the series of a job that runs no more."""
    for gauge in (JOB_REPORTED, JOB_SPEED, JOB_LOSS, JOB_LEARNING_RATE):
        with suppress(KeyError):  # it has reported nothing of this kind
            gauge.remove(identifier)
    for activity in ACTIVITIES:
        with suppress(KeyError):
            JOB_EPOCH_SECONDS.remove(identifier, activity)
