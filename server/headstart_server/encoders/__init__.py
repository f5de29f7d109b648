"""Encoders: pretrained ones with their sources, pooling and tokens; learned ones for tables."""
