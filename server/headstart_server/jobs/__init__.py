"""Jobs: states, durable store, event log, supervisor, worker processes."""
