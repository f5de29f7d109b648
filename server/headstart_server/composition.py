"""The composition root: the only place that builds parts and wires them."""

import asyncio
import os
import signal
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import structlog
import transformers
from headstart.v1 import server_pb2

from headstart_server import metrics
from headstart_server.core.calls import Calls
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.executors import Executors
from headstart_server.core.files import published_file
from headstart_server.core.layout import Layout
from headstart_server.core.quotas import Quotas
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.uploads import Uploads
from headstart_server.encoders.batch_sharing import keep_measurements
from headstart_server.encoders.precision import settle_precision, settled_precisions
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.envelopes import RaySettings, RuntimeSettings
from headstart_server.engines.retention import Limits as RetentionLimits
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.export.artifacts import ArtifactRegistry
from headstart_server.jobs.exports import Exports
from headstart_server.jobs.process import WorkerPool
from headstart_server.jobs.store import JobStore
from headstart_server.jobs.supervisor import Supervisor, SupervisorSettings
from headstart_server.model.registry import ModelRegistry
from headstart_server.rpc.connection_options import ConnectionLimits
from headstart_server.rpc.datasets import DatasetServicer
from headstart_server.rpc.embeddings import EmbeddingServicer
from headstart_server.rpc.export import ExportServicer
from headstart_server.rpc.models import ModelServicer
from headstart_server.rpc.prediction import PredictionServicer
from headstart_server.rpc.server import Endpoint, Server
from headstart_server.rpc.server_info import ServerServicer
from headstart_server.rpc.training import TrainingServicer
from headstart_server.service.admission import Admission
from headstart_server.service.datasets import DatasetService
from headstart_server.service.embeddings import EmbeddingService
from headstart_server.service.exporting import ExportService
from headstart_server.service.measurements import readings_of
from headstart_server.service.models import ModelService
from headstart_server.service.prediction import PredictionService
from headstart_server.service.quota_file import QuotaFile
from headstart_server.service.retention import Retention
from headstart_server.service.training import TrainingService
from headstart_server.serving.batcher import Batcher
from headstart_server.serving.limiter import Limits
from headstart_server.serving.pool import ModelPool
from headstart_server.settings import Settings, is_loopback
from headstart_server.storage.storage import Storage
from headstart_server.web.bodies import Bodies
from headstart_server.web.health import Health
from headstart_server.web.server import HttpServer
from headstart_server.web.site import site
from headstart_server.web.transcoding import Bounds

_log = structlog.get_logger()
_SWITCH_SECONDS = 0.0005
"""After so long a thread that computes in Python gives way to the event loop, which by default waits 5 ms for each."""
_MOST_CALLS = 10_000
"""In hand at a time, open streams included: each takes some tens of kilobytes."""
_LEAVING_SECONDS = 2.0
"""How long the rest may take once the calls have had their grace."""


class App:
    """One server, built from its settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.layout = Layout(settings.state_dir.resolve())
        _require_writable(self.layout.root)
        settle_precision(self.layout.precision, settings.fast_precision)
        keep_measurements(self.layout.batch_sharing)
        model_root = settings.model_root.resolve() if settings.model_root else None
        sources = ModelSources(model_root, settings.allow_hub)
        limits = ImageLimits(settings.max_image_bytes, settings.max_image_pixels, settings.max_image_ratio)
        self.storage = Storage(self.layout, settings.storage_url)
        self.storage.mark()
        self.runtime = RuntimeContext.at(self.storage, sources, limits)
        self.executors = Executors()
        self.jobs = JobStore(settings.database_url or f"sqlite:///{self.layout.database}", migrate=settings.migrate)
        runtime = RuntimeSettings(
            state_dir=str(self.layout.root),
            storage_url=self.storage.url,
            model_root=str(model_root) if model_root else None,
            hub_allowed=settings.allow_hub,
            image_limits=limits,
            limits=RetentionLimits.of(settings),
        )
        self.quotas = Quotas()
        self._quota_file = QuotaFile(settings.quotas, self.quotas) if settings.quotas is not None else None
        self.supervisor = self._supervisor(runtime)
        size = max(Limits.size, 4 * settings.max_message_bytes)
        self.batcher = Batcher(limits=Limits(size=size, wait=settings.max_predict_wait))
        self.artifacts = ArtifactRegistry(self.storage.artifacts)
        self.exports = Exports(
            self.artifacts,
            replace(runtime, precisions=settled_precisions()),
            self.executors.files,
            settings.concurrent_exports,
        )
        self.health, self.calls = Health(), Calls(_MOST_CALLS)
        servicers = self._servicers(sources)
        self.server = Server(self._endpoint(), servicers, self.calls)
        self.http = self._http(servicers) if settings.http else None
        self.readings = readings_of(settings, self.layout, self.jobs, self.supervisor, self.exports, self.executors)

    def _supervisor(self, runtime: RuntimeSettings) -> Supervisor:
        settings = self.settings
        return Supervisor(
            self.jobs,
            WorkerPool(settings.warm_workers),
            self.storage,
            SupervisorSettings(
                runtime=runtime,
                ray=RaySettings(settings.ray_address, settings.ray_grows, settings.ray_timeout),
                concurrent_jobs=settings.concurrent_jobs,
                max_queued=settings.max_queued_jobs,
                quotas=self.quotas,
            ),
            self.executors,
        )

    async def start(self) -> None:
        """Starts everything; returns when the server listens."""
        for file in (self.settings.port_file, self.settings.http_port_file):
            if file is not None:
                _require_writable(file.parent)
        if self.http is not None:
            self.http.bind()
        await self.supervisor.start()
        await self.server.start()
        metrics.register(*self.readings)
        if self.http is not None:
            self.http.start()
            _tell(self.settings.http_port_file, self.http.port)
        _tell(self.settings.port_file, self.server.port)
        self.health.ready = True
        retention = Retention(self.storage, self.settings, self.runtime.store, self.jobs)
        self._background = [asyncio.create_task(retention.run())]
        if self._quota_file is not None:
            self._background.append(asyncio.create_task(self._quota_file.watch()))
        page = {"page": self._page_url()} if self.http is not None else {}
        _log.info("serving", host=self.settings.host, port=self.server.port, state_dir=str(self.layout.root), **page)

    async def stop(self) -> None:
        """Stops listening, then working; calls get their grace. Unfinished jobs go on at the next start."""
        self.health.ready = False
        metrics.unregister(*self.readings)
        for task in self._background:
            task.cancel()
        grace = self.settings.stop_grace
        stops = [self.server.stop(grace), *([self._stop_http(self.http)] if self.http is not None else [])]
        closing = asyncio.gather(*stops)
        await self.supervisor.close()
        await closing
        await self.exports.close()
        self.jobs.close()
        self.batcher.close()
        self.executors.close()

    async def _stop_http(self, http: HttpServer) -> None:
        end = time.monotonic() + self.settings.stop_grace
        await self.calls.ended(self.settings.stop_grace)  # until then requests are answered, if only by a refusal
        await http.stop(max(0.0, end - time.monotonic()))

    def _endpoint(self) -> Endpoint:
        settings = self.settings
        limits = ConnectionLimits(
            settings.max_message_bytes, settings.max_connection_age, settings.max_connection_age_grace
        )
        return Endpoint(settings.host, settings.port, limits, settings.tls_certificate, settings.tls_key)

    def _http(self, servicers: dict[str, object]) -> HttpServer:
        settings = self.settings
        app = site(
            servicers,
            self.health,
            self.executors,
            Bounds(self.calls, Bodies(settings.max_message_bytes, Limits.size), settings.http_timeout),
            only_local=is_loopback(settings.host),
        )
        return HttpServer(app, settings.host, settings.http_port, settings.tls_certificate, settings.tls_key)

    def _page_url(self) -> str:
        assert self.http is not None
        scheme = "http" if self.settings.tls_certificate is None else "https"
        host = self.settings.host
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.http.port}/"

    def _servicers(self, sources: ModelSources) -> dict[str, object]:
        settings, layout, runtime, executors = self.settings, self.layout, self.runtime, self.executors
        uploads = Uploads(self.storage.datasets, layout.tables, settings.max_dataset_bytes)
        models, images = ModelRegistry(self.storage.models), runtime.image_limits
        pool = ModelPool(
            models, runtime.encoder_store, runtime.store, runtime.device, settings.model_pool_bytes, images
        )
        admission = Admission(
            self.storage,
            settings.data_root,
            uploads,
            sources,
            runtime.device.type,
            images,
            settings.max_plan_bytes,
        )
        training = TrainingService(admission, self.supervisor, self.jobs, runtime.store, layout, executors)
        most_rows, quotas = settings.max_predict_rows, self.quotas
        predictions = PredictionService(pool, self.batcher, most_rows, executors, quotas)
        return {
            "TrainingService": TrainingServicer(training),
            "PredictionService": PredictionServicer(predictions),
            "ExportService": ExportServicer(ExportService(self.exports, self.artifacts, models, executors)),
            "DatasetService": DatasetServicer(DatasetService(uploads, self.jobs, executors, quotas)),
            "ModelService": ModelServicer(ModelService(models, pool, executors)),
            "EmbeddingService": EmbeddingServicer(
                EmbeddingService(runtime, self.batcher, most_rows, executors, quotas), executors.rows
            ),
            "ServerService": ServerServicer(sources, self._limits(), executors.files),
        }

    def _limits(self) -> server_pb2.ServerLimits:
        settings, images = self.settings, self.runtime.image_limits
        return server_pb2.ServerLimits(
            max_message_bytes=settings.max_message_bytes,
            max_dataset_bytes=settings.max_dataset_bytes,
            max_predict_rows=settings.max_predict_rows,
            max_queued_jobs=settings.max_queued_jobs,
            max_image_bytes=images.max_bytes,
            max_image_pixels=images.max_pixels,
            max_image_ratio=images.max_ratio,
            max_plan_bytes=settings.max_plan_bytes,
        )


async def serve(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM; raises HeadstartError for settings that cannot be had."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    app = App(settings)
    await app.start()
    await stopping.wait()
    _log.info("stopping", grace=settings.stop_grace)
    _leave_within(settings.stop_grace + _LEAVING_SECONDS)
    await app.stop()


def _require_writable(folder: Path) -> None:
    """Raises FailedPreconditionError for a folder that cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FailedPreconditionError(
            f"{folder} cannot be written: {error.strerror}; name another folder, or make it this user's"
        ) from error


def _tell(file: Path | None, port: int) -> None:
    """Writes a port where whoever has started the server waits for it."""
    if file is not None:
        with published_file(file) as temporary:
            temporary.write_text(str(port), encoding="ascii")


def _leave_within(seconds: float) -> None:
    """Ends the process in time, whatever its threads still compute: Python would wait for them without end."""
    timer = threading.Timer(seconds, os._exit, [0])
    timer.daemon = True
    timer.start()
