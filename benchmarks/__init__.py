"""Benchmarks: ratios against peers that are measured side by side, in the same run."""
