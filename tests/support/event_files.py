"""What TensorBoard itself reads from a folder: scalars, texts, and its table of hparams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.context import RequestContext
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups


def accumulated(run: Path) -> EventAccumulator:
    """Return a run's events, all of them."""
    found = EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0})
    found.Reload()
    return found


def texts(run: Path, tag: str) -> list[tuple[int, str]]:
    """Return a run's texts with their steps."""
    return [(item.step, item.tensor_proto.string_val[0].decode()) for item in accumulated(run).Tensors(tag)]


class HParams:
    """TensorBoard's HParams page over a folder of jobs."""

    def __init__(self, directory: Path, *tags: tuple[str, str]) -> None:
        """Read the sessions with these metrics, (run below the job, tag)."""
        multiplexer = plugin_event_multiplexer.EventMultiplexer()
        multiplexer.AddRunsFromDirectory(str(directory))
        multiplexer.Reload()
        provider = data_provider.MultiplexerDataProvider(multiplexer, str(directory))
        context = backend_context.Context(base_plugin.TBContext(data_provider=provider, logdir=str(directory)))
        request = api_pb2.ListSessionGroupsRequest(slice_size=100, allowed_statuses=[0, 1, 2, 3])
        for group, tag in tags:
            request.col_params.add().metric.MergeFrom(api_pb2.MetricName(group=group, tag=tag))
        asked = RequestContext()
        infos = context.experiment_from_metadata(
            asked,
            "",
            True,
            context.hparams_metadata(asked, ""),
            context.hparams_from_data_provider(asked, "", 1000),
        )
        self.columns = {info.name for info in infos.hparam_infos}
        groups = list_session_groups.Handler(asked, context, "", request).run().session_groups
        self.sessions: dict[str, Any] = {group.name: group.sessions[0] for group in groups}
        self.values: dict[str, dict[str, Any]] = {
            group.name: {name: _plain(value) for name, value in group.hparams.items()} for group in groups
        }
        self.metrics: dict[str, dict[str, float]] = {
            group.name: {f"{item.name.group}:{item.name.tag}": item.value for item in group.metric_values}
            for group in groups
        }


def _plain(value: Any) -> Any:
    return getattr(value, value.WhichOneof("kind"))
