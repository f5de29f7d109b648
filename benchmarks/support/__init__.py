"""What the benchmarks share: data, clocks, tables, a server."""
