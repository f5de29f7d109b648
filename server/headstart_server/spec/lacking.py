"""Keys of Ludwig's schema that Headstart does not have, each with what to do instead."""

LACKING: dict[str, str] = {
    "adapter": "parameter-efficient adapters are not implemented; set encoder.trainable to true or false",
    "quantization": "quantised encoders are not implemented; use trainer.use_mixed_precision",
    "hyperopt": "hyperparameter search is not implemented; start a job per setting, stored embeddings make each cheap",
    "tied": "tied weights are not implemented; equal frozen encoders already share stored embeddings",
    "tied_weights": "tied weights are not implemented; equal frozen encoders already share stored embeddings",
    "model_type": "every model is an encoder-combiner-decoder; leave the key out",
    "ludwig_version": "leave the key out",
    "dependencies": "outputs do not feed each other",
    "reduce_input": "inputs of decoders are vectors; set encoder.reduce_output",
    "tokenizer": "the encoder's own tokenizer is used",
    "vocab": "the encoder's own vocabulary is used",
    "fc_layers": "use num_fc_layers, output_size and dropout",
    "enable_profiling": "profiling is not part of a spec",
}
