"""Tells which rows are drawn, where a spec asks for other than all of them once."""

from headstart_server.data.dataset import PreparedData
from headstart_server.data.parts import Part
from headstart_server.planning.resolution import Origin, Resolution
from headstart_server.spec.model import TrainSpec


def record_sampling(spec: TrainSpec, resolution: Resolution, data: PreparedData) -> None:
    """Records the settings of `preprocessing` that draw rows, with what came of them."""
    preprocessing, path = spec.preprocessing, "preprocessing"
    if preprocessing.sample_ratio is not None:
        resolution.record(f"{path}.sample_ratio", preprocessing.sample_ratio, Origin.GIVEN)
    if preprocessing.sample_size is not None:
        resolution.record(f"{path}.sample_size", preprocessing.sample_size, Origin.GIVEN)
    if preprocessing.oversample_minority is not None:
        once, drawn = len(data.rows(Part.TRAIN)), len(data.epoch_rows())
        reason = f"{drawn - once} of an epoch's {drawn} rows are rows of rarer labels drawn again"
        resolution.record(f"{path}.oversample_minority", preprocessing.oversample_minority, Origin.GIVEN, reason)
    if preprocessing.undersample_majority is not None:
        reason = f"{data.left_out} training rows of more frequent labels are left out"
        resolution.record(f"{path}.undersample_majority", preprocessing.undersample_majority, Origin.GIVEN, reason)
