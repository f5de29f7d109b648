"""Models in use: aliases that a retrain moves, labels that lists are filtered by, training from a model."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import headstart
import pytest
from headstart.v1 import export_pb2, model_pb2, prediction_pb2, training_pb2
from headstart.values.table import table_of

from tests.support import reviews
from tests.support.any_rpc import Outcome, called
from tests.support.running_server import RunningServer

ROWS = reviews.make_rows(240)
INPUTS = reviews.columns(ROWS[:8], "review", "price", "category")
ALIAS = "models/reviews@production"


@pytest.fixture(scope="module")
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as opened:
        yield opened


@pytest.fixture(scope="module")
def models(server: RunningServer) -> list[training_pb2.TrainJob]:
    """Two jobs that have succeeded, the second from another seed."""
    with server.client() as client:
        data = reviews.columns(ROWS, *ROWS[0])
        return [
            client.train(reviews.spec(epochs=3, random_seed=seed), data, display_name=f"seed {seed}").result()
            for seed in (1, 2)
        ]


def set_alias(channel: grpc.Channel, model: str, expected: str = "", name: str = ALIAS) -> Outcome:
    request = model_pb2.SetModelAliasRequest(name=name, model=model, expected_model=expected)
    return called(channel, "ModelService.SetModelAlias", request)


def refused(outcome: Outcome, code: grpc.StatusCode, *words: str) -> None:
    assert outcome.code is code, outcome
    for word in words:
        assert word in outcome.message + outcome.details.decode("utf-8", "replace"), outcome


def test_an_alias_is_a_model_to_every_rpc_that_takes_one(
    channel: grpc.Channel, models: list[training_pb2.TrainJob]
) -> None:
    first = models[0].model
    assert set_alias(channel, first).answer.model == first
    predict = prediction_pb2.PredictRequest(model=ALIAS, table=table_of(INPUTS))
    assert called(channel, "PredictionService.Predict", predict).answer.model == first
    streamed = prediction_pb2.PredictStreamRequest(request=predict)
    assert called(channel, "PredictionService.PredictStream", streamed).answer.response.model == first
    assert called(channel, "ModelService.GetModel", model_pb2.GetModelRequest(name=ALIAS)).answer.name == first
    export = export_pb2.ExportRequest(model=ALIAS, format=export_pb2.Artifact.FORMAT_ONNX, head_only=True)
    assert called(channel, "ExportService.Export", export).answers[-1].artifact.model == first
    artifacts = called(channel, "ExportService.ListArtifacts", export_pb2.ListArtifactsRequest(model=ALIAS)).answer
    assert [each.model for each in artifacts.artifacts] == [first]
    update = model_pb2.UpdateModelRequest(model=model_pb2.Model(name=ALIAS, description="in use"))
    assert called(channel, "ModelService.UpdateModel", update).answer.description == "in use"


def test_a_retrain_reaches_callers_who_change_nothing(
    channel: grpc.Channel, models: list[training_pb2.TrainJob]
) -> None:
    first, second = (job.model for job in models)
    set_alias(channel, first)
    predict = prediction_pb2.PredictRequest(model=ALIAS, table=table_of(INPUTS))
    assert called(channel, "PredictionService.Predict", predict).answer.model == first
    refused(
        set_alias(channel, second, expected=second),
        grpc.StatusCode.FAILED_PRECONDITION,
        "ALIAS_MOVED",
        "expected_model",
    )
    assert set_alias(channel, second, expected=first).answer.model == second
    assert called(channel, "PredictionService.Predict", predict).answer.model == second
    listed = called(channel, "ModelService.ListModelAliases", model_pb2.ListModelAliasesRequest(model=second)).answer
    assert [each.name for each in listed.model_aliases] == [ALIAS]
    assert not called(
        channel, "ModelService.ListModelAliases", model_pb2.ListModelAliasesRequest(model=first)
    ).answer.model_aliases


def test_a_model_that_an_alias_names_is_not_deleted(channel: grpc.Channel, models: list[training_pb2.TrainJob]) -> None:
    set_alias(channel, models[0].model)
    outcome = called(channel, "ModelService.DeleteModel", model_pb2.DeleteModelRequest(name=models[0].model))
    refused(outcome, grpc.StatusCode.FAILED_PRECONDITION, ALIAS, "MODEL_HAS_ALIAS")
    missing = set_alias(channel, "models/0000000000")
    refused(missing, grpc.StatusCode.NOT_FOUND, "models/0000000000")
    refused(set_alias(channel, models[0].model, name="models/x"), grpc.StatusCode.INVALID_ARGUMENT, "NAME@ALIAS")
    request = model_pb2.DeleteModelAliasRequest(name=ALIAS)
    called(channel, "ModelService.DeleteModelAlias", request).answer  # noqa: B018
    refused(called(channel, "ModelService.DeleteModelAlias", request), grpc.StatusCode.NOT_FOUND, ALIAS)
    predict = prediction_pb2.PredictRequest(model=ALIAS, table=table_of(INPUTS))
    refused(called(channel, "PredictionService.Predict", predict), grpc.StatusCode.NOT_FOUND, ALIAS, "model")


def test_a_model_tells_its_lineage_and_its_signature(
    channel: grpc.Channel, client: headstart.Client, models: list[training_pb2.TrainJob]
) -> None:
    found = client.models.get(models[0].model)
    assert [(each.role, each.row_count) for each in found.datasets] == [(training_pb2.JobDataset.ROLE_TRAIN, 240)]
    assert [(each.column, each.type, each.optional) for each in found.inputs] == [
        ("review", "text", False),
        ("price", "number", False),
        ("category", "category", False),
    ]
    assert [(each.feature, list(each.classes), each.class_count) for each in found.outputs] == [
        ("verdict", ["negative", "positive"], 2)
    ]
    assert found.HasField("spec") and found.evaluation
    basic = model_pb2.GetModelRequest(name=found.name, view=model_pb2.MODEL_VIEW_BASIC)
    told = called(channel, "ModelService.GetModel", basic).answer
    assert not told.HasField("spec") and not told.evaluation and not told.outputs[0].classes
    assert told.outputs[0].class_count == 2
    refused(
        called(channel, "ModelService.GetModel", model_pb2.GetModelRequest(name=found.name, view=9)),  # type: ignore[arg-type]
        grpc.StatusCode.INVALID_ARGUMENT,
        "view",
    )


def test_models_are_updated_by_a_mask_and_filtered(channel: grpc.Channel, models: list[training_pb2.TrainJob]) -> None:
    def update(name: str, paths: list[str], **values: object) -> Outcome:
        request = model_pb2.UpdateModelRequest(model=model_pb2.Model(name=name, **values))  # type: ignore[arg-type]
        request.update_mask.paths.extend(paths)
        return called(channel, "ModelService.UpdateModel", request)

    def listed(text: str) -> list[str]:
        request = model_pb2.ListModelsRequest(filter=text)
        return [model.name for model in called(channel, "ModelService.ListModels", request).answer.models]

    first, second = (job.model for job in models)
    updated = update(first, ["labels"], labels={"team": "retrieval", "stage": "trial"}, description="not taken").answer
    assert (dict(updated.labels), updated.display_name) == ({"team": "retrieval", "stage": "trial"}, "seed 1")
    updated = update(first, ["labels.stage", "display_name"], labels={"stage": "live"}, display_name="reviews").answer
    assert (dict(updated.labels), updated.display_name) == ({"team": "retrieval", "stage": "live"}, "reviews")
    assert dict(update(first, ["labels.stage"]).answer.labels) == {"team": "retrieval"}
    refused(update(first, ["digest"]), grpc.StatusCode.INVALID_ARGUMENT, "display_name, description, labels or labels.")
    assert listed('labels.team = "retrieval"') == [first]
    assert listed(f'job = "{models[1].name}"') == [second]
    assert listed("display_name = reviews") == [first]
    assert listed('display_name = "seed 1"') == []  # it was renamed
    created = models[1].create_time.ToJsonString()
    assert second in listed(f'create_time >= "{created}"')
    assert first not in listed(f'create_time >= "{created}"')
    refused(
        called(channel, "ModelService.ListModels", model_pb2.ListModelsRequest(filter="digest = x")),
        grpc.StatusCode.INVALID_ARGUMENT,
        "filter",
        "labels.KEY",
    )


def test_pages_of_a_filtered_list_hold_each_model_once(
    channel: grpc.Channel, models: list[training_pb2.TrainJob]
) -> None:
    names, token = [], ""
    while True:
        request = model_pb2.ListModelsRequest(filter="job: trainJobs", page_size=1, page_token=token)
        page = called(channel, "ModelService.ListModels", request).answer
        names += [model.name for model in page.models]
        token = page.next_page_token
        if not token:
            break
        other = model_pb2.ListModelsRequest(filter="job: x", page_token=token)
        refused(called(channel, "ModelService.ListModels", other), grpc.StatusCode.INVALID_ARGUMENT, "page_token")
    assert names == sorted(set(names), reverse=True)
    assert {job.model for job in models} <= set(names)


def test_a_job_begins_from_the_model_that_an_alias_names(
    channel: grpc.Channel, client: headstart.Client, models: list[training_pb2.TrainJob]
) -> None:
    client.models.set_alias(ALIAS, models[1].model)
    data = reviews.columns(ROWS, *ROWS[0])
    spec = reviews.spec(epochs=1, random_seed=2, learning_rate=1e-9)
    job = client.train(spec, data, initial_model="reviews@production").result()
    assert job.initial_model == models[1].model
    model = client.models.get(job.model)
    assert model.initial_model == models[1].model
    best = models[1].best_epoch.validation["loss"]
    assert job.best_epoch.validation["loss"] == pytest.approx(best, rel=0.05)
    assert client.plan(reviews.spec(), data, initial_model=models[1].model).train_rows > 100


def test_a_job_that_cannot_begin_from_a_model_is_refused_before_there_is_one(
    client: headstart.Client, models: list[training_pb2.TrainJob]
) -> None:
    data = reviews.columns(ROWS, *ROWS[0])
    with pytest.raises(headstart.NotFound) as missing:
        client.train(reviews.spec(), data, initial_model="nobody@production")
    assert "models/nobody@production" in missing.value.message
    other = reviews.spec()
    other["input_features"][1]["preprocessing"] = {"normalization": "minmax"}
    for create in (client.train, client.plan):
        with pytest.raises(headstart.InvalidArgument) as refused:
            create(other, data, initial_model=models[0].model)
        assert refused.value.reason == "INITIAL_MODEL_DIFFERS"
        assert [each.field for each in refused.value.violations] == ["input_features[1].preprocessing.normalization"]


def test_the_client_updates_lists_and_names_models(
    client: headstart.Client, models: list[training_pb2.TrainJob]
) -> None:
    model = models[1].model
    updated = client.models.update(model, description="the second", labels={"stage": "live"})
    assert (updated.display_name, updated.description, dict(updated.labels)) == (
        "seed 2",
        "the second",
        {"stage": "live"},
    )
    assert [each.name for each in client.models.list('labels.stage = "live"')] == [model]
    client.models.set_alias("second@live", model)
    assert client.models.alias("second@live").model == model
    assert "models/second@live" in [each.name for each in client.models.aliases(model)]
    assert "models/second@live" in client.models.get(model).aliases
    assert client.predict("second@live", INPUTS)["verdict"].values == client.predict(model, INPUTS)["verdict"].values
    with pytest.raises(headstart.FailedPrecondition, match="names models"):
        client.models.delete(model)
    client.models.delete_alias("second@live")
    with pytest.raises(headstart.NotFound):
        client.models.alias("second@live")
