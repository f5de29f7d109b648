"""The typed spec and its parsing."""
