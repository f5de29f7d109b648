"""The composition root: the only place that builds parts and wires them."""

import asyncio
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import structlog
import transformers

from headstart_server import readings
from headstart_server.auth.building import credentials_of
from headstart_server.auth.watched_files import keep_current
from headstart_server.core.calls import Calls
from headstart_server.core.executors import Executors
from headstart_server.core.hosting import leave_within, require_writable, tell_port
from headstart_server.core.layout import Layout
from headstart_server.core.quotas import Quotas
from headstart_server.data.arrow_threads import start_arrow_threads
from headstart_server.data.images.decode import ImageLimits
from headstart_server.encoders.batch_sharing import keep_measurements
from headstart_server.encoders.precision import settle_precision, settled_precisions
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.envelopes import RaySettings, RuntimeSettings
from headstart_server.engines.retention import Limits as RetentionLimits
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.jobs.export_process import ExportProcesses
from headstart_server.jobs.export_store import ExportStore
from headstart_server.jobs.exports import Exports
from headstart_server.jobs.identity import Identity
from headstart_server.jobs.process import WorkerPool
from headstart_server.jobs.store import JobStore
from headstart_server.jobs.supervisor import Supervisor, SupervisorSettings
from headstart_server.rpc.certificates import certificates_of
from headstart_server.rpc.connection_options import ConnectionLimits
from headstart_server.rpc.datasets import DatasetServicer
from headstart_server.rpc.embeddings import EmbeddingServicer
from headstart_server.rpc.export import ExportServicer
from headstart_server.rpc.gate import Gate
from headstart_server.rpc.inference.servicer import InferenceServicer
from headstart_server.rpc.models import ModelServicer
from headstart_server.rpc.prediction import PredictionServicer
from headstart_server.rpc.server import Endpoint, Server
from headstart_server.rpc.server_info import ServerServicer, limits_message
from headstart_server.rpc.training import TrainingServicer
from headstart_server.service.dataset_prediction import DatasetPredictionService
from headstart_server.service.datasets import DatasetService
from headstart_server.service.embeddings import EmbeddingService
from headstart_server.service.exporting import ExportService
from headstart_server.service.live_models import drop_deleted
from headstart_server.service.measurements import readings_of
from headstart_server.service.model_names import ModelNames
from headstart_server.service.models import ModelService
from headstart_server.service.prediction import PredictionService
from headstart_server.service.quota_file import QuotaFile
from headstart_server.service.readiness import NEEDS, Readiness, Ready
from headstart_server.service.retention import Retention
from headstart_server.service.tenants import Tenants
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
        self.layout = Layout(settings.state_dir.resolve(), shared_content=settings.shared_content)
        require_writable(self.layout.root)
        settle_precision(self.layout.precision, settings.fast_precision)
        keep_measurements(self.layout.batch_sharing)
        model_root = settings.model_root.resolve() if settings.model_root else None
        sources = ModelSources(model_root, settings.allow_hub)
        limits = ImageLimits(settings.max_image_bytes, settings.max_image_pixels, settings.max_image_ratio)
        self.storage = Storage(self.layout, settings.storage_url)
        self.storage.mark()
        self.runtime = RuntimeContext.at(self.storage, sources, limits)
        self.executors = Executors()
        self.identity = Identity(self.layout, settings.database_url)
        with ExitStack() as undone:
            undone.callback(self.identity.close)
            self._build(sources, model_root, limits)
            undone.pop_all()

    def _build(self, sources: ModelSources, model_root: Path | None, limits: ImageLimits) -> None:
        """Makes the parts of a server that has its state directory to itself."""
        settings = self.settings
        self.jobs = JobStore(self.identity.database_url, migrate=settings.migrate)
        self.tenants = Tenants(
            self.runtime,
            settings.data_root,
            settings.max_dataset_bytes,
            settings.max_plan_bytes,
            self.jobs.unpublished,
        )
        runtime = RuntimeSettings(
            state_dir=str(self.layout.root),
            shared_content=settings.shared_content,
            storage_url=self.storage.url,
            model_root=str(model_root) if model_root else None,
            hub_allowed=settings.allow_hub,
            image_limits=limits,
            limits=RetentionLimits.of(settings),
            serving_precision=settings.serving_precision,
        )
        self.quotas = Quotas()
        self._quota_file = QuotaFile(settings.quotas, self.quotas) if settings.quotas is not None else None
        self._ray = RaySettings(settings.ray_address, settings.ray_grows, settings.ray_timeout)
        self.supervisor = self._supervisor(runtime)
        size = max(Limits.size, 4 * settings.max_message_bytes)
        self.batcher = Batcher(limits=Limits(size=size, wait=settings.max_predict_wait))
        self.export_jobs = ExportStore(self.jobs.database, self.identity.name, settings.lease_seconds)
        exporting = replace(runtime, precisions=settled_precisions())
        processes = ExportProcesses(self.tenants.artifacts_of, exporting, self.executors.files, ray=self._ray)
        self.exports = Exports(self.export_jobs, processes, self.executors, settings.concurrent_exports)
        self.health, self.calls = Health(), Calls(_MOST_CALLS)
        servicers = self._servicers(sources)
        self._protect()
        self.server = Server(self._endpoint(), servicers, self.gate, self.calls)
        self.http = self._http(servicers) if settings.http else None
        self.readiness = Readiness(
            self.jobs,
            self.supervisor,
            self.storage,
            self.executors.probes,
            self._report,
            queue_seconds=2 * settings.lease_seconds,
        )
        self.readings = readings_of(settings, self.layout, self.jobs, self.supervisor, self.exports, self.executors)

    def _supervisor(self, runtime: RuntimeSettings) -> Supervisor:
        settings = self.settings
        return Supervisor(
            self.jobs,
            WorkerPool(settings.warm_workers),
            self.storage,
            SupervisorSettings(
                runtime=runtime,
                ray=self._ray,
                owner=self.identity.name,
                concurrent_jobs=settings.concurrent_jobs,
                max_queued=settings.max_queued_jobs,
                lease_seconds=settings.lease_seconds,
                pause_seconds=settings.pause_seconds,
                hang_seconds=settings.hang_seconds,
                quotas=self.quotas,
            ),
            self.executors,
        )

    async def start(self) -> None:
        """Starts everything; returns when the server listens."""
        for file in (self.settings.port_file, self.settings.http_port_file):
            if file is not None:
                require_writable(file.parent)
        if self.http is not None:
            self.http.bind()
        self.executors.start()
        await self.executors.files.run(start_arrow_threads)
        await self.supervisor.start()
        await self.exports.start()
        await self.server.start()
        readings.register(*self.readings)
        if self.http is not None:
            self.http.start()
            tell_port(self.settings.http_port_file, self.http.port)
        tell_port(self.settings.port_file, self.server.port)
        self.health.ready = True
        watched = [*self.credentials.watched, *([self.certificates] if self.certificates is not None else [])]
        work = [
            self.readiness.run(),
            Retention(self.storage, self.settings, self.tenants, self.jobs, self.export_jobs).run(),
            keep_current(watched, self.executors.credentials),
            drop_deleted(self.pool, self.executors.files),
            *([self._quota_file.watch()] if self._quota_file is not None else []),
        ]
        self._background = [asyncio.create_task(each) for each in work]
        self.credentials.begin()
        if self.settings.allow_anonymous:
            _log.warning("whoever reaches this server may do everything: it asks for no credentials")
        page = {"page": self._page_url()} if self.http is not None else {}
        _log.info("serving", host=self.settings.host, port=self.server.port, state_dir=str(self.layout.root), **page)

    async def stop(self) -> None:
        """Stops listening, then working; calls get their grace. Unfinished jobs go on at the next start."""
        self.health.ready = False
        readings.unregister(*self.readings)
        for task in self._background:
            task.cancel()
        grace = self.settings.stop_grace
        stops = [self.server.stop(grace), *([self._stop_http(self.http)] if self.http is not None else [])]
        await asyncio.gather(*stops, self.supervisor.close(grace), self.exports.close())
        self.jobs.close()
        self.batcher.close()
        self.executors.close()
        self.identity.close()
        self.credentials.audit.close()

    async def _report(self, ready: Ready) -> None:
        self.health.missing = ready.missing
        self.supervisor.missing = "; ".join(ready.missing)
        self.health.services = {name: ready.of(name) for name in NEEDS}
        await self.server.report(self.health.services)

    def _protect(self) -> None:
        """Reads who may call, and the TLS files; raises FailedPreconditionError for a file that cannot be used."""
        settings = self.settings
        self.credentials = credentials_of(settings, self.executors.credentials)
        self.certificates = certificates_of(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
        self.gate = Gate(self.credentials.authenticator, self.credentials.audit, settings.tls_client_ca is not None)

    async def _stop_http(self, http: HttpServer) -> None:
        end = time.monotonic() + self.settings.stop_grace
        await self.calls.ended(self.settings.stop_grace)  # until then requests are answered, if only by a refusal
        await http.stop(max(0.0, end - time.monotonic()))

    def _endpoint(self) -> Endpoint:
        settings = self.settings
        limits = ConnectionLimits(
            settings.max_message_bytes, settings.max_connection_age, settings.max_connection_age_grace
        )
        return Endpoint(settings.host, settings.port, limits, self.certificates)

    def _http(self, servicers: dict[str, object]) -> HttpServer:
        settings = self.settings
        app = site(
            servicers,
            self.health,
            self.executors,
            self.gate,
            Bounds(self.calls, Bodies(settings.max_message_bytes, Limits.size), settings.http_timeout),
            only_local=is_loopback(settings.host),
        )
        return HttpServer(app, settings.host, settings.http_port, self.certificates)

    def _page_url(self) -> str:
        assert self.http is not None
        host, scheme = self.settings.host, "http" if self.settings.tls_certificate is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.http.port}/"

    def _servicers(self, sources: ModelSources) -> dict[str, object]:
        settings, tenants, runtime, executors = self.settings, self.tenants, self.runtime, self.executors
        device, limits = runtime.device, runtime.image_limits
        size, precision = settings.model_pool_bytes, settings.serving_precision
        self.pool = pool = ModelPool(tenants.models_of, runtime.encoder_store, device, size, limits, precision)
        names, most_rows, quotas = ModelNames.of(self.jobs, executors), settings.max_predict_rows, self.quotas
        training = TrainingService(tenants, self.supervisor, self.jobs, self.layout, executors, names)
        predictions = PredictionService(pool, self.batcher, most_rows, executors, quotas)
        datasets = DatasetPredictionService(predictions, pool, tenants, self.layout, executors, limits, most_rows)
        embeddings = EmbeddingService(tenants, self.batcher, most_rows, executors, quotas)
        models = ModelService(tenants, pool, executors, names)
        return {
            "TrainingService": TrainingServicer(training),
            "PredictionService": PredictionServicer(predictions, datasets, names, executors.rows),
            "ExportService": ExportServicer(ExportService(self.exports, self.export_jobs, tenants, executors), names),
            "DatasetService": DatasetServicer(DatasetService(tenants, self.jobs, executors, quotas)),
            "ModelService": ModelServicer(models, names),
            "GRPCInferenceService": InferenceServicer(models, predictions, names, lambda: not self.calls.stopping),
            "EmbeddingService": EmbeddingServicer(embeddings, executors.rows),
            "ServerService": ServerServicer(sources, limits_message(settings, limits), executors.files),
        }


async def serve(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM; raises HeadstartError for settings that cannot be had."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    app = App(settings)
    with ExitStack() as undone:
        undone.callback(app.identity.close)
        await app.start()
        undone.pop_all()
    await stopping.wait()
    _log.info("stopping", grace=settings.stop_grace)
    leave_within(settings.stop_grace + _LEAVING_SECONDS)
    await app.stop()
