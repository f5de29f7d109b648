// Where the time of a run goes.

import { partsBar } from "../charts/bars.js";
import { h, replace } from "../dom.js";
import { duration, number } from "../format.js";
import { stateText } from "./words.js";

const PHASES = [
  ["STATE_QUEUED", "time-1"], ["STATE_PREPARING", "time-2"], ["STATE_ENCODING", "time-3"], ["STATE_TRAINING", "time-4"], ["STATE_PUBLISHING", "time-5"],
];

/** The section of times. */
export class TimePanel {
  constructor() {
    this.phases = h("div", { class: "card" });
    this.training = h("div", { class: "card" });
    this.element = h("section", { "aria-labelledby": "time", hidden: true },
      h("h2", { id: "time" }, "Where the time goes"), h("div", { class: "cards" }, this.phases, this.training));
  }

  /** Draws the times of a run. */
  update(run) {
    const version = `${run.phases.length} ${run.byEvaluation.size} ${Math.floor(run.time / 1000)}`;
    if (version === this.version) return;
    this.version = version;
    this.#show(this.phases, "By phase", phaseParts(run), run.ended ? "" : "The present phase up to its last report.");
    this.#show(this.training, "Within training", trainingParts(run.evaluations), "Sums over epochs that are over.");
    this.element.hidden = this.phases.hidden && this.training.hidden;
  }

  #show(card, title, parts, note) {
    const total = parts.reduce((sum, part) => sum + part.value, 0);
    card.hidden = total === 0;
    replace(card, h("h3", null, title), partsBar(parts, total), h("p", { class: "muted" }, `${duration(total)} in all. ${note}`));
  }
}

function phaseParts({ phases, time: now }) {
  const seconds = new Map();
  phases.forEach(({ state, time }, index) => {
    const end = phases[index + 1]?.time ?? now;
    seconds.set(state, (seconds.get(state) ?? 0) + (end - time) / 1000);
  });
  return PHASES.filter(([state]) => seconds.has(state)).map(([state, colour]) => part(stateText(state), seconds.get(state), colour));
}

function trainingParts(evaluations) {
  const sum = (field) => evaluations.reduce((total, metrics) => total + number(metrics[field]), 0);
  const [wait, compute, evaluate] = ["dataWaitSeconds", "computeSeconds", "evaluateSeconds"].map(sum);
  const other = Math.max(0, sum("trainSeconds") - wait - compute);
  return [
    part("Waiting for data", wait, "time-1"), part("Computing", compute, "time-4"), part("Evaluation", evaluate, "time-3"),
    ...(other > 0.05 ? [part("Other", other, "time-5")] : []),
  ];
}

function part(label, value, colour) {
  return { label, value, colour, text: duration(value) };
}
