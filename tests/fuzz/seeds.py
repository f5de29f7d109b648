"""Valid requests of every RPC: what is mutated. They read, plan and are refused; none starts a job that trains."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import headstart
import pyarrow as pa
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from headstart.programs.dataset_source import TrainingData, training_request
from headstart.programs.retry import RetryPolicy
from headstart.v1 import (
    dataset_pb2,
    embedding_pb2,
    export_pb2,
    model_pb2,
    prediction_pb2,
    server_pb2,
    table_pb2,
    training_pb2,
)
from headstart.values.table import columns_of, table_of
from headstart.wire.steps import Compute
from headstart_server.rpc.inference import grpc_service_pb2 as inference_pb2
from headstart_server.rpc.inference.tensors import packed
from headstart_server.rpc.messages import spec_message
from headstart_server.spec.parse import parse_values

from tests.support import reviews

_MODULES = (dataset_pb2, embedding_pb2, export_pb2, model_pb2, prediction_pb2, server_pb2, training_pb2, inference_pb2)
_NO_MODEL = "models/01m0000000000000000x"


@dataclass(frozen=True)
class Rpc:
    """One method: its path, the type of its requests, and valid ones."""

    path: str
    request: type[Message]
    valid: tuple[Message, ...]
    streams: bool
    """Whether a call may send several."""


def every_rpc(model: str, *, arrow: bool) -> list[Rpc]:
    """Every method of the protos. `model` has been trained; `arrow` sends tables as Arrow too."""
    valid = _valid(model, arrow=arrow)
    found = []
    for module in _MODULES:
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                kind = GetMessageClass(method.input_type)
                own = tuple(valid.get(method.name, ())) or (_named(kind),)
                found.append(Rpc(f"/{service.full_name}/{method.name}", kind, own, method.client_streaming))
    return found


def _named(kind: type[Message]) -> Message:
    """A request with the name of something that does not exist: what deletes and cancels is to find nothing."""
    message = kind()
    for field in message.DESCRIPTOR.fields:
        if field.name in ("model", "train_job") and field.message_type:
            getattr(message, field.name).name = _NO_MODEL
        elif field.name in ("name", "model"):
            setattr(message, field.name, _NO_MODEL)
        elif field.name == "page_size":
            setattr(message, field.name, 3)
    return message


def _valid(model: str, *, arrow: bool) -> Mapping[str, Sequence[Message]]:
    rows = reviews.make_rows(8)
    inputs = table_of(columns_of(reviews.columns(rows, "review", "price", "category")))
    tables = [inputs, _every_kind(), *([_as_arrow(rows)] if arrow else [])]
    no_output = reviews.spec(epochs=1)
    no_output["output_features"][0]["name"] = "no such column"
    embedded = embedding_pb2.EmbedRequest(table=inputs)
    typed = spec_message(parse_values(reviews.spec(epochs=1)).compact())
    embedded.feature.CopyFrom(typed.input_features[0])
    plans = [_request(reviews.spec(epochs=1), rows) for _ in range(2)]
    plans[1].spec.CopyFrom(typed)
    header = dataset_pb2.DatasetHeader(display_name="a.csv")
    return {
        "PlanTrainJob": plans,
        "SuggestSpec": [training_pb2.SuggestSpecRequest(dataset=plans[0].dataset, targets=["verdict"])],
        "TrainJob": [_request(no_output, rows)],
        "Predict": [prediction_pb2.PredictRequest(model=model, table=table) for table in tables],
        "PredictMany": [prediction_pb2.PredictManyRequest(models=[model], table=table) for table in tables],
        "PredictStream": [
            prediction_pb2.PredictStreamRequest(
                request=prediction_pb2.PredictRequest(model=model, table=table), skip_bad_rows=skip
            )
            for table in tables
            for skip in (False, True)
        ],
        "PredictDataset": [
            prediction_pb2.PredictDatasetRequest(model=model, dataset=plans[0].dataset, first_row=first, top_k=1)
            for first in (0, 5)
        ],
        "EvaluateModel": [prediction_pb2.EvaluateModelRequest(model=model, dataset=plans[0].dataset)],
        "Embed": [embedded],
        "EmbedStream": [
            embedding_pb2.EmbedStreamRequest(request=embedded),
            embedding_pb2.EmbedStreamRequest(request=embedding_pb2.EmbedRequest(table=inputs)),
        ],
        "UploadDataset": [
            dataset_pb2.UploadDatasetRequest(header=header),
            dataset_pb2.UploadDatasetRequest(chunk=b"review,price\nfine,1\nbad,2\n"),
        ],
        "ModelInfer": _inferences(model, rows),
        "ModelStreamInfer": _inferences(model, rows),
        "ModelMetadata": [inference_pb2.ModelMetadataRequest(name=model)],
        "ModelConfig": [inference_pb2.ModelConfigRequest(name=model)],
        "RepositoryIndex": [inference_pb2.RepositoryIndexRequest()],
        "GetModel": [model_pb2.GetModelRequest(name=model)],
        "Export": _exports(model, plans[0].dataset),
    }


def _request(spec: headstart.Spec, rows: list[reviews.Row]) -> training_pb2.TrainJobRequest:
    names = list(rows[0])
    program = training_request(spec, TrainingData(reviews.columns(rows, *names)), RetryPolicy())
    answer: object = None
    while True:
        try:
            step = program.send(answer)
        except StopIteration as done:
            request: training_pb2.TrainJobRequest = done.value
            return request
        assert isinstance(step, Compute), "nothing is uploaded"
        answer = step.function()


def _inferences(model: str, rows: list[reviews.Row]) -> list[Message]:
    """The same rows as typed contents and as raw bytes."""
    found = []
    for raw in (False, True):
        request = inference_pb2.ModelInferRequest(model_name=model)
        for name in ("review", "price", "category"):
            elements = [row[name].encode() for row in rows]
            tensor = request.inputs.add(name=name, datatype="BYTES", shape=[len(rows)])
            if raw:
                request.raw_input_contents.append(packed(elements))
            else:
                tensor.contents.bytes_contents.extend(elements)
        request.outputs.add(name="verdict").parameters["classification"].int64_param = 1
        found.append(request)
    return [*found, inference_pb2.ModelInferRequest(model_name=model)]


def _every_kind() -> table_pb2.Table:
    """A column of each kind of values."""
    kinds = {"a": [1, 2], "b": [0.5, None], "c": [True, False], "d": [["x"], []], "e": [[1.5, 2.0], [3.0, 4.0]]}
    columns = {**kinds, "f": [b"x", None]}
    return table_of({"review": ["fine", "bad"], "price": [1.0, 2.0], "category": ["a", "b"], **columns})


def _as_arrow(rows: list[reviews.Row]) -> table_pb2.Table:
    table = pa.table(reviews.columns(rows, "review", "price", "category"))
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return table_pb2.Table(arrow_ipc=sink.getvalue())


def _exports(model: str, dataset: training_pb2.DatasetSource) -> list[Message]:
    predictions = export_pb2.DatasetPredictions(dataset=dataset, columns=["price"])
    file_format = export_pb2.Artifact.FORMAT_PREDICTIONS
    return [
        export_pb2.ExportRequest(model=_NO_MODEL, format=export_pb2.Artifact.FORMAT_ONNX),
        export_pb2.ExportRequest(model=model, format=file_format, predictions=predictions),
    ]
