"""Why calls and jobs fail, and what jobs warn of: words for programs, each with its meaning (docs/errors.md)."""

from enum import StrEnum
from typing import Self


class _Meaning(StrEnum):
    """A word, and what it means."""

    meaning: str

    def __new__(cls, word: str, meaning: str) -> Self:
        """Makes one."""
        found = str.__new__(cls, word)
        found._value_, found.meaning = word, meaning
        return found


class Reason(_Meaning):
    """Of an error: `ErrorInfo.reason`, and `JobError.reason`."""

    INVALID_INPUT = "INVALID_INPUT", "The request, spec or data is wrong; the violations name field, value and fix."
    UNREADABLE_REQUEST = "UNREADABLE_REQUEST", "The body of the request is no message of its method."
    UNKNOWN_ENCODER = "UNKNOWN_ENCODER", "No encoder has this type."
    UNKNOWN_MODEL = "UNKNOWN_MODEL", "No pretrained weights have this name here."
    NO_TEXT_ENCODER = "NO_TEXT_ENCODER", "The model reads no text alone, or cannot be used as an encoder."
    NO_TOKENIZER = "NO_TOKENIZER", "The model's folder lacks a tokenizer that can be read."
    WRONG_WEIGHTS = "WRONG_WEIGHTS", "The weights are not of this architecture, or not finite."
    WRONG_DIGEST = "WRONG_DIGEST", "The weights are not the bytes that their name promises."
    UNSAFE_WEIGHTS = "UNSAFE_WEIGHTS", "The weights would run code when they are read."
    RAY_NOT_INSTALLED = "RAY_NOT_INSTALLED", "The spec asks for Ray, which the server lacks."
    DEEPSPEED_NOT_INSTALLED = "DEEPSPEED_NOT_INSTALLED", "The spec asks for DeepSpeed, which the server lacks."
    MISSING_COLUMN = "MISSING_COLUMN", "The data lacks a column that the spec or the model needs."
    BAD_CELL = "BAD_CELL", "A cell is no value of its column's type; the message names the row."
    BAD_COLUMN = "BAD_COLUMN", "A column as a whole cannot be used."
    BAD_DATA = "BAD_DATA", "Several columns cannot be used; the violations name them."
    ALL_MISSING = "ALL_MISSING", "A column has no value in any training row."
    ONE_CLASS_ONLY = "ONE_CLASS_ONLY", "An output has one label only, from which nothing is learned."
    UNKNOWN_LABEL = "UNKNOWN_LABEL", "The spec names a label that the data lacks."
    UNSEEN_LABEL = "UNSEEN_LABEL", "Validation or test rows have a label that no training row has."
    NO_REPEATED_LABEL = "NO_REPEATED_LABEL", "No label of an output occurs twice: nothing can be learned of it."
    NO_ROWS = "NO_ROWS", "A part of the split has no row left."
    EMPTY_DATA = "EMPTY_DATA", "The file has no row."
    UNREADABLE_DATA = "UNREADABLE_DATA", "The file is not of its format, or holds what cannot be read."
    TOO_LARGE = "TOO_LARGE", "The input is above a size limit."
    TOO_LARGE_TO_PLAN = "TOO_LARGE_TO_PLAN", "The data is larger than what is read for a plan; a job reads it."
    TOO_MANY_COLUMNS = "TOO_MANY_COLUMNS", "The table has more columns than can be trained on."
    EXPANDS_TOO_FAR = "EXPANDS_TOO_FAR", "The file expands to far more than its size."
    BOMB = "BOMB", "A member of the archive expands to far more than its size."
    UNSAFE_ARCHIVE = "UNSAFE_ARCHIVE", "A member of the archive has a name that leads outside it."
    MISSING_TABLE = "MISSING_TABLE", "The archive or folder lacks the table that is named, or has several."
    MIXED_FOLDERS = "MIXED_FOLDERS", "Some images lie in folders of parts and classes, others do not."
    BAD_NAME = "BAD_NAME", "A file has a name that is not UTF-8."
    BAD_IMAGE = "BAD_IMAGE", "An image cannot be read; the message names the row."
    PATH_OUTSIDE_ROOT = "PATH_OUTSIDE_ROOT", "A path leaves the configured root."
    DATA_NOT_HERE = "DATA_NOT_HERE", "A job's data is not on the machine that needs it."
    NOT_FOUND = "NOT_FOUND", "The resource does not exist."
    ALREADY_EXISTS = "ALREADY_EXISTS", "The name is taken by something else."
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED", "The request id was used with another body."
    UNAUTHENTICATED = "UNAUTHENTICATED", "Credentials are missing, unknown, over, or not meant for this server."
    KEYS_UNAVAILABLE = "KEYS_UNAVAILABLE", "The keys of the issuer of tokens cannot be fetched; try again."
    PERMISSION_DENIED = "PERMISSION_DENIED", "The caller lacks the scope."
    FAILED_PRECONDITION = "FAILED_PRECONDITION", "The resource is not in a state for this."
    OUT_OF_RANGE = "OUT_OF_RANGE", "The offset lies past the end."
    EVENTS_EXPIRED = "EVENTS_EXPIRED", "Events of the job from that point on are no longer kept."
    IN_USE = "IN_USE", "Another server works with this state directory or database."
    OVERLOADED = "OVERLOADED", "Too much waits already; try again after the delay of RetryInfo."
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED", "The tenant has used up one of its quotas; the message names it."
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED", "The call's deadline passed; what it asked for is not computed any more."
    STOPPING = "STOPPING", "The server is stopping; try again when it is back."
    DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE", "The job database does not answer; try again."
    CANCELLED = "CANCELLED", "The job or call was asked to stop."
    PAUSED = "PAUSED", "The job was asked to pause."
    TRAINING_FAILED = "TRAINING_FAILED", "The training cannot go on; the message says why."
    NON_FINITE_LOSS = "NON_FINITE_LOSS", "The training loss became infinite or no number."
    NON_FINITE_EMBEDDING = "NON_FINITE_EMBEDDING", "The encoder overflows in this precision."
    OUT_OF_MEMORY = "OUT_OF_MEMORY", "Memory ran out."
    STORE_CORRUPT = "STORE_CORRUPT", "Stored embeddings stay unreadable: check the disk."
    STRATEGY_UNSUITED = "STRATEGY_UNSUITED", "The encoder cannot be trained by this strategy."
    NO_GPU = "NO_GPU", "A worker was given a GPU that torch cannot use."
    NO_CLUSTER = "NO_CLUSTER", "The Ray cluster cannot be reached or used."
    CLUSTER_TOO_SMALL = "CLUSTER_TOO_SMALL", "The Ray cluster will never have room for the workers."
    NODE_UNFIT = "NODE_UNFIT", "A node of the Ray cluster cannot run Headstart."
    VERSIONS_DIFFER = "VERSIONS_DIFFER", "A machine of the cluster has another version of Headstart."
    WORKERS_DISAGREE = "WORKERS_DISAGREE", "Workers hold other parameters, or have read other rows, than the rest."
    WORKERS_FAILED = "WORKERS_FAILED", "The workers failed again and again."
    WORKER_DIED = "WORKER_DIED", "The process that trained was killed or crashed, again and again."
    WORKER_HUNG = "WORKER_HUNG", "The process that trained showed no sign of life, again and again."
    NOT_EXPORTABLE = "NOT_EXPORTABLE", "The format cannot hold the model; the message says what can."
    PARITY = "PARITY", "The export answered otherwise than the live model, and was not published."
    EXPORT_DIED = "EXPORT_DIED", "The process that exported was killed or crashed."
    UNKNOWN_HEAD = "UNKNOWN_HEAD", "The model is of a later version."
    DISK_FULL = "DISK_FULL", "No room is left on the disk of the state directory."
    STORAGE_UNAVAILABLE = "STORAGE_UNAVAILABLE", "The shared storage cannot be reached; try again."
    DATA_LOSS = "DATA_LOSS", "Files of the state directory are not what was written."
    BAD_DATABASE = "BAD_DATABASE", "The job database cannot be used."
    CANNOT_LISTEN = "CANNOT_LISTEN", "The address is taken, or the certificate cannot be used."
    BAD_CREDENTIALS_FILE = "BAD_CREDENTIALS_FILE", "The token file or the file of keys cannot be used."
    INTERNAL = "INTERNAL", "The server failed; its log has the details."


class Notice(_Meaning):
    """Of a warning: `JobWarning.reason`."""

    SPELLING = "SPELLING", "A key was read otherwise than it is written, or has no effect."
    ROWS_DROPPED = "ROWS_DROPPED", "Rows with missing cells are left out."
    LABELS_KEPT_IN_TRAINING = "LABELS_KEPT_IN_TRAINING", "Rows were moved to training, which had none of their label."
    BAD_IMAGES = "BAD_IMAGES", "Images that cannot be read were dropped or replaced."
    VALIDATION_METRIC_UNDEFINED = (
        "VALIDATION_METRIC_UNDEFINED",
        "The validation rows do not define the metric; the loss takes its place.",
    )
    PLATEAU_METRIC_UNDEFINED = "PLATEAU_METRIC_UNDEFINED", "The rate will not be reduced: no row defines the metric."
    TEST_METRICS_APPROXIMATE = "TEST_METRICS_APPROXIMATE", "Some test rows are not measured as Predict answers them."
    LEARNING_RATE_SCALED = "LEARNING_RATE_SCALED", "The learning rate was scaled with the number of workers."
    EPOCHS_WITHOUT_EFFECT = "EPOCHS_WITHOUT_EFFECT", "`train_steps` ends the training before its epochs."
    MIXED_PRECISION_NOT_FASTER = "MIXED_PRECISION_NOT_FASTER", "The device does no half precision fast."
    NO_COMPILER = "NO_COMPILER", "The encoder is not compiled: the machine lacks a compiler."
    HOROVOD = "HOROVOD", "The job trains by torch's DDP in place of Horovod."
    WAITING_FOR_RESOURCES = "WAITING_FOR_RESOURCES", "The job waits until the cluster has room."
    RESUMED = "RESUMED", "The training goes on from a checkpoint."
    WORKER_RESTARTED = "WORKER_RESTARTED", "The process that trained died or hung; the job goes on in another."
    MEMORY_RAN_OUT = "MEMORY_RAN_OUT", "Memory ran out; the job goes on with half as many rows per pass."
    STORAGE_AWAY = "STORAGE_AWAY", "The disk was full or the shared storage away; the job goes on once that is over."
    SERVER_LOST = "SERVER_LOST", "The server that ran the job is gone; the job goes on."
