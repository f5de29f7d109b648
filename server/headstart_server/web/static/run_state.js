// What a job's events say, added up. Pure: events in, values out.

import { number } from "./format.js";

const SMALLER_IS_BETTER = /(^|\.)(loss|mean_squared_error|mean_absolute_error|root_mean_squared_error)$/;
const TERMINAL = new Set(["STATE_SUCCEEDED", "STATE_FAILED", "STATE_CANCELLED"]);

/** Whether a state of a job is its last. */
export function isTerminal(state) {
  return TERMINAL.has(state);
}

/** The run of one job. Every event is applied once, in order; events of a log that was replayed give the same run. */
export class RunState {
  constructor() {
    this.sequence = 0;
    /** Milliseconds at which the last event was stored. */
    this.time = Number.NaN;
    this.state = "";
    /** States with the milliseconds at which they were entered, in order. */
    this.phases = [];
    this.error = null;
    /** EncodeProgress by feature; the second reading of test rows is a pass of its own. */
    this.passes = new Map();
    /** By optimizer step, ascending. A step that is taken again after a resumption replaces what it was. */
    this.steps = { step: [], loss: [], learningRate: [], rowsPerSecond: [] };
    this.lastStep = null;
    /** EpochMetrics by evaluation. One that is told again is the same one. */
    this.byEvaluation = new Map();
    /** Epochs done and milliseconds, at the first evaluation that was applied and at the last. */
    this.pace = null;
    this.warnings = [];
    this.values = [];
    this.rows = null;
    this.model = "";
    this.published = null;
    /** OutputEvaluation by output. */
    this.outputs = [];
    /** Trial of a sweep by number; one that is told again, or of a later round, takes the place of what it was. */
    this.byTrial = new Map();
    /** How many trials there will be at most. */
    this.trialCount = 0;
  }

  /** Adds one TrainJobEvent, as protobuf's JSON has it. */
  apply(event) {
    this.sequence = number(event.sequence);
    this.time = Date.parse(event.time);
    if (event.stateChange) this.#enter(event.stateChange);
    else if (event.encodeProgress) this.#encode(event.encodeProgress);
    else if (event.stepProgress) this.#step(event.stepProgress);
    else if (event.epochFinished) this.#evaluate(event.epochFinished);
    else if (event.warning) this.#warn(event.warning);
    else if (event.specResolved) this.#resolve(event.specResolved);
    else if (event.modelPublished) this.#publish(event.modelPublished);
    else if (event.modelEvaluated) this.outputs = event.modelEvaluated.outputs ?? [];
    else if (event.trialFinished) this.#try(event.trialFinished);
  }

  /** Evaluations in their order. */
  get evaluations() {
    return [...this.byEvaluation.entries()].sort(([a], [b]) => a - b).map(([, metrics]) => metrics);
  }

  /** Trials of a sweep, the best first: those that learned from most rows before others, and failed ones last. */
  get trials() {
    const known = ({ value }) => value !== undefined;
    const better = (a, b) => (SMALLER_IS_BETTER.test(a.metric) ? a.value - b.value : b.value - a.value);
    return [...this.byTrial.values()].sort((a, b) => {
      if (known(a) !== known(b)) return known(a) ? -1 : 1;
      const rows = number(b.trainRows) - number(a.trainRows);
      return rows || (known(a) ? better(a, b) : 0) || number(a.number) - number(b.number);
    });
  }

  /** The best evaluation so far, or null. */
  get best() {
    return this.evaluations.findLast((metrics) => metrics.best) ?? null;
  }

  /** Whether the job has ended. */
  get ended() {
    return isTerminal(this.state);
  }

  /** Names of metrics, `loss` first, then as they came. */
  get metricNames() {
    const names = new Set();
    for (const metrics of this.byEvaluation.values()) {
      for (const part of ["train", "validation", "test"])
        Object.keys(metrics[part] ?? {}).forEach((name) => names.add(name));
    }
    const rest = [...names].filter((name) => name !== "loss").sort();
    return names.has("loss") ? ["loss", ...rest] : rest;
  }

  /** Progress of the present phase: part (0 to 1) and seconds left, each null where it is unknown. */
  get progress() {
    if (this.state === "STATE_TRAINING" && this.lastStep) {
      const { step, totalSteps, etaSeconds } = this.lastStep;
      return { part: number(step) / Math.max(1, number(totalSteps)), left: number(etaSeconds) };
    }
    if (this.state === "STATE_TRAINING" && this.byTrial.size && !this.byEvaluation.size)
      return { part: Math.min(1, this.byTrial.size / Math.max(1, this.trialCount)), left: null };
    if (this.state === "STATE_TRAINING") return this.#progressByEpochs();
    if (this.state === "STATE_ENCODING" && this.passes.size) {
      const passes = [...this.passes.values()];
      const sum = (field) => passes.reduce((total, item) => total + number(item[field]), 0);
      return { part: sum("rowsSeen") / Math.max(1, sum("rowsTotal")), left: number(passes.at(-1).etaSeconds) };
    }
    return { part: this.ended ? 1 : null, left: null };
  }

  /** Of short epochs there are many between two reports of steps, and the end of a log may hold none. */
  #progressByEpochs() {
    const total = Number(this.values.find(({ path }) => path === "trainer.epochs")?.value);
    if (!this.pace || !(total > 0)) return { part: null, left: null };
    const { first, last } = this.pace;
    const each = (last.time - first.time) / 1000 / (last.epochs - first.epochs);
    return { part: last.epochs / total, left: Number.isFinite(each) ? (total - last.epochs) * each : null };
  }

  #try({ trial, trials }) {
    this.byTrial.set(number(trial.number), trial);
    this.trialCount = number(trials);
  }

  #enter(change) {
    this.state = change.state;
    this.phases.push({ state: change.state, time: this.time });
    this.error = change.error ?? null;
  }

  #encode(progress) {
    const key = `${progress.feature ?? ""}${progress.testRowsAgain ? " again" : ""}`;
    this.passes.delete(key);
    this.passes.set(key, progress);
  }

  #step(progress) {
    this.lastStep = progress;
    const { step: known } = this.steps;
    const step = number(progress.step);
    const place = known.length && known.at(-1) >= step ? firstAtLeast(known, step) : known.length;
    const again = known[place] === step ? 1 : 0;
    known.splice(place, again, step);
    for (const name of ["loss", "learningRate", "rowsPerSecond"]) {
      this.steps[name].splice(place, again, number(progress[name]));
    }
  }

  #evaluate(metrics) {
    this.byEvaluation.set(metrics.evaluation || metrics.epoch, metrics);
    const last = { epochs: number(metrics.epochs) || number(metrics.epoch), time: this.time };
    this.pace = { first: this.pace?.first ?? last, last };
  }

  #warn(warning) {
    const known = (other) => other.reason === warning.reason && other.message === warning.message;
    if (!this.warnings.some(known)) this.warnings.push(warning);
  }

  #resolve(resolved) {
    this.values = resolved.values ?? [];
    const { trainRows, validationRows, testRows } = resolved;
    this.rows = { train: number(trainRows), validation: number(validationRows), test: number(testRows) };
  }

  #publish(published) {
    this.model = published.model;
    this.published = published.bestEpoch ?? null;
  }
}

function firstAtLeast(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
