"""Spellings of the trainer."""

from __future__ import annotations

from headstart_server.spec.ludwig.rewriting import Reading, Section, Spelling, as_type, moved_to, without_effect


def _validation_field(section: Section, path: str, reading: Reading) -> None:
    trainer, outputs = section["trainer"], section.get("output_features")
    if not isinstance(trainer, dict) or "validation_field" not in trainer:
        return
    path = f"{path}.validation_field"
    output, metric = trainer.pop("validation_field"), trainer.get("validation_metric")
    if output in (None, "combined", "auto"):
        return
    if not isinstance(output, str) or not isinstance(metric, str | None):
        reading.refuse(path, "must be the name of an output")
    elif metric not in (None, "auto", "loss"):
        trainer["validation_metric"] = f"{output}.{metric}"
        reading.note(path, f"read as validation_metric: {output}.{metric}"[:300])
    elif not isinstance(outputs, list) or len(outputs) != 1:
        reading.refuse(path, "needs a validation_metric that is not the loss: that is taken of all outputs together")


TRAINER_SPELLINGS: tuple[Spelling, ...] = (
    Spelling("", "training", "`trainer`", moved_to("", "trainer"), "0.5"),
    Spelling("trainer", "optimizer", "a word is its `type`", as_type("optimizer")),
    Spelling(
        "",
        "trainer",
        "`validation_field`: `validation_metric: field.metric`; of one output, its loss",
        _validation_field,
    ),
    Spelling(
        "trainer", "bucketing_field", "no effect", without_effect("batches are grouped by length automatically"), "0.7"
    ),
    Spelling("trainer", "should_shuffle", "no effect if true", without_effect("rows are shuffled in each epoch", True)),
    Spelling(
        "trainer",
        "enable_gradient_checkpointing",
        "no effect; memory only",
        without_effect("it saves memory and changes no result; on Ray, set backend.trainer.activation_checkpointing"),
    ),
    *(
        Spelling(
            "trainer", key, "no effect at the value that switches it off", without_effect("it is switched off", *off)
        )
        for key, off in (
            ("increase_batch_size_on_plateau", (0, None)),
            ("reduce_on_plateau", (0, None)),
            ("regularization_lambda", (0, 0.0)),
            ("regularization_type", (None,)),
            ("train_steps", (None,)),
            ("steps_per_checkpoint", (0,)),
            ("checkpoints_per_epoch", (0, 1)),
        )
    ),
    *(
        Spelling(
            "trainer.learning_rate_scheduler", key, "no effect if 0", without_effect("it is switched off", 0, None)
        )
        for key in ("reduce_on_plateau", "warmup_evaluations")
    ),
)
