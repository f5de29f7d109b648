"""Flips and cuts of every kind of stored file."""
