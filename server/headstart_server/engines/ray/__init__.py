"""The Ray engine: one job on the workers of a cluster. The only modules that import ray."""
