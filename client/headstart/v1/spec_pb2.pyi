from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrainSpec(_message.Message):
    __slots__ = ("input_features", "output_features", "combiner", "trainer", "backend", "preprocessing", "defaults", "notes", "model_type", "sweep")
    class DefaultsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: FeatureDefaults
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[FeatureDefaults, _Mapping]] = ...) -> None: ...
    INPUT_FEATURES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FEATURES_FIELD_NUMBER: _ClassVar[int]
    COMBINER_FIELD_NUMBER: _ClassVar[int]
    TRAINER_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    PREPROCESSING_FIELD_NUMBER: _ClassVar[int]
    DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    MODEL_TYPE_FIELD_NUMBER: _ClassVar[int]
    SWEEP_FIELD_NUMBER: _ClassVar[int]
    input_features: _containers.RepeatedCompositeFieldContainer[Feature]
    output_features: _containers.RepeatedCompositeFieldContainer[Feature]
    combiner: Combiner
    trainer: Trainer
    backend: Backend
    preprocessing: GlobalPreprocessing
    defaults: _containers.MessageMap[str, FeatureDefaults]
    notes: _containers.RepeatedScalarFieldContainer[str]
    model_type: str
    sweep: Sweep
    def __init__(self, input_features: _Optional[_Iterable[_Union[Feature, _Mapping]]] = ..., output_features: _Optional[_Iterable[_Union[Feature, _Mapping]]] = ..., combiner: _Optional[_Union[Combiner, _Mapping]] = ..., trainer: _Optional[_Union[Trainer, _Mapping]] = ..., backend: _Optional[_Union[Backend, _Mapping]] = ..., preprocessing: _Optional[_Union[GlobalPreprocessing, _Mapping]] = ..., defaults: _Optional[_Mapping[str, FeatureDefaults]] = ..., notes: _Optional[_Iterable[str]] = ..., model_type: _Optional[str] = ..., sweep: _Optional[_Union[Sweep, _Mapping]] = ...) -> None: ...

class Sweep(_message.Message):
    __slots__ = ("search", "trials", "seconds", "metric", "halving", "parameters", "folds")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: SweepParameter
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[SweepParameter, _Mapping]] = ...) -> None: ...
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    HALVING_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    FOLDS_FIELD_NUMBER: _ClassVar[int]
    search: str
    trials: int
    seconds: float
    metric: str
    halving: bool
    parameters: _containers.MessageMap[str, SweepParameter]
    folds: int
    def __init__(self, search: _Optional[str] = ..., trials: _Optional[int] = ..., seconds: _Optional[float] = ..., metric: _Optional[str] = ..., halving: bool = ..., parameters: _Optional[_Mapping[str, SweepParameter]] = ..., folds: _Optional[int] = ...) -> None: ...

class SweepParameter(_message.Message):
    __slots__ = ("choices", "min", "max", "scale", "integer")
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    choices: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Value]
    min: float
    max: float
    scale: str
    integer: bool
    def __init__(self, choices: _Optional[_Iterable[_Union[_struct_pb2.Value, _Mapping]]] = ..., min: _Optional[float] = ..., max: _Optional[float] = ..., scale: _Optional[str] = ..., integer: bool = ...) -> None: ...

class Feature(_message.Message):
    __slots__ = ("name", "type", "column", "encoder", "preprocessing", "decoder", "loss", "top_k", "augmentation")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FIELD_NUMBER: _ClassVar[int]
    PREPROCESSING_FIELD_NUMBER: _ClassVar[int]
    DECODER_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    AUGMENTATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    column: str
    encoder: Encoder
    preprocessing: Preprocessing
    decoder: Decoder
    loss: Loss
    top_k: int
    augmentation: _containers.RepeatedCompositeFieldContainer[Augmentation]
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., column: _Optional[str] = ..., encoder: _Optional[_Union[Encoder, _Mapping]] = ..., preprocessing: _Optional[_Union[Preprocessing, _Mapping]] = ..., decoder: _Optional[_Union[Decoder, _Mapping]] = ..., loss: _Optional[_Union[Loss, _Mapping]] = ..., top_k: _Optional[int] = ..., augmentation: _Optional[_Iterable[_Union[Augmentation, _Mapping]]] = ...) -> None: ...

class FeatureDefaults(_message.Message):
    __slots__ = ("encoder", "preprocessing", "decoder", "loss")
    ENCODER_FIELD_NUMBER: _ClassVar[int]
    PREPROCESSING_FIELD_NUMBER: _ClassVar[int]
    DECODER_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    encoder: Encoder
    preprocessing: Preprocessing
    decoder: Decoder
    loss: Loss
    def __init__(self, encoder: _Optional[_Union[Encoder, _Mapping]] = ..., preprocessing: _Optional[_Union[Preprocessing, _Mapping]] = ..., decoder: _Optional[_Union[Decoder, _Mapping]] = ..., loss: _Optional[_Union[Loss, _Mapping]] = ...) -> None: ...

class Encoder(_message.Message):
    __slots__ = ("type", "pretrained_model_name_or_path", "revision", "use_pretrained", "trainable", "reduce_output", "model_variant", "embedding_size", "output_size", "num_layers", "dropout", "activation", "fc_layers", "adapter", "trainable_layers")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PRETRAINED_MODEL_NAME_OR_PATH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    USE_PRETRAINED_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    REDUCE_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    MODEL_VARIANT_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SIZE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    NUM_LAYERS_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    FC_LAYERS_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_LAYERS_FIELD_NUMBER: _ClassVar[int]
    type: str
    pretrained_model_name_or_path: str
    revision: str
    use_pretrained: bool
    trainable: bool
    reduce_output: str
    model_variant: str
    embedding_size: int
    output_size: int
    num_layers: int
    dropout: float
    activation: str
    fc_layers: _containers.RepeatedCompositeFieldContainer[FcLayer]
    adapter: Adapter
    trainable_layers: int
    def __init__(self, type: _Optional[str] = ..., pretrained_model_name_or_path: _Optional[str] = ..., revision: _Optional[str] = ..., use_pretrained: bool = ..., trainable: bool = ..., reduce_output: _Optional[str] = ..., model_variant: _Optional[str] = ..., embedding_size: _Optional[int] = ..., output_size: _Optional[int] = ..., num_layers: _Optional[int] = ..., dropout: _Optional[float] = ..., activation: _Optional[str] = ..., fc_layers: _Optional[_Iterable[_Union[FcLayer, _Mapping]]] = ..., adapter: _Optional[_Union[Adapter, _Mapping]] = ..., trainable_layers: _Optional[int] = ...) -> None: ...

class Adapter(_message.Message):
    __slots__ = ("type", "r", "alpha", "dropout", "target_modules", "use_dora", "use_rslora")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    R_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    TARGET_MODULES_FIELD_NUMBER: _ClassVar[int]
    USE_DORA_FIELD_NUMBER: _ClassVar[int]
    USE_RSLORA_FIELD_NUMBER: _ClassVar[int]
    type: str
    r: int
    alpha: float
    dropout: float
    target_modules: _containers.RepeatedScalarFieldContainer[str]
    use_dora: bool
    use_rslora: bool
    def __init__(self, type: _Optional[str] = ..., r: _Optional[int] = ..., alpha: _Optional[float] = ..., dropout: _Optional[float] = ..., target_modules: _Optional[_Iterable[str]] = ..., use_dora: bool = ..., use_rslora: bool = ...) -> None: ...

class FcLayer(_message.Message):
    __slots__ = ("output_size", "dropout", "norm", "activation")
    OUTPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    NORM_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    output_size: int
    dropout: float
    norm: str
    activation: str
    def __init__(self, output_size: _Optional[int] = ..., dropout: _Optional[float] = ..., norm: _Optional[str] = ..., activation: _Optional[str] = ...) -> None: ...

class Preprocessing(_message.Message):
    __slots__ = ("cache_encoder_embeddings", "max_sequence_length", "lowercase", "embedding_precision", "missing_value_strategy", "fill_value", "normalization", "most_common", "min_frequency", "fallback_true_label", "vector_size", "separator", "cached_views", "bad_image_policy")
    CACHE_ENCODER_EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    MAX_SEQUENCE_LENGTH_FIELD_NUMBER: _ClassVar[int]
    LOWERCASE_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_PRECISION_FIELD_NUMBER: _ClassVar[int]
    MISSING_VALUE_STRATEGY_FIELD_NUMBER: _ClassVar[int]
    FILL_VALUE_FIELD_NUMBER: _ClassVar[int]
    NORMALIZATION_FIELD_NUMBER: _ClassVar[int]
    MOST_COMMON_FIELD_NUMBER: _ClassVar[int]
    MIN_FREQUENCY_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_TRUE_LABEL_FIELD_NUMBER: _ClassVar[int]
    VECTOR_SIZE_FIELD_NUMBER: _ClassVar[int]
    SEPARATOR_FIELD_NUMBER: _ClassVar[int]
    CACHED_VIEWS_FIELD_NUMBER: _ClassVar[int]
    BAD_IMAGE_POLICY_FIELD_NUMBER: _ClassVar[int]
    cache_encoder_embeddings: bool
    max_sequence_length: int
    lowercase: bool
    embedding_precision: str
    missing_value_strategy: str
    fill_value: str
    normalization: str
    most_common: int
    min_frequency: int
    fallback_true_label: str
    vector_size: int
    separator: str
    cached_views: int
    bad_image_policy: str
    def __init__(self, cache_encoder_embeddings: bool = ..., max_sequence_length: _Optional[int] = ..., lowercase: bool = ..., embedding_precision: _Optional[str] = ..., missing_value_strategy: _Optional[str] = ..., fill_value: _Optional[str] = ..., normalization: _Optional[str] = ..., most_common: _Optional[int] = ..., min_frequency: _Optional[int] = ..., fallback_true_label: _Optional[str] = ..., vector_size: _Optional[int] = ..., separator: _Optional[str] = ..., cached_views: _Optional[int] = ..., bad_image_policy: _Optional[str] = ...) -> None: ...

class Decoder(_message.Message):
    __slots__ = ("num_fc_layers", "output_size", "dropout", "threshold", "calibration", "norm", "activation", "fc_layers")
    NUM_FC_LAYERS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    NORM_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    FC_LAYERS_FIELD_NUMBER: _ClassVar[int]
    num_fc_layers: int
    output_size: int
    dropout: float
    threshold: float
    calibration: bool
    norm: str
    activation: str
    fc_layers: _containers.RepeatedCompositeFieldContainer[FcLayer]
    def __init__(self, num_fc_layers: _Optional[int] = ..., output_size: _Optional[int] = ..., dropout: _Optional[float] = ..., threshold: _Optional[float] = ..., calibration: bool = ..., norm: _Optional[str] = ..., activation: _Optional[str] = ..., fc_layers: _Optional[_Iterable[_Union[FcLayer, _Mapping]]] = ...) -> None: ...

class Loss(_message.Message):
    __slots__ = ("type", "weight", "class_weights", "balance_classes", "positive_class_weight", "label_smoothing", "delta")
    class ClassWeightsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    TYPE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CLASS_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    BALANCE_CLASSES_FIELD_NUMBER: _ClassVar[int]
    POSITIVE_CLASS_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    LABEL_SMOOTHING_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    type: str
    weight: float
    class_weights: _containers.ScalarMap[str, float]
    balance_classes: bool
    positive_class_weight: float
    label_smoothing: float
    delta: float
    def __init__(self, type: _Optional[str] = ..., weight: _Optional[float] = ..., class_weights: _Optional[_Mapping[str, float]] = ..., balance_classes: bool = ..., positive_class_weight: _Optional[float] = ..., label_smoothing: _Optional[float] = ..., delta: _Optional[float] = ...) -> None: ...

class Augmentation(_message.Message):
    __slots__ = ("type", "parameters", "method")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    type: str
    parameters: _containers.ScalarMap[str, float]
    method: str
    def __init__(self, type: _Optional[str] = ..., parameters: _Optional[_Mapping[str, float]] = ..., method: _Optional[str] = ...) -> None: ...

class Combiner(_message.Message):
    __slots__ = ("type", "num_fc_layers", "output_size", "dropout", "norm", "virtual_batch_size", "activation", "fc_layers")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NUM_FC_LAYERS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SIZE_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    NORM_FIELD_NUMBER: _ClassVar[int]
    VIRTUAL_BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    FC_LAYERS_FIELD_NUMBER: _ClassVar[int]
    type: str
    num_fc_layers: int
    output_size: int
    dropout: float
    norm: str
    virtual_batch_size: int
    activation: str
    fc_layers: _containers.RepeatedCompositeFieldContainer[FcLayer]
    def __init__(self, type: _Optional[str] = ..., num_fc_layers: _Optional[int] = ..., output_size: _Optional[int] = ..., dropout: _Optional[float] = ..., norm: _Optional[str] = ..., virtual_batch_size: _Optional[int] = ..., activation: _Optional[str] = ..., fc_layers: _Optional[_Iterable[_Union[FcLayer, _Mapping]]] = ...) -> None: ...

class Trainer(_message.Message):
    __slots__ = ("epochs", "batch_size", "max_batch_size", "eval_batch_size", "learning_rate", "learning_rate_scaling", "learning_rate_scheduler", "optimizer", "use_mixed_precision", "compile", "gradient_accumulation_steps", "gradient_clipping", "evaluate_training_set", "early_stop", "validation_metric", "random_seed", "checkpoint", "train_steps", "steps_per_checkpoint", "checkpoints_per_epoch", "regularization_type", "regularization_lambda", "should_shuffle", "boosting")
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    EVAL_BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_SCALING_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_SCHEDULER_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    USE_MIXED_PRECISION_FIELD_NUMBER: _ClassVar[int]
    COMPILE_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_ACCUMULATION_STEPS_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_CLIPPING_FIELD_NUMBER: _ClassVar[int]
    EVALUATE_TRAINING_SET_FIELD_NUMBER: _ClassVar[int]
    EARLY_STOP_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_METRIC_FIELD_NUMBER: _ClassVar[int]
    RANDOM_SEED_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    TRAIN_STEPS_FIELD_NUMBER: _ClassVar[int]
    STEPS_PER_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_PER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    REGULARIZATION_TYPE_FIELD_NUMBER: _ClassVar[int]
    REGULARIZATION_LAMBDA_FIELD_NUMBER: _ClassVar[int]
    SHOULD_SHUFFLE_FIELD_NUMBER: _ClassVar[int]
    BOOSTING_FIELD_NUMBER: _ClassVar[int]
    epochs: int
    batch_size: int
    max_batch_size: int
    eval_batch_size: int
    learning_rate: float
    learning_rate_scaling: str
    learning_rate_scheduler: LearningRateScheduler
    optimizer: Optimizer
    use_mixed_precision: bool
    compile: bool
    gradient_accumulation_steps: int
    gradient_clipping: GradientClipping
    evaluate_training_set: bool
    early_stop: int
    validation_metric: str
    random_seed: int
    checkpoint: bool
    train_steps: int
    steps_per_checkpoint: int
    checkpoints_per_epoch: int
    regularization_type: str
    regularization_lambda: float
    should_shuffle: bool
    boosting: Boosting
    def __init__(self, epochs: _Optional[int] = ..., batch_size: _Optional[int] = ..., max_batch_size: _Optional[int] = ..., eval_batch_size: _Optional[int] = ..., learning_rate: _Optional[float] = ..., learning_rate_scaling: _Optional[str] = ..., learning_rate_scheduler: _Optional[_Union[LearningRateScheduler, _Mapping]] = ..., optimizer: _Optional[_Union[Optimizer, _Mapping]] = ..., use_mixed_precision: bool = ..., compile: bool = ..., gradient_accumulation_steps: _Optional[int] = ..., gradient_clipping: _Optional[_Union[GradientClipping, _Mapping]] = ..., evaluate_training_set: bool = ..., early_stop: _Optional[int] = ..., validation_metric: _Optional[str] = ..., random_seed: _Optional[int] = ..., checkpoint: bool = ..., train_steps: _Optional[int] = ..., steps_per_checkpoint: _Optional[int] = ..., checkpoints_per_epoch: _Optional[int] = ..., regularization_type: _Optional[str] = ..., regularization_lambda: _Optional[float] = ..., should_shuffle: bool = ..., boosting: _Optional[_Union[Boosting, _Mapping]] = ...) -> None: ...

class Boosting(_message.Message):
    __slots__ = ("num_leaves", "max_depth", "min_data_in_leaf", "feature_fraction", "bagging_fraction", "bagging_freq", "lambda_l1", "lambda_l2", "min_gain_to_split", "max_bin")
    NUM_LEAVES_FIELD_NUMBER: _ClassVar[int]
    MAX_DEPTH_FIELD_NUMBER: _ClassVar[int]
    MIN_DATA_IN_LEAF_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FRACTION_FIELD_NUMBER: _ClassVar[int]
    BAGGING_FRACTION_FIELD_NUMBER: _ClassVar[int]
    BAGGING_FREQ_FIELD_NUMBER: _ClassVar[int]
    LAMBDA_L1_FIELD_NUMBER: _ClassVar[int]
    LAMBDA_L2_FIELD_NUMBER: _ClassVar[int]
    MIN_GAIN_TO_SPLIT_FIELD_NUMBER: _ClassVar[int]
    MAX_BIN_FIELD_NUMBER: _ClassVar[int]
    num_leaves: int
    max_depth: int
    min_data_in_leaf: int
    feature_fraction: float
    bagging_fraction: float
    bagging_freq: int
    lambda_l1: float
    lambda_l2: float
    min_gain_to_split: float
    max_bin: int
    def __init__(self, num_leaves: _Optional[int] = ..., max_depth: _Optional[int] = ..., min_data_in_leaf: _Optional[int] = ..., feature_fraction: _Optional[float] = ..., bagging_fraction: _Optional[float] = ..., bagging_freq: _Optional[int] = ..., lambda_l1: _Optional[float] = ..., lambda_l2: _Optional[float] = ..., min_gain_to_split: _Optional[float] = ..., max_bin: _Optional[int] = ...) -> None: ...

class LearningRateScheduler(_message.Message):
    __slots__ = ("warmup_fraction", "decay", "decay_rate", "warmup_evaluations", "decay_steps", "staircase", "eta_min", "t_0", "t_mult", "reduce_on_plateau", "reduce_on_plateau_patience", "reduce_on_plateau_rate", "reduce_eval_metric", "reduce_eval_split")
    WARMUP_FRACTION_FIELD_NUMBER: _ClassVar[int]
    DECAY_FIELD_NUMBER: _ClassVar[int]
    DECAY_RATE_FIELD_NUMBER: _ClassVar[int]
    WARMUP_EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    DECAY_STEPS_FIELD_NUMBER: _ClassVar[int]
    STAIRCASE_FIELD_NUMBER: _ClassVar[int]
    ETA_MIN_FIELD_NUMBER: _ClassVar[int]
    T_0_FIELD_NUMBER: _ClassVar[int]
    T_MULT_FIELD_NUMBER: _ClassVar[int]
    REDUCE_ON_PLATEAU_FIELD_NUMBER: _ClassVar[int]
    REDUCE_ON_PLATEAU_PATIENCE_FIELD_NUMBER: _ClassVar[int]
    REDUCE_ON_PLATEAU_RATE_FIELD_NUMBER: _ClassVar[int]
    REDUCE_EVAL_METRIC_FIELD_NUMBER: _ClassVar[int]
    REDUCE_EVAL_SPLIT_FIELD_NUMBER: _ClassVar[int]
    warmup_fraction: float
    decay: str
    decay_rate: float
    warmup_evaluations: float
    decay_steps: int
    staircase: bool
    eta_min: float
    t_0: int
    t_mult: int
    reduce_on_plateau: int
    reduce_on_plateau_patience: int
    reduce_on_plateau_rate: float
    reduce_eval_metric: str
    reduce_eval_split: str
    def __init__(self, warmup_fraction: _Optional[float] = ..., decay: _Optional[str] = ..., decay_rate: _Optional[float] = ..., warmup_evaluations: _Optional[float] = ..., decay_steps: _Optional[int] = ..., staircase: bool = ..., eta_min: _Optional[float] = ..., t_0: _Optional[int] = ..., t_mult: _Optional[int] = ..., reduce_on_plateau: _Optional[int] = ..., reduce_on_plateau_patience: _Optional[int] = ..., reduce_on_plateau_rate: _Optional[float] = ..., reduce_eval_metric: _Optional[str] = ..., reduce_eval_split: _Optional[str] = ...) -> None: ...

class Optimizer(_message.Message):
    __slots__ = ("type", "weight_decay", "betas", "eps", "momentum", "nesterov", "amsgrad", "dampening", "rho", "initial_accumulator_value", "lr_decay", "alpha", "centered", "momentum_decay")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_DECAY_FIELD_NUMBER: _ClassVar[int]
    BETAS_FIELD_NUMBER: _ClassVar[int]
    EPS_FIELD_NUMBER: _ClassVar[int]
    MOMENTUM_FIELD_NUMBER: _ClassVar[int]
    NESTEROV_FIELD_NUMBER: _ClassVar[int]
    AMSGRAD_FIELD_NUMBER: _ClassVar[int]
    DAMPENING_FIELD_NUMBER: _ClassVar[int]
    RHO_FIELD_NUMBER: _ClassVar[int]
    INITIAL_ACCUMULATOR_VALUE_FIELD_NUMBER: _ClassVar[int]
    LR_DECAY_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    CENTERED_FIELD_NUMBER: _ClassVar[int]
    MOMENTUM_DECAY_FIELD_NUMBER: _ClassVar[int]
    type: str
    weight_decay: float
    betas: _containers.RepeatedScalarFieldContainer[float]
    eps: float
    momentum: float
    nesterov: bool
    amsgrad: bool
    dampening: float
    rho: float
    initial_accumulator_value: float
    lr_decay: float
    alpha: float
    centered: bool
    momentum_decay: float
    def __init__(self, type: _Optional[str] = ..., weight_decay: _Optional[float] = ..., betas: _Optional[_Iterable[float]] = ..., eps: _Optional[float] = ..., momentum: _Optional[float] = ..., nesterov: bool = ..., amsgrad: bool = ..., dampening: _Optional[float] = ..., rho: _Optional[float] = ..., initial_accumulator_value: _Optional[float] = ..., lr_decay: _Optional[float] = ..., alpha: _Optional[float] = ..., centered: bool = ..., momentum_decay: _Optional[float] = ...) -> None: ...

class GradientClipping(_message.Message):
    __slots__ = ("clipglobalnorm", "clipnorm", "clipvalue")
    CLIPGLOBALNORM_FIELD_NUMBER: _ClassVar[int]
    CLIPNORM_FIELD_NUMBER: _ClassVar[int]
    CLIPVALUE_FIELD_NUMBER: _ClassVar[int]
    clipglobalnorm: float
    clipnorm: float
    clipvalue: float
    def __init__(self, clipglobalnorm: _Optional[float] = ..., clipnorm: _Optional[float] = ..., clipvalue: _Optional[float] = ...) -> None: ...

class Backend(_message.Message):
    __slots__ = ("type", "trainer")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TRAINER_FIELD_NUMBER: _ClassVar[int]
    type: str
    trainer: BackendTrainer
    def __init__(self, type: _Optional[str] = ..., trainer: _Optional[_Union[BackendTrainer, _Mapping]] = ...) -> None: ...

class BackendTrainer(_message.Message):
    __slots__ = ("strategy", "num_workers", "use_gpu", "resources_per_worker", "min_workers", "activation_checkpointing", "cpu_offload", "image_workers", "zero_stage")
    class ResourcesPerWorkerEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    NUM_WORKERS_FIELD_NUMBER: _ClassVar[int]
    USE_GPU_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_PER_WORKER_FIELD_NUMBER: _ClassVar[int]
    MIN_WORKERS_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_CHECKPOINTING_FIELD_NUMBER: _ClassVar[int]
    CPU_OFFLOAD_FIELD_NUMBER: _ClassVar[int]
    IMAGE_WORKERS_FIELD_NUMBER: _ClassVar[int]
    ZERO_STAGE_FIELD_NUMBER: _ClassVar[int]
    strategy: str
    num_workers: int
    use_gpu: bool
    resources_per_worker: _containers.ScalarMap[str, float]
    min_workers: int
    activation_checkpointing: bool
    cpu_offload: bool
    image_workers: int
    zero_stage: int
    def __init__(self, strategy: _Optional[str] = ..., num_workers: _Optional[int] = ..., use_gpu: bool = ..., resources_per_worker: _Optional[_Mapping[str, float]] = ..., min_workers: _Optional[int] = ..., activation_checkpointing: bool = ..., cpu_offload: bool = ..., image_workers: _Optional[int] = ..., zero_stage: _Optional[int] = ...) -> None: ...

class GlobalPreprocessing(_message.Message):
    __slots__ = ("split", "sample_ratio", "sample_size", "oversample_minority", "undersample_majority")
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATIO_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_SIZE_FIELD_NUMBER: _ClassVar[int]
    OVERSAMPLE_MINORITY_FIELD_NUMBER: _ClassVar[int]
    UNDERSAMPLE_MAJORITY_FIELD_NUMBER: _ClassVar[int]
    split: Split
    sample_ratio: float
    sample_size: int
    oversample_minority: float
    undersample_majority: float
    def __init__(self, split: _Optional[_Union[Split, _Mapping]] = ..., sample_ratio: _Optional[float] = ..., sample_size: _Optional[int] = ..., oversample_minority: _Optional[float] = ..., undersample_majority: _Optional[float] = ...) -> None: ...

class Split(_message.Message):
    __slots__ = ("type", "probabilities", "column")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    type: str
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    column: str
    def __init__(self, type: _Optional[str] = ..., probabilities: _Optional[_Iterable[float]] = ..., column: _Optional[str] = ...) -> None: ...
