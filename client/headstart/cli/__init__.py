"""The `headstart` command: serve, train, watch, predict, export and look after what a server holds.

Exit codes:
    0    ok
    1    the job failed, or something unexpected
    2    wrong usage or an invalid argument
    3    not found
    4    failed precondition, or it exists already
    5    the server cannot be reached
    6    the job was cancelled
    7    a sink (--tensorboard, --mlflow, --wandb) failed: the job succeeded, or was not started
    8    no valid credentials, or not those that this needs
    130  interrupted (a job that was followed goes on)
"""

from headstart.cli.main import main

__all__ = ["main"]
