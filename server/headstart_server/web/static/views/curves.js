// The curves of one run: losses, metrics, learning rate and speed, by optimizer step.

import { LineChart } from "../charts/line_chart.js";
import { h, replace, setText } from "../dom.js";
import { count, measure, number } from "../format.js";
import { distinctMetrics, emptyBox, mainMetric, metricName } from "./words.js";

const PARTS = [["train", "Training"], ["validation", "Validation"], ["test", "Test"]];
const SHOWN_AT_FIRST = 5; // metrics beside the loss; a run of many outputs has dozens

/** The section of curves. */
export class Curves {
  constructor(signal) {
    this.signal = signal;
    this.charts = new Map();
    this.wide = h("div");
    this.grid = h("div", { class: "chart-grid" });
    this.rest = h("div", { class: "chart-grid", hidden: true });
    this.more = h("button", { type: "button", hidden: true, "aria-expanded": "false", onclick: () => this.#showRest() });
    this.empty = h("div");
    this.element = h("section", { "aria-labelledby": "curves" }, h("h2", { id: "curves" }, "Curves"), this.empty, this.wide, this.grid, this.more, this.rest);
  }

  /** Draws what a run has by now. */
  update(run, spec) {
    const evaluations = run.evaluations;
    const nothing = evaluations.length === 0 && run.steps.step.length === 0;
    if (nothing !== this.nothing) replace(this.empty, nothing ? emptyBox(run.ended ? "This run ended before it trained." : "There are no points yet.", h("p", null, run.ended ? "The state and messages above say why." : "Curves begin with the first training steps.")) : null);
    this.nothing = nothing;
    if (nothing) return;
    this.spec = spec;
    const marks = evaluations.map((metrics) => ({ x: number(metrics.step), label: markOf(metrics), best: metrics === run.best }));
    if (run.best) marks.find((mark) => mark.best).label = `best: ${markOf(run.best)}`;
    this.#chart("Loss", this.wide, { height: 260, logarithmic: true }).update([...this.#steps(run), ...curvesOf(evaluations, "loss")], marks);
    for (const name of this.#ordered(run.metricNames)) {
      this.#chart(metricName(name), this.#place(name)).update(curvesOf(evaluations, name), marks);
    }
    this.#chart("Learning rate", this.grid, { height: 150 }).update([{ label: "Learning rate", colour: "series-4", x: run.steps.step, y: run.steps.learningRate }], marks);
    this.#chart("Throughput, rows per second", this.grid, { height: 150, format: count }).update([{ label: "Rows per second", colour: "series-5", x: run.steps.step, y: run.steps.rowsPerSecond }], marks);
    this.#showMore();
  }

  #steps(run) {
    return run.steps.step.length ? [{ label: "Training, by step", colour: "train", faint: true, x: run.steps.step, y: run.steps.loss }] : [];
  }

  #ordered(names) {
    const shown = distinctMetrics(names).filter((name) => name !== "loss");
    const main = mainMetric(this.spec, shown);
    return shown.sort((one, other) => (other === main) - (one === main));
  }

  #place(name) {
    const chart = this.charts.get(metricName(name));
    if (chart) return null;
    this.metrics = (this.metrics ?? 0) + 1;
    return this.metrics > SHOWN_AT_FIRST ? this.rest : this.grid;
  }

  #chart(title, place, options = {}) {
    let chart = this.charts.get(title);
    if (!chart) {
      chart = new LineChart(title, { xLabel: "step", ...options }, this.signal);
      this.charts.set(title, chart);
      place.append(chart.element);
    }
    return chart;
  }

  #showMore() {
    const hidden = this.rest.childElementCount;
    this.more.hidden = hidden === 0;
    setText(this.more, this.rest.hidden ? `Show ${hidden} more metrics` : `Hide ${hidden} metrics`);
  }

  #showRest() {
    this.rest.hidden = !this.rest.hidden;
    this.more.setAttribute("aria-expanded", String(!this.rest.hidden));
    this.#showMore();
  }
}

function markOf({ epoch, epochs }) {
  return epochs && epochs !== epoch ? `epoch ${measure(epochs)}` : `epoch ${epoch}`;
}

/** Curves of a metric, one per part of the data that has it. */
function curvesOf(evaluations, name) {
  return PARTS.map(([part, label]) => {
    const having = evaluations.filter((metrics) => metrics[part]?.[name] !== undefined);
    const y = having.map((metrics) => finite(metrics[part][name]));
    return { label, colour: part, points: having.length <= 40, x: having.map((metrics) => number(metrics.step)), y };
  }).filter((curve) => curve.x.length);
}

function finite(value) {
  const found = number(value);
  return Number.isFinite(found) ? found : null;
}
