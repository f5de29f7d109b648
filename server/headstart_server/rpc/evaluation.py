"""Detailed evaluations as messages."""

from dataclasses import asdict
from typing import Any

from headstart.v1 import evaluation_pb2 as pb

from headstart_server.training.output_evaluation import OutputEvaluation


def evaluation_message(evaluation: OutputEvaluation) -> pb.OutputEvaluation:
    """The evaluation of one output."""
    values: dict[str, Any] = {name: value for name, value in asdict(evaluation).items() if value is not None}
    return pb.OutputEvaluation(**{**values, "part": f"PART_{evaluation.part.name}"})
