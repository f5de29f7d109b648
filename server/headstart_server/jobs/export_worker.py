"""The process that exports: one export at a time, in no process that also answers calls.

torch.export replaces methods of `nn.Module` while it traces, for every thread of its process: whoever predicts there
meanwhile runs them too. Speaks JSON lines as `jobs.worker` does. In: `{"run": {...}}`; the end of input ends the
process. Out: `{"ready": true}`, `{"event": "stage", "data": {...}}`, `{"done": {...}}`.
"""

import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import structlog

from headstart_server.core.errors import FailedPreconditionError, HeadstartError, NotFoundError
from headstart_server.core.logs import configure_logs
from headstart_server.core.memory import ran_out_of_memory
from headstart_server.core.priority import lower_priority
from headstart_server.core.reasons import Reason
from headstart_server.engines.envelopes import PREDICTIONS, ExportEnvelope, PredictionsOrder, export_envelope
from headstart_server.export.artifacts import Artifact, ArtifactRegistry
from headstart_server.jobs.export_records import plain_error
from headstart_server.jobs.worker import Worker, outgoing
from headstart_server.spec.model import TrainSpec

if TYPE_CHECKING:  # imported in `warm_up`: they take seconds
    from headstart_server.engines.runtime_context import RuntimeContext
    from headstart_server.serving.predictor import Predictor

_log = structlog.get_logger()
_NICE = 5
"""Exports leave the cores to live calls where both want them."""


def main() -> None:
    """Imports what exports need, then serves them from standard input."""
    lower_priority(_NICE)
    out = outgoing()
    configure_logs(json_lines=True)
    ExportWorker(sys.stdin, out).serve()


class ExportWorker(Worker):
    """One process's side of the conversation."""

    _artifacts: ArtifactRegistry | None = None
    _writing = ""

    def warm_up(self) -> None:
        """Imports the exporter, which takes seconds."""
        from headstart_server.export import exporter
        from headstart_server.jobs.warm import quiet

        assert exporter
        quiet()

    def leave(self) -> None:
        """The server has gone: what is half written goes, too."""
        if self._artifacts is not None and self._writing:
            self._artifacts.abandon(self._writing)
        os._exit(0)

    def run(self, plain: dict[str, Any]) -> dict[str, Any]:
        """Runs one export; returns the artifact, or the error with its kind."""
        envelope = export_envelope(plain)
        structlog.contextvars.bind_contextvars(artifact=envelope.identifier, model=envelope.model)
        try:
            return {"artifact": asdict(self._export(envelope))}
        except HeadstartError as error:
            # what a deletion meanwhile did to whatever read the model says nothing to anybody
            cause = None if isinstance(error, NotFoundError) else error.__cause__
            _log.warning("export failed", reason=error.reason, message=error.message, exc_info=cause)
            return error_message(error)
        except Exception as error:  # noqa: BLE001 - the boundary of the process: logged whole, reported in brief
            _log.exception("export failed unexpectedly")
            if ran_out_of_memory(error):
                predicts = envelope.format == PREDICTIONS
                remedy = "give the server more" if predicts else "export the head alone (head_only)"
                message = f"the export ran out of memory; free some, or {remedy}"
                return error_message(FailedPreconditionError(message, reason=Reason.OUT_OF_MEMORY))
            message = f"the export failed unexpectedly ({type(error).__name__}); the server's log has the details"
            return error_message(HeadstartError(message))
        finally:
            self._writing = ""
            structlog.contextvars.clear_contextvars()

    def _export(self, envelope: ExportEnvelope) -> Artifact:
        """The artifact, made by a process that keeps nothing of it."""
        from headstart_server.engines.runtime_context import runtime_of
        from headstart_server.export.exporter import Exporter
        from headstart_server.model.integrity import deletion_named
        from headstart_server.model.registry import ModelRegistry
        from headstart_server.planning.pretrained import SERVED_PRECISION
        from headstart_server.serving.pool import ModelPool, TenantModels

        runtime = runtime_of(envelope.runtime)
        models, self._artifacts = ModelRegistry(runtime.storage.models), ArtifactRegistry(runtime.storage.artifacts)
        # from here on `leave`, on the thread that reads, removes what is half written
        self._writing = envelope.identifier
        bundle = models.get(envelope.model)
        own = TenantModels(models, runtime.store)
        # exports, and what workers of a cluster put into the store, are in fp32
        served = envelope.predictions is not None and envelope.predictions.backend.type != "ray"
        precision = envelope.runtime.serving_precision if served else SERVED_PRECISION
        pool = ModelPool(lambda _: own, runtime.encoder_store, runtime.device, 0, runtime.image_limits, precision)
        exporter = Exporter(self._artifacts, runtime.encoder_store)
        try:
            with deletion_named(bundle.folder, "export"):
                predictor = pool.get(envelope.runtime.tenant, envelope.model)
            if envelope.predictions is not None:
                return self._predict(envelope, envelope.predictions, bundle.spec, predictor, runtime, self._artifacts)
            return exporter.export(
                bundle, predictor, envelope.format, envelope.head_only, self._say, envelope.identifier
            )
        finally:
            # shards left open could be neither evicted nor deleted while the process waits for its next export
            runtime.store.release_idle(0)

    def _predict(
        self,
        envelope: ExportEnvelope,
        order: PredictionsOrder,
        spec: TrainSpec,
        predictor: "Predictor",
        runtime: "RuntimeContext",
        artifacts: ArtifactRegistry,
    ) -> Artifact:
        """The file of predictions, made unless it is there."""
        from headstart_server.export.predictions import PredictionsFile, Told, parts_name

        # files below a data root have no digest, and may be others by now
        known = artifacts.find(envelope.model, PREDICTIONS, head_only=False, order=order.digest)
        if known is not None and order.source.sha256:
            return known
        told = Told(self._say)
        told("load", "reading the rows", 0, 0)
        table = order.source.open(runtime.storage)
        if order.backend.type == "ray":
            from headstart_server.engines.ray.filling import ClusterFilling

            others = predictor.stores if order.reuse == "any" else {}
            ClusterFilling(envelope, order, spec, predictor.inputs, others, table, runtime, told).run()
        folder = runtime.layout.job(parts_name(order, envelope.model, table, predictor, envelope.identifier))
        file = PredictionsFile(
            envelope.model, predictor, order, table, runtime.store, runtime.image_limits, folder, told
        )
        return file.write(artifacts, envelope.identifier)

    def _say(self, stage: str, message: str, rows_done: int = 0, rows_total: int = 0) -> None:
        data = {"stage": stage, "message": message, "rows_done": rows_done, "rows_total": rows_total}
        self.send({"event": "stage", "data": data})


def error_message(error: HeadstartError) -> dict[str, Any]:
    """An error as a message."""
    return {"error": plain_error(error)}


if __name__ == "__main__":
    main()
