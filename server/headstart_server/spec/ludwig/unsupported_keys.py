"""What of Ludwig's files Headstart does not have, each with what to use instead."""

UNTRAINED_TEXT = (
    "it has no pretrained weights; use auto_transformer with pretrained_model_name_or_path, or e.g. distilbert"
)
_UNTRAINED_IMAGE = "it has no pretrained weights; use a torchvision family, e.g. resnet or mobilenetv2"
_LARGE_IMAGE = "use auto_transformer with pretrained_model_name_or_path"
_CONCAT = "use concat, with num_fc_layers and output_size for its layers"
_NEIGHBOURS = (
    "no cell is filled from its neighbours; use fill_with_mode, fill_with_mean or fill_with_const, or drop_row"
)
_UNTRAINED_KEY = "it shapes encoders without pretrained weights; choose an encoder by type, and leave it out"
_SHAPE = "a pretrained encoder has the shape of its weights; choose other weights, and leave it out"
_LLM = "text is not generated; use a text input with encoder.type: auto_transformer and a category output"

INPUT_TYPES = {
    "audio": "embed the recordings elsewhere, and use the embeddings as a vector",
    "h3": "use category for cells, or two number inputs for latitude and longitude",
    "date": "use number inputs for the parts that matter (year, month, weekday), or category",
    "bag": "use set, which does not count its items, or text",
    "sequence": "use text for words, set where their order does not matter, or vector for numbers",
    "timeseries": "use vector, whose length is the same in every row",
}
OUTPUT_TYPES = {
    **INPUT_TYPES,
    "text": "text is not generated; use category, or set for several words",
    "sequence": "sequences are not generated; use category, or set for several words",
    "timeseries": "use vector, whose length is the same in every row, or number for the next value",
    "image": "images are not generated; use category",
    "category_distribution": "use category with the most probable class, or vector with the probabilities",
    "anomaly": "use binary with labelled rows",
}
ENCODERS = {
    "text": {
        **dict.fromkeys(
            (
                *("parallel_cnn", "stacked_cnn", "stacked_parallel_cnn", "rnn", "cnnrnn", "transformer", "embed"),
                *("passthrough", "mamba", "mamba2", "jamba"),
            ),
            UNTRAINED_TEXT,
        ),
        "tf_idf": "use auto_transformer for its meaning, or set for the words as they are",
        "llm": "use auto_transformer; base_model is its pretrained_model_name_or_path",
        "transformer_xl": "it is gone from transformers; use auto_transformer, e.g. with longformer's weights",
    },
    "image": {
        **dict.fromkeys(("stacked_cnn", "mlp_mixer", "_resnet_legacy", "_vit_legacy", "unet"), _UNTRAINED_IMAGE),
        **dict.fromkeys(("clip", "dinov2", "siglip", "convnextv2", "caformer", "timm"), _LARGE_IMAGE),
    },
    "category": {"target": "use dense, which learns a vector per value", "passthrough": "use onehot or dense"},
    "number": dict.fromkeys(("plr", "ple", "periodic", "bins"), "use dense"),
    "set": {"dense": "use embed", "sparse": "use embed"},
}
COMBINERS = {
    **dict.fromkeys(
        (
            *(
                "tabnet",
                "tabtransformer",
                "transformer",
                "ft_transformer",
                "sequence",
                "project_aggregate",
                "comparator",
            ),
            *("hypernetwork", "perceiver", "gated_fusion", "cross_attention"),
        ),
        _CONCAT,
    ),
    "sequence_concat": "encoders give one vector per row; use concat",
}
LOSSES = {
    "root_mean_squared_error": "use mean_squared_error, which has the same minimum",
    "root_mean_squared_percentage_error": "use mean_squared_error",
    "mean_absolute_percentage_error": "use mean_absolute_error",
    "sampled_softmax_cross_entropy": "use softmax_cross_entropy",
    "sequence_softmax_cross_entropy": "use softmax_cross_entropy",
    "corn": "use softmax_cross_entropy, or a number output for ordered classes",
    "focal": "use softmax_cross_entropy with balance_classes",
    "entropic_open_set": "use softmax_cross_entropy",
    "objectosphere": "use softmax_cross_entropy",
}
MISSING_VALUES = dict.fromkeys(("bfill", "ffill", "backfill", "pad"), _NEIGHBOURS)

KEYS: dict[str, str] = {
    "bias_type": "an adapter leaves biases as they are; leave it out",
    "pretrained_adapter_weights": "begin from a published model that has the adapter (initial_model)",
    "quantization": "quantised encoders are not implemented; use trainer.use_mixed_precision",
    "prompt": _LLM,
    "base_model": _LLM,
    "generation": _LLM,
    "model_parameters": _LLM,
    "preset": "presets are not implemented; write the settings out",
    "tied": "it is for input features",
    "tied_weights": "it is for input features",
    "ludwig_version": "leave the key out",
    "dependencies": "outputs do not feed each other; leave it out, or make that column an input",
    "reduce_dependencies": "outputs do not feed each other; leave it out",
    "tokenizer": "the encoder's own tokenizer is used; for sets, use separator",
    "vocab": "the vocabulary is read from the training rows, or is the encoder's own; leave it out",
    "vocab_file": "the encoder's own vocabulary is used; leave it out",
    "level": "texts are read by the tokenizer of their encoder; for characters use e.g. weights of canine",
    "enable_profiling": "profiling is not part of a spec",
    "representation": "use encoder.type: dense or onehot",
    "embeddings_trainable": "learned vectors are trained; for fixed ones use encoder.type: onehot",
    "pretrained_embeddings": "use a text input with a pretrained encoder, or a vector input with the embeddings",
    "use_bias": "layers have a bias; leave it out",
    "fc_use_bias": "layers have a bias; leave it out",
    "norm_params": "norms have torch's parameters; leave them out",
    "fc_norm_params": "norms have torch's parameters; leave them out",
    "residual": "layers have no residual connections; leave it out",
    "clip": "predictions are not clipped; clip the answers",
    "multiplier": "outputs are normalised by the training rows; leave it out",
    "softmax": "use a category output, or normalise the answers",
    "outlier_strategy": "outliers are kept; use preprocessing.normalization: iq, or remove these rows",
    "robust_lambda": "it is not implemented; use loss.label_smoothing for category outputs, or leave it out",
    "confidence_penalty": "it is not implemented; use loss.label_smoothing for category outputs, or leave it out",
    "class_similarities": "it is not implemented; use loss.label_smoothing, or leave it out",
    "class_similarities_temperature": "it is not implemented; use loss.label_smoothing, or leave it out",
    **dict.fromkeys(
        (
            *(
                "conv_layers",
                "num_conv_layers",
                "num_filters",
                "filter_size",
                "pool_size",
                "pool_function",
                "cell_type",
            ),
            *("num_stacked_layers", "bidirectional", "state_size", "recurrent_dropout", "conv_activation", "conv_norm"),
            *("out_channels", "kernel_size", "stride", "first_pool_kernel_size", "first_pool_stride", "conv_stride"),
            *("num_heads", "transformer_output_size", "fc_activation", "fc_norm", "fc_dropout", "patch_size"),
        ),
        _UNTRAINED_KEY,
    ),
    **dict.fromkeys(
        ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act", "vocab_size"),
        _SHAPE,
    ),
}
"""Keys that nothing reads, wherever they stand."""
