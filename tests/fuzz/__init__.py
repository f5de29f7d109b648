"""Random and mutated messages against a real server."""
