"""Where a job's events are written to beside the screen: TensorBoard, MLflow, Weights & Biases.

Usage:
    from headstart.sinks import MLflow, TensorBoard

    run = client.train(spec, data, sinks=[TensorBoard("runs"), MLflow("http://localhost:5000")])
    run.result()
    print(run.sink_failures)

Each needs its package, which is imported when the sink is made: pip install 'headstart[tensorboard]',
'headstart[mlflow]' or 'headstart[wandb]'. A sink of one's own is a subclass of `Sink`.
"""

from headstart.sinks.mlflow import MLflow
from headstart.sinks.points import Parameter, Point
from headstart.sinks.sink import Sink
from headstart.sinks.tensorboard import TensorBoard
from headstart.sinks.wandb import WandB

__all__ = ["MLflow", "Parameter", "Point", "Sink", "TensorBoard", "WandB"]
