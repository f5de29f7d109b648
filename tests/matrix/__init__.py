"""The same values through every path by which data arrives: one table, printed by `python -m tests.matrix.run`."""
