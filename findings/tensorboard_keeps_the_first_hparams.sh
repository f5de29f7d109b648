#!/usr/bin/env bash
# One would guess that what is written again under the same tag replaces what was there, as a scalar's newest value does:
# that hparams which are written when a run begins can be written once more when a measured value (a batch size, say)
# is known. And that a list of a run's hparams (an Experiment, which torch's and tensorboardX's add_hparams write with
# every run) describes that run.
#
# In truth TensorBoard keeps the first hparams of a run, for it keeps the metadata of the first value of a tag, where
# hparams are; and the first Experiment that it finds in a folder is taken for all runs of the folder: hparams that only
# other runs have are no columns. Write hparams once, when they are known, and no Experiment: it is then made of all runs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'tensorboard==2.21.0'
cd "$folder"
venv/bin/python - <<'PY'
from pathlib import Path

from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups, metadata, plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter


def write(folder, *contents):
    Path(folder).mkdir(parents=True)
    writer = RecordWriter(open(f"{folder}/events.out.tfevents.1", "wb"))
    writer.write(Event(file_version="brain.Event:2").SerializeToString())
    for tag, content in contents:
        value = Summary.Value(
            tag=f"_hparams_/{tag}",
            metadata=metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**content)),
            tensor=metadata.NULL_TENSOR,
        )
        writer.write(Event(summary=Summary(value=[value])).SerializeToString())
    writer.close()


def start(**hparams):
    info = plugin_data_pb2.SessionStartInfo()
    for name, value in hparams.items():
        info.hparams[name].number_value = value
    return "session_start_info", {"session_start_info": info}


def experiment(*names):
    infos = [api_pb2.HParamInfo(name=name, type=api_pb2.DATA_TYPE_FLOAT64) for name in names]
    return "experiment", {"experiment": api_pb2.Experiment(hparam_infos=infos)}


def page(folder):
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(folder)
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, folder)
    context = backend_context.Context(TBContext(data_provider=provider, logdir=folder))
    asked = RequestContext()
    hparams = context.hparams_from_data_provider(asked, "", 100)
    found = context.experiment_from_metadata(asked, "", True, context.hparams_metadata(asked, ""), hparams)
    request = api_pb2.ListSessionGroupsRequest(slice_size=9, allowed_statuses=[0, 1, 2, 3])
    groups = list_session_groups.Handler(asked, context, "", request).run().session_groups
    values = {group.name: {name: value.number_value for name, value in group.hparams.items()} for group in groups}
    return sorted(info.name for info in found.hparam_infos), values


write("twice/run", start(batch_size=32), start(batch_size=64))
write("listed/one", experiment("batch_size"), start(batch_size=32))
write("listed/two", experiment("batch_size", "dropout"), start(batch_size=32, dropout=0.5))
write("unlisted/one", start(batch_size=32))
write("unlisted/two", start(batch_size=32, dropout=0.5))
_, twice = page("twice")
listed, _ = page("listed")
unlisted, _ = page("unlisted")
print("written twice, 32 and then 64:", twice["run"])
print("columns of two runs with a list each:", listed)
print("columns of two runs without:", unlisted)
assert twice["run"] == {"batch_size": 32.0}, "TensorBoard takes later hparams now: the guess is right"
assert listed == ["batch_size"], "TensorBoard joins the lists of a folder's runs now: the guess is right"
assert unlisted == ["batch_size", "dropout"]
PY
echo "as described"
