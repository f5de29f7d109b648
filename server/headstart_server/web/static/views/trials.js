// The trials of a sweep: what was tried, what it came to, and which are worth having.

import { dataTable, scrolling } from "../charts/figure.js";
import { h } from "../dom.js";
import { bytes, count, duration, measure } from "../format.js";

const SHOWN = 100;

/** The section of a run's trials, as RunState ranks them. */
export function trialsSection(trials, most) {
  const [first] = trials;
  const encoders = trials.some((trial) => trial.encoderSeconds !== undefined);
  const rows = trials.slice(0, SHOWN).map((trial, index) => [
    count(trial.number),
    trial.failure ? h("span", { class: "muted" }, `failed: ${trial.failure}`) : worth(trial, index === 0),
    h("code", null, settings(trial)),
    count(trial.trainRows),
    duration(trial.seconds),
    milliseconds(trial.headSeconds),
    trial.failure ? "" : bytes(trial.sizeBytes),
    ...(encoders ? [milliseconds(trial.encoderSeconds), trial.failure ? "" : bytes(trial.encoderBytes)] : []),
  ]);
  const columns = ["Trial", first.metric, "Settings", "Training rows", "Time", "Head, one row", "Size"];
  if (encoders) columns.push("Encoders, one row", "Their size");
  const caption = `${count(trials.length)} of ${count(most)} trials, the best first${trials.length > SHOWN ? `; ${SHOWN} are shown` : ""}`;
  return h(
    "section",
    { "aria-labelledby": "trials" },
    h("h2", { id: "trials" }, "Trials"),
    scrolling(dataTable(caption, columns, rows), "Trials"),
  );
}

function milliseconds(seconds) {
  return seconds === undefined ? "" : `${measure(1000 * seconds)} ms`;
}

function worth(trial, best) {
  const error = trial.standardError === undefined ? "" : ` ± ${measure(trial.standardError)}`;
  const text = `${measure(trial.value)}${error}`;
  return best ? h("strong", null, `${text} (best so far)`) : text;
}

/** `model_type: gbm, trainer.learning_rate: 0.01`. */
export function settings(trial) {
  const pairs = Object.entries(trial.parameters ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return pairs.length
    ? pairs.map(([path, value]) => `${path}: ${typeof value === "number" ? measure(value) : JSON.stringify(value)}`).join(", ")
    : "as given";
}
