"""Engines: run one training, on one process or on many."""
