// The embedding pass, feature by feature.

import { partsBar } from "../charts/bars.js";
import { h, replace } from "../dom.js";
import { count, counted, duration, number } from "../format.js";

const OUTCOMES = [
  ["rowsFound", "Found in the store", "found"],
  ["rowsRepeated", "Repeated rows", "repeated"],
  ["rowsEncoded", "Encoded", "encoded"],
  ["rowsShared", "Encoded by another job", "shared"],
];

/** The section of encoding. */
export class EncodingPanel {
  constructor() {
    this.list = h("div", { class: "cards" });
    this.element = h("section", { "aria-labelledby": "encoding", hidden: true }, h("h2", { id: "encoding" }, "Encoding"), this.list);
  }

  /** Draws the passes of a run. */
  update(run) {
    this.element.hidden = run.passes.size === 0;
    const version = [...run.passes.values()].map(({ rowsSeen }) => rowsSeen).join() + run.state;
    if (version === this.version) return;
    this.version = version;
    replace(this.list, [...run.passes.values()].map((progress) => card(progress, run.state === "STATE_ENCODING")));
  }
}

function card(progress, running) {
  const total = number(progress.rowsTotal);
  const parts = OUTCOMES.map(([field, label, colour]) => ({ label, colour, value: number(progress[field]), text: count(progress[field]) }));
  const left = total - number(progress.rowsSeen);
  const pace = [
    progress.rowsPerSecond ? `${count(progress.rowsPerSecond)} rows/s encoded` : null,
    running && left && progress.etaSeconds ? `${duration(progress.etaSeconds)} left` : null,
    progress.computeSeconds ? `${duration(progress.computeSeconds)} of computing` : null,
    progress.dataWaitSeconds ? `${duration(progress.dataWaitSeconds)} of waiting for data` : null,
    progress.workers?.length ? counted(progress.workers.length, "worker") : null,
  ].filter(Boolean).join(" · ");
  return h("div", { class: "card" },
    h("h3", null, progress.feature || "All features", progress.testRowsAgain ? h("span", { class: "muted" }, " test rows once more, in fp32") : null),
    h("p", { class: "muted" }, left ? `${count(progress.rowsSeen)} of ${counted(total, "row")} seen` : `All ${counted(total, "row")} seen`),
    partsBar(parts, total), h("p", { class: "muted" }, pace));
}
