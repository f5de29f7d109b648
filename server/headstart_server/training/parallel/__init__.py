"""How the processes of a world share one model: a protocol, and a file for each way."""
