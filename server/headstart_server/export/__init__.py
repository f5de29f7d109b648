"""Export: models as TorchScript and ONNX with the full encoder in the graph, checked against the live model."""
