"""Use cases: what the server does for a caller, whatever carries the call.

Each takes a principal and domain values, returns domain values, and raises domain errors.
"""
