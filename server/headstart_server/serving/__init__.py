"""Serving: the model pool, the dynamic batcher, the predictor."""
