// What jobs are called, and what is said of their states, metrics and errors, the same in every view.

import { h } from "../dom.js";
import { counted, idOf, number, snake } from "../format.js";

const STATES = {
  STATE_QUEUED: { text: "Queued", tone: "idle" },
  STATE_PREPARING: { text: "Preparing", tone: "busy" },
  STATE_ENCODING: { text: "Encoding", tone: "busy" },
  STATE_TRAINING: { text: "Training", tone: "busy" },
  STATE_PUBLISHING: { text: "Publishing", tone: "busy" },
  STATE_PAUSING: { text: "Pausing", tone: "idle" },
  STATE_PAUSED: { text: "Paused", tone: "idle" },
  STATE_CANCELLING: { text: "Cancelling", tone: "idle" },
  STATE_SUCCEEDED: { text: "Succeeded", tone: "good" },
  STATE_FAILED: { text: "Failed", tone: "bad" },
  STATE_CANCELLED: { text: "Cancelled", tone: "idle" },
};
const LOWER_IS_BETTER =
  /(^|\.)(loss|mean_squared_error|mean_absolute_error|root_mean_squared_error|rmse|mae|mse|perplexity)$/;
const PREFERRED = ["accuracy", "r2", "jaccard", "roc_auc", "mean_absolute_error", "mean_squared_error", "loss"];

/** States of jobs that have not ended. */
export const ACTIVE = [
  "STATE_QUEUED",
  "STATE_PREPARING",
  "STATE_ENCODING",
  "STATE_TRAINING",
  "STATE_PUBLISHING",
  "STATE_PAUSING",
  "STATE_PAUSED",
  "STATE_CANCELLING",
];

/** `Training` of `STATE_TRAINING`. */
export function stateText(state) {
  return STATES[state]?.text ?? "Unknown";
}

/** A state with its colour; the word says it, too. */
export function stateBadge(state) {
  return h("span", { class: `badge ${STATES[state]?.tone ?? "idle"}` }, stateText(state));
}

/** What people call a job or a model: its display name, else its id. */
export function nameOf({ displayName, name }) {
  return displayName || idOf(name);
}

/** Whether less of a metric is better. */
export function lowerIsBetter(name) {
  return LOWER_IS_BETTER.test(name);
}

/** Names of metrics but those that say the same as another: with one output, its loss is the loss. */
export function distinctMetrics(names) {
  const losses = names.filter((name) => name.endsWith(".loss"));
  return losses.length === 1 && names.includes("loss") ? names.filter((name) => name !== losses[0]) : names;
}

/** The metric that a job is judged by: what its best epoch is chosen by, but for the loss; else the best known of its
 * first output. Lists have no specs. */
export function mainMetric(spec, names, wanted = spec?.trainer?.validationMetric) {
  const asked = names.find((name) => name === wanted || (wanted !== "loss" && name.endsWith(`.${wanted}`)));
  if (asked && asked !== "loss") return asked;
  const outputs = (spec?.outputFeatures ?? []).map(({ name }) => name);
  const choices = outputs.length
    ? outputs.flatMap((output) => PREFERRED.map((metric) => `${output}.${metric}`))
    : PREFERRED.map((metric) => names.find((name) => name.endsWith(`.${metric}`)));
  return choices.find((name) => names.includes(name)) ?? (names.includes("loss") ? "loss" : names[0]);
}

/** {name, value, part} of the best evaluation's main metric, or null; test rows count once the model is published. */
export function bestMetric(job, published = Boolean(job.model)) {
  const best = job.bestEpoch;
  const parts = published ? ["test", "validation", "train"] : ["validation", "train"];
  const part = parts.find((one) => Object.keys(best?.[one] ?? {}).length);
  if (!part) return null;
  const name = mainMetric(job.resolvedSpec ?? job.spec, Object.keys(best[part]), best.validationMetric || undefined);
  return { name, value: number(best[part][name]), part };
}

/** `verdict accuracy` of `verdict.accuracy`. */
export function metricName(name) {
  return name.replace(/\.([a-z0-9_]+)$/, (_, metric) => ` ${metric.replaceAll("_", " ")}`);
}

/** Leaves of a spec by path as YAML spells them; features are named, not numbered. */
export function leaves(value, path = "", isMap = false) {
  if (Array.isArray(value) && value.some((item) => item?.name !== undefined)) {
    return value.flatMap((item) => leaves(item, `${path}[${item.name}]`));
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    return [[path, typeof value === "string" ? value : JSON.stringify(value)]];
  }
  return Object.entries(value).flatMap(([key, inner]) => {
    const name = isMap ? key : snake(key);
    return leaves(inner, path ? `${path}.${name}` : name, MAPS.has(key));
  });
}
const MAPS = new Set(["classWeights", "parameters", "resourcesPerWorker", "defaults"]);

/** Why a queued job waits: how many queued jobs are before it, and how many run. */
export function waitReason(before, running) {
  const place = before ? `${counted(before, "queued job")} before it` : "next in line";
  if (!running) return `${place}; waits for a worker`;
  return `${place}; waits for ${running === 1 ? "the running job" : `one of ${running} running jobs`}`;
}

/** Queued jobs in the order in which they run: by priority, and among equals the oldest first. */
export function inTurn(jobs) {
  const before = (one, other) => (other.priority ?? 0) - (one.priority ?? 0) || (one.name < other.name ? -1 : 1);
  return [...jobs].sort(before);
}

/** A box that says what went wrong, and which values are to blame. */
export function errorBox(title, error) {
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    h("strong", null, title),
    h("p", null, error.message),
    error.fields?.length
      ? h(
          "ul",
          null,
          error.fields.map(({ field, description }) => h("li", null, h("code", null, field), ` ${description}`)),
        )
      : null,
  );
}

/** A box for what is not there yet; `children` say what to do. */
export function emptyBox(title, ...children) {
  return h("div", { class: "empty" }, h("strong", null, title), children);
}

/** Figures with their names: (name, value, detail or null) each. */
export function tileList(items) {
  return items.map(([name, value, detail]) =>
    h("div", null, h("dt", null, name), h("dd", null, value, detail && h("span", { class: "sub muted" }, detail))),
  );
}

/** A command for a terminal. */
export function command(text) {
  return h("pre", { class: "command", tabindex: "0", "aria-label": "Command" }, h("code", null, text));
}
