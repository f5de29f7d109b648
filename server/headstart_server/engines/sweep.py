"""Tries a spec with other settings, on rows that are prepared and encoded once, and tells which did best."""

import json
import math
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import structlog
import torch

from headstart_server.core.errors import (
    CancelledError,
    HeadstartError,
    InvalidInputError,
    PausedError,
    StorageError,
    StoreFullError,
    TrainingFailedError,
    UnavailableError,
)
from headstart_server.core.memory import ran_out_of_memory
from headstart_server.core.states import State
from headstart_server.data.parts import Part
from headstart_server.data.sampling import groups_of
from headstart_server.engines.encoder_costs import EncoderTimes, encoder_bytes
from headstart_server.engines.events import EncodeReport, JobEvent, StateChange
from headstart_server.engines.fitting import Fitting
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.listener import Listener
from headstart_server.engines.preparing import Prepared, prepare_job, scratch_of, stored_inputs
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.engines.stored_inputs import StoredInput
from headstart_server.engines.trials import Board, TrialRecords, TrialReport
from headstart_server.engines.tried import Fold, Tried
from headstart_server.planning.job_plan import replanned
from headstart_server.planning.sweep import rows_key, sweep_metric
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.sweep import MOST_TRIALS
from headstart_server.spec.sweep_trials import DEFAULT_TRIALS, Trial, base_of, search_of, trial_spec, trials_of
from headstart_server.training.standard_errors import of_share

_log = structlog.get_logger()
_SHARES = (1 / 9, 1 / 3, 1.0)
"""Of the training rows, round by round of successive halving; a third of the trials comes to the next."""
_LEAST_ROWS = 200
_LEAST_HELD, _MOST_HELD, _MOST_HELD_BYTES = 4, 64, 1 << 30
"""Kinds of rows whose arrays and embeddings are in memory together: some, and more while these are small."""


class _TimeIsOverError(Exception):
    """A trial was under way when the sweep's seconds were over."""


_OF_THE_JOB = (CancelledError, PausedError, StoreFullError, StorageError, UnavailableError, _TimeIsOverError)
"""What ends more than one trial: the job stops, or waits until it is mended."""


class _Within:
    """Of what a trial reports, what the job is to know; and whether it is to stop."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.until = math.inf
        """When a trial ends that is under way, of time.monotonic."""

    def report(self, event: JobEvent) -> None:
        """Passes the progress of embedding passes on."""
        if isinstance(event, EncodeReport):
            self._listener.report(event)

    def check(self) -> None:
        """See Listener."""
        self._listener.check()
        if time.monotonic() > self.until:
            raise _TimeIsOverError

    def stopping(self) -> bool:
        """A trial has no checkpoint."""
        return False


class Sweep:
    """The sweep of one job."""

    def __init__(self, job: JobContext, runtime: RuntimeContext, listener: Listener) -> None:
        self._job, self._runtime, self._listener = job, runtime, listener
        self._within, self._metric = _Within(listener), sweep_metric(job.spec)
        self._rows: dict[str, Prepared] = {}
        self._stored: dict[str, dict[str, StoredInput]] = {}
        self._board, self._until, self._bounded = Board(), math.inf, False
        self._common: npt.NDArray[np.bool_] | None = None
        """By row, whether all trials have it, as far as is known."""
        self._encoder_times = EncoderTimes(runtime, self._within, scratch_of(job, runtime) / "encoder_times.json")
        self._records = TrialRecords(runtime.storage.job_file(job.identifier, "trials.jsonl"))
        self._winner = runtime.storage.job_file(job.identifier, "winner.json")

    def best(self) -> TrainSpec:
        """The base spec with the settings that did best. Raises TrainingFailedError where no trial could be trained."""
        spec = self._job.spec
        base = self._prepared(base_of(spec))
        base.report(self._listener)
        self._keep_common(base)
        # of an attempt that came so far: its training has begun, and times differ from attempt to attempt
        if texts := list(self._winner.texts()):
            return trial_spec(base_of(spec), json.loads(texts[0])["parameters"])[1]
        search = search_of(spec)
        trials: Iterable[Trial] = trials_of(spec, search)
        if spec.sweep.search != "tpe":  # which learns from one trial what the next is
            trials = list(trials)
            self._fill(trials)
        self._until = time.monotonic() + (spec.sweep.seconds or math.inf)
        self._listener.report(StateChange(State.TRAINING))
        shares = self._shares(base.plan.rows(Part.TRAIN))
        tried: dict[int, Trial] = {}
        with suppress(_TimeIsOverError):
            for trial in trials:
                if tried and time.monotonic() > self._until:
                    break
                report = self._try(trial, shares[0])
                tried[trial.number] = trial
                if report.value is not None:  # one trial is trained whatever time it takes
                    self._bounded = True
                search.tell(report.score if report.value is not None else None)
        alive = list(tried.values())
        for share in shares[1:]:
            alive = self._go_on(alive, share)
        first = self._board.ranked()[0]
        if first.value is None:
            message = f"none of {len(tried)} trials could be trained; trial {first.number}: {first.failure}"
            raise TrainingFailedError(message, field="sweep")
        self._winner.write(json.dumps({"parameters": dict(first.parameters)}))
        return tried[first.number].spec

    def _fill(self, trials: Iterable[Trial]) -> None:
        """Encodes what the store lacks for any of the trials; of one that cannot be prepared its own turn says why."""
        self._listener.report(StateChange(State.ENCODING))
        for spec in {rows_key(trial.spec): trial.spec for trial in trials}.values():
            with suppress(InvalidInputError, TrainingFailedError):
                self._embeddings(spec)
                self._keep_common(self._prepared(spec))

    def _go_on(self, trials: list[Trial], share: float) -> list[Trial]:
        """The best third of the trials that could be trained, tried on more rows; all of them where time is over."""
        by_number = {trial.number: trial for trial in trials}
        known = [each for each in self._board.ranked() if each.number in by_number and each.value is not None]
        kept = [by_number[each.number] for each in known[: -(-len(known) // 3)]]
        try:
            for trial in kept:
                self._require_time()
                self._try(trial, share)
        except _TimeIsOverError:
            return trials
        return kept

    def _shares(self, rows: int) -> tuple[float, ...]:
        if not self._job.spec.sweep.halving:
            return (1.0,)
        return tuple(share for share in _SHARES if share == 1.0 or share * rows >= _LEAST_ROWS)

    def _try(self, trial: Trial, share: float) -> TrialReport:
        """Trains a trial and reports it, unless an earlier attempt of the job has done so."""
        self._listener.check()
        if self._listener.stopping():
            raise PausedError("the job was paused between two trials")
        report = self._records.find(trial.number, trial.parameters, share)
        if report is not None:
            self._until -= report.seconds
        else:
            report = self._tried(trial, share)
            self._listener.report(report)
            self._records.add(report, share)
        self._board.add(report)
        return report

    def _tried(self, trial: Trial, share: float) -> TrialReport:
        """What a trial comes to; one that fails says why."""
        report = TrialReport(trial.number, self._most, trial.parameters, self._metric, share=share)
        started = time.perf_counter()
        try:
            # not of the time of trials, as what is encoded before them
            prepared, stored = self._prepared(trial.spec), self._embeddings(trial.spec)
            encoder_seconds = self._encoder_times.seconds(prepared) if self._encoders_differ else None
            self._until += time.perf_counter() - started
            started = time.perf_counter()
            self._within.until = self._until if self._bounded else math.inf
            plan = replanned(prepared.plan, trial.spec, self._runtime.device.type)
            plan = replace(plan, trainer=replace(plan.trainer, checkpoint=False))
            fitting = Fitting(replace(prepared, plan=plan), stored, self._runtime, self._within)
            tried = self._crossed(fitting, share)
        except _OF_THE_JOB:
            raise
        except HeadstartError as error:
            return replace(report, failure=error.message, seconds=time.perf_counter() - started)
        except Exception as error:
            if ran_out_of_memory(error):
                raise
            _log.exception("a trial failed unexpectedly", trial=trial.number)
            failure = f"it failed unexpectedly ({type(error).__name__}); the server's log has the details"
            return replace(report, failure=failure, seconds=time.perf_counter() - started)
        finally:
            self._within.until = math.inf
        value = tried.metrics.get(self._metric)
        return replace(
            report,
            value=value,
            standard_error=self._standard_error(value, tried),
            train_rows=tried.train_rows,
            epochs=tried.epochs,
            head_seconds=tried.head_seconds,
            size_bytes=tried.size_bytes,
            encoder_seconds=encoder_seconds,
            encoder_bytes=encoder_bytes(prepared),
            failure="" if value is not None else f"the rows that trials are compared on do not define {self._metric}",
            seconds=time.perf_counter() - started,
        )

    def _crossed(self, fitting: Fitting, share: float) -> Tried:
        """A trial as it is compared: on the validation rows, or on those that each fold leaves out."""
        folds = self._job.spec.sweep.folds
        common = torch.from_numpy(np.flatnonzero(self._common)) if self._common is not None else None
        if folds is None:
            return fitting.try_out(share, None, common)
        parts = (Fold(number, folds, self._groups) for number in range(folds))
        return Tried.crossed([fitting.try_out(share, fold, common) for fold in parts])

    def _keep_common(self, prepared: Prepared) -> None:
        """Takes note of rows that trials leave out, such as those that lack a cell of an input that others do without:
        trials are compared on the same rows."""
        if any(path.startswith("preprocessing.") for path in self._job.spec.sweep.parameters):
            return  # each draws rows of its own
        parts = prepared.plan.data.parts
        common = parts != Part.DROPPED if self._common is None else self._common & (parts != Part.DROPPED)
        if common[parts == Part.VALIDATION].any():
            self._common = common

    @cached_property
    def _groups(self) -> npt.NDArray[np.int64] | None:
        """By row, where the split keeps rows with the same value of a column together."""
        split = self._job.spec.preprocessing.split
        if split.type != "hash" or split.column is None:
            return None
        return groups_of(split.column, self._job.sources)

    def _require_time(self) -> None:
        """Raises _TimeIsOverError where the sweep's seconds are over."""
        if self._bounded and time.monotonic() > self._until:
            raise _TimeIsOverError

    @property
    def _encoders_differ(self) -> bool:
        """Whether trials may read their rows with other encoders, or in another way."""
        return any(path.startswith(("input_features", "defaults")) for path in self._job.spec.sweep.parameters)

    @property
    def _most(self) -> int:
        sweep = self._job.spec.sweep
        if sweep.search != "grid":
            return sweep.trials or DEFAULT_TRIALS
        return min(sweep.trials or MOST_TRIALS, math.prod(len(each.choices) for each in sweep.parameters.values()))

    def _standard_error(self, value: float | None, tried: Tried) -> float | None:
        if value is None:
            return None
        counted = of_share(self._metric.rpartition(".")[2], value, tried.compared_rows)
        return tried.standard_errors.get(self._metric) if counted is None else counted

    def _prepared(self, spec: TrainSpec) -> Prepared:
        """Its rows, made once of specs that make the same of them, one after the other."""
        key = rows_key(spec)
        if key not in self._rows:
            self._make_room()
            self._rows[key] = prepare_job(replace(self._job, spec=spec), self._runtime, self._within)
        return self._rows[key]

    def _embeddings(self, spec: TrainSpec) -> dict[str, StoredInput]:
        """What is stored of its inputs, filled and gathered once for specs alike."""
        key = rows_key(spec)
        if key not in self._stored:
            self._make_room()
            self._stored[key] = stored_inputs(self._prepared(spec), self._runtime, self._within)
        return self._stored[key]

    def _make_room(self) -> None:
        """Drops what was made first, where much is held: the store has the embeddings, and rows are soon read again."""
        for kept in (self._rows, self._stored):
            while len(kept) >= _LEAST_HELD and (len(kept) >= _MOST_HELD or self._held_bytes > _MOST_HELD_BYTES):
                del kept[next(iter(kept))]

    @property
    def _held_bytes(self) -> int:
        values = sum(array.nbytes for prepared in self._rows.values() for array in prepared.plan.data.arrays.values())
        return values + sum(stored.size_bytes for inputs in self._stored.values() for stored in inputs.values())
