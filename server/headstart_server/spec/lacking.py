"""Keys of Ludwig's schema that Headstart does not have, each with what to do instead."""

LACKING: dict[str, str] = {
    "adapter": "parameter-efficient adapters are not implemented; set encoder.trainable to true or false",
    "quantization": "quantised encoders are not implemented; use trainer.use_mixed_precision",
    "hyperopt": "hyperparameter search is not implemented; start a job per setting, stored embeddings make each cheap",
    "tied": "tied weights are not implemented; equal frozen encoders already share stored embeddings",
    "tied_weights": "tied weights are not implemented; equal frozen encoders already share stored embeddings",
    "steps_per_checkpoint": "checkpoints are made once per epoch",
    "checkpoints_per_epoch": "checkpoints are made once per epoch",
    "train_steps": "use trainer.epochs",
    "increase_batch_size_on_plateau": "the batch size is constant; leave trainer.batch_size at auto",
    "reduce_on_plateau": "use learning_rate_scheduler.decay",
    "regularization_lambda": "use trainer.optimizer.weight_decay",
    "regularization_type": "use trainer.optimizer.weight_decay",
    "model_type": "every model is an encoder-combiner-decoder; leave the key out",
    "ludwig_version": "leave the key out",
    "dependencies": "outputs do not feed each other",
    "reduce_input": "inputs of decoders are vectors; set encoder.reduce_output",
    "tokenizer": "the encoder's own tokenizer is used",
    "vocab": "the encoder's own vocabulary is used",
    "fc_layers": "use num_fc_layers, output_size and dropout",
    "enable_profiling": "profiling is not part of a spec",
}
