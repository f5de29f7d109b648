"""The panels of the chart's Grafana dashboard: a row per question, each panel one query or a few."""

from __future__ import annotations

from dataclasses import dataclass

OF = 'instance=~"$instance"'


@dataclass(frozen=True)
class Panel:
    """Queries by their legend, over time."""

    title: str
    unit: str
    """As Grafana names it."""
    queries: dict[str, str]


def _now(metric: str, by: str = "") -> str:
    return f"sum by ({by}) ({metric}{{{OF}}})" if by else f"sum({metric}{{{OF}}})"


def _shared(metric: str, by: str = "") -> str:
    """What all servers on one database say alike, which is counted once for each release."""
    each = f"max by ({', '.join(filter(None, ('namespace', 'job', by)))}) ({metric}{{{OF}}})"
    return f"sum by ({by}) ({each})" if by else f"sum({each})"


def _rate(metric: str, by: str = "") -> str:
    rate = f"rate({metric}{{{OF}}}[$__rate_interval])"
    return f"sum by ({by}) ({rate})" if by else f"sum({rate})"


def _within(metric: str, by: str, span: str) -> str:
    return f"sum by ({by}) (increase({metric}{{{OF}}}[{span}]))"


def _quantile(share: float, histogram: str, by: str = "") -> str:
    return f"histogram_quantile({share}, {_rate(f'{histogram}_bucket', f'{by}, le' if by else 'le')})"


ROWS: dict[str, list[Panel]] = {
    "Jobs": [
        Panel("Jobs by state", "short", {"{{state}}": _shared("headstart_jobs", "state")}),
        Panel(
            "Queue",
            "short",
            {"waiting": _shared("headstart_queue_jobs"), "limit": _shared("headstart_queue_jobs_limit")},
        ),
        Panel("Wait of the first job", "s", {"{{job}}": f"max by (job) (headstart_queue_oldest_seconds{{{OF}}})"}),
        Panel(
            "Jobs ended within an hour", "short", {"{{state}}": _within("headstart_jobs_ended_total", "state", "1h")}
        ),
        Panel(
            "Why jobs failed within a day",
            "short",
            {"{{reason}}": f'sum by (reason) (increase(headstart_jobs_ended_total{{state="FAILED", {OF}}}[1d])) > 0'},
        ),
        Panel(
            "Duration of stages, 90th percentile",
            "s",
            {"{{stage}}": _quantile(0.9, "headstart_job_stage_seconds", "stage")},
        ),
        Panel(
            "Attempts, restarts and deaths within an hour",
            "short",
            {
                "attempts": f"sum(increase(headstart_job_attempts_total{{{OF}}}[1h]))",
                "restarts ({{cause}})": _within("headstart_job_restarts_total", "cause", "1h"),
                "deaths ({{purpose}})": _within("headstart_worker_deaths_total", "purpose", "1h"),
            },
        ),
    ],
    "Running jobs": [
        Panel("Loss", "short", {"{{train_job}}": f"headstart_job_loss{{{OF}}}"}),
        Panel("Training speed", "rowsps", {"{{train_job}}": f"headstart_job_rows_per_second{{{OF}}}"}),
        Panel("Learning rate", "sci", {"{{train_job}}": f"headstart_job_learning_rate{{{OF}}}"}),
        Panel("Last epoch", "s", {"{{train_job}} {{activity}}": f"headstart_job_epoch_seconds{{{OF}}}"}),
        Panel(
            "Since the last report",
            "s",
            {"{{train_job}}": f"time() - headstart_job_last_report_timestamp_seconds{{{OF}}}"},
        ),
        Panel(
            "Trainings",
            "short",
            {
                "{{activity}}: seconds per second": _rate("headstart_training_seconds_total", "activity"),
                "epochs per second": _rate("headstart_training_epochs_total"),
            },
        ),
    ],
    "Embedding passes": [
        Panel("Rows of passes", "rowsps", {"{{outcome}}": _rate("headstart_embedding_rows_total", "outcome")}),
        Panel(
            "Rows that no encoder had to read",
            "percentunit",
            {
                "of a day": f'sum(increase(headstart_embedding_rows_total{{outcome!="encoded", {OF}}}[1d])) / '
                f"sum(increase(headstart_embedding_rows_total{{{OF}}}[1d]))"
            },
        ),
        Panel(
            "Encoder time saved within a day",
            "s",
            {"saved": f"sum(increase(headstart_encoder_seconds_saved_total{{{OF}}}[1d]))"},
        ),
        Panel(
            "Waiting and computing",
            "short",
            {"{{activity}}: seconds per second": _rate("headstart_embedding_pass_seconds_total", "activity")},
        ),
    ],
    "Calls": [
        Panel("Calls by status", "reqps", {"{{code}}": _rate("headstart_rpcs_total", "code")}),
        Panel(
            "Duration of calls, 99th percentile",
            "s",
            {"{{method}}": _quantile(0.99, "headstart_rpc_seconds", "method")},
        ),
        Panel("Calls in flight", "short", {"{{method}}": _now("headstart_rpcs_in_flight", "method")}),
        Panel(
            "Calls on the server's threads, of those that fit",
            "percentunit",
            {"{{executor}}": f"headstart_executor_calls{{{OF}}} / headstart_executor_calls_limit{{{OF}}}"},
        ),
        Panel(
            "Calls without valid credentials",
            "reqps",
            {"{{cause}}": _rate("headstart_authentication_failures_total", "cause")},
        ),
        Panel("Uploads in progress", "short", {"uploads": _now("headstart_uploads_in_progress")}),
        Panel(
            "Database, queue and storage (0: away)",
            "short",
            {"{{dependency}}": f"min by (dependency) (headstart_ready{{{OF}}})"},
        ),
    ],
    "Predictions": [
        Panel(
            "Rows of a batch, mean",
            "short",
            {"rows": f"{_rate('headstart_predict_batch_rows_sum')} / {_rate('headstart_predict_batch_rows_count')}"},
        ),
        Panel(
            "A prediction, 99th percentile",
            "s",
            {
                "wait for its batch": _quantile(0.99, "headstart_predict_wait_seconds"),
                "computing": _quantile(0.99, "headstart_predict_compute_seconds"),
            },
        ),
        Panel("Rows that wait", "short", {"rows": _now("headstart_predict_waiting_rows")}),
        Panel(
            "Live models",
            "short",
            {
                "models": _now("headstart_model_pool_models"),
                "hits per second": _rate("headstart_model_pool_hits_total"),
                "loads per second": _rate("headstart_model_load_seconds_count"),
                "evictions per second": _rate("headstart_model_pool_evictions_total"),
            },
        ),
        Panel(
            "Weights of live models",
            "bytes",
            {"held": _now("headstart_model_pool_bytes"), "limit": _now("headstart_model_pool_bytes_limit")},
        ),
        Panel("Loading of a model, 90th percentile", "s", {"load": _quantile(0.9, "headstart_model_load_seconds")}),
    ],
    "Exports": [
        Panel(
            "Exports ended within an hour",
            "short",
            {"{{format}} {{outcome}}": _within("headstart_exports_total", "format, outcome", "1h")},
        ),
        Panel("Exports in progress", "short", {"exports": _shared("headstart_exports_in_progress")}),
        Panel(
            "Duration of exports, 90th percentile",
            "s",
            {"{{format}}": _quantile(0.9, "headstart_export_seconds", "format")},
        ),
    ],
    "Store and disk": [
        Panel(
            "Embedding store",
            "bytes",
            {"stored": _now("headstart_store_bytes"), "limit": f"sum(headstart_store_bytes_limit{{{OF}}}) > 0"},
        ),
        Panel(
            "Shards",
            "short",
            {
                "stored": _now("headstart_store_shards"),
                "in quarantine": _now("headstart_store_quarantined_shards"),
                "damaged {{kind}}": _now("headstart_damaged_resources", "kind"),
            },
        ),
        Panel(
            "Evicted and merged within an hour",
            "short",
            {
                "evicted": f"sum(increase(headstart_store_evicted_shards_total{{{OF}}}[1h]))",
                "merged": f"sum(increase(headstart_store_merged_shards_total{{{OF}}}[1h]))",
            },
        ),
        Panel(
            "Disk of the state directory",
            "bytes",
            {"free": f"headstart_disk_free_bytes{{{OF}}}", "size": f"headstart_disk_size_bytes{{{OF}}}"},
        ),
    ],
    "Processes": [
        Panel(
            "Resident memory",
            "bytes",
            {
                "server": f"process_resident_memory_bytes{{{OF}}}",
                "{{purpose}} workers": _now("headstart_worker_resident_memory_bytes", "purpose"),
            },
        ),
        Panel(
            "Cores of the server's process",
            "short",
            {"cores": f"rate(process_cpu_seconds_total{{{OF}}}[$__rate_interval])"},
        ),
        Panel(
            "Worker processes",
            "short",
            {
                "{{purpose}}": _now("headstart_worker_processes", "purpose"),
                "{{purpose}}, started within an hour": _within("headstart_worker_starts_total", "purpose", "1h"),
            },
        ),
        Panel(
            "GPU memory",
            "bytes",
            {
                "{{device}} used": f"headstart_gpu_memory_used_bytes{{{OF}}}",
                "{{device}} of the server's tensors": f"headstart_gpu_allocated_bytes{{{OF}}}",
                "{{device}}": f"headstart_gpu_memory_bytes{{{OF}}}",
            },
        ),
        Panel(
            "Versions", "short", {"{{version}}, Python {{python}}, torch {{torch}}": f"headstart_build_info{{{OF}}}"}
        ),
    ],
}
"""Panels by row."""
