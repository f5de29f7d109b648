"""The Open Inference Protocol v2: the same use cases for clients of KServe and Triton."""
