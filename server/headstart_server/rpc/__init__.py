"""gRPC: thin servicers, conversions, one error table, the interceptor, the server."""
