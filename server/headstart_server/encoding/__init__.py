"""The embedding pass: from rows to embeddings, on one process or a pool of them."""
