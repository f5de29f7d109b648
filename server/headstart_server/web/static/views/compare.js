// Runs side by side: curves, metrics, and where their specs differ.

import { getJob } from "../api.js";
import { dataTable, scrolling } from "../charts/figure.js";
import { LineChart } from "../charts/line_chart.js";
import { h, replace, setText } from "../dom.js";
import { poll, readUntil } from "../event_feed.js";
import { counted, measure, number } from "../format.js";
import { RunState, isTerminal } from "../run_state.js";
import { distinctMetrics, emptyBox, errorBox, leaves, lowerIsBetter, mainMetric, metricName, nameOf, stateBadge } from "./words.js";

const POLL_SECONDS = 4;
const MOST = 6;

/** Shows 2 to 6 jobs; returns the view's title. */
export function showCompare(root, { query, signal }) {
  const ids = [...new Set((query.get("jobs") ?? "").split(",").filter(Boolean))];
  if (ids.length < 2 || ids.length > MOST) {
    replace(root, h("h1", null, "Compare runs"), emptyBox(`Choose 2 to ${MOST} jobs to compare.`, h("p", null, "Tick them in the ", h("a", { href: "#/jobs" }, "list of jobs"), ".")));
    return "Compare runs";
  }
  new Comparison(root, ids, signal).start();
  return `Compare ${ids.length} runs`;
}

class Comparison {
  constructor(root, ids, signal) {
    this.signal = signal;
    this.runs = ids.map((id, index) => ({ id, colour: `series-${index + 1}`, job: null, run: new RunState() }));
    this.charts = new Map();
    this.notice = h("div");
    this.list = h("ul", { class: "plain compared" });
    this.metrics = h("div", null, h("p", { class: "muted" }, "Loading runs…"));
    this.note = h("p", { class: "note" });
    this.grid = h("div", { class: "chart-grid" });
    this.differences = h("div");
    replace(root,
      h("nav", { "aria-label": "Breadcrumb", class: "crumbs" }, h("a", { href: "#/jobs" }, "Jobs"), " / ", h("span", { "aria-current": "page" }, "compare")),
      h("h1", null, `Compare ${ids.length} runs`), this.notice, this.list,
      section("metrics", "Best epochs", h("div", null, this.metrics, this.note)), section("curves", "Curves", this.grid), section("differences", "Spec differences", this.differences));
  }

  start() {
    const failed = (error) => replace(this.notice, errorBox(error.isMissing ? "One of the jobs is not there any more; leave it out of the address." : "Runs are not up to date; they are asked for again every few seconds.", error));
    const work = async () => {
      const changed = await Promise.all(this.runs.map((one) => this.#read(one)));
      replace(this.notice);
      if (changed.some(Boolean)) this.#draw();
    };
    poll(POLL_SECONDS, work, failed, this.signal);
  }

  /** Reads what a job has added to its log; an ended one is read once. */
  async #read(one) {
    if (one.job && isTerminal(one.job.state) && one.run.ended) return false;
    one.job = await getJob(one.id, this.signal);
    const last = number(one.job.lastSequence);
    if (last > one.run.sequence) {
      for (const event of await readUntil(one.id, one.run.sequence, last, this.signal)) {
        if (number(event.sequence) > one.run.sequence) one.run.apply(event);
      }
    }
    return true;
  }

  #draw() {
    this.#label();
    replace(this.list, this.runs.map(({ id, colour, label, job }) => h("li", null,
      h("span", { class: "swatch", style: `--sample: var(--${colour})` }), h("a", { href: `#/jobs/${encodeURIComponent(id)}` }, label), " ", stateBadge(job.state))));
    const names = this.#sharedMetrics();
    const main = mainMetric(this.runs[0].job.resolvedSpec ?? this.runs[0].job.spec, names);
    const ordered = names.sort((one, other) => (other === main) - (one === main) || (other === "loss") - (one === "loss"));
    for (const name of ordered) this.#chart(name);
    if (!ordered.length) replace(this.metrics, emptyBox("None of these runs has ended an epoch yet."));
    else replace(this.metrics, scrolling(this.#metricTable(ordered), "Metrics of the best epochs"));
    replace(this.differences, this.#differenceTable());
  }

  /** Metrics that more than one run has; all of them where no two runs have the same. */
  #sharedMetrics() {
    const all = distinctMetrics([...new Set(this.runs.flatMap(({ run }) => run.metricNames))]);
    const shared = all.filter((name) => this.runs.filter(({ run }) => run.metricNames.includes(name)).length > 1);
    const left = all.length - shared.length;
    setText(this.note, shared.length && left ? `${counted(left, "metric")} of one run alone ${left === 1 ? "is" : "are"} left out.` : "");
    return shared.length ? shared : all;
  }

  /** Names runs; those of the same name by their ids, too. */
  #label() {
    const names = this.runs.map(({ job }) => nameOf(job));
    this.runs.forEach((one, index) => {
      const twice = names.indexOf(names[index]) !== names.lastIndexOf(names[index]);
      one.label = twice ? `${names[index]} (…${one.id.slice(-5)})` : names[index];
    });
  }

  #chart(name) {
    const curves = this.runs.map(({ run, label, colour }) => {
      const part = partOf(run, name);
      const having = run.evaluations.filter((metrics) => Number.isFinite(number(metrics[part]?.[name] ?? Number.NaN)));
      return { label, colour, points: having.length <= 40, x: having.map((metrics) => metrics.epochs || metrics.epoch), y: having.map((metrics) => number(metrics[part][name])) };
    });
    if (!this.charts.has(name)) {
      const part = partOf(this.runs.find(({ run }) => run.metricNames.includes(name)).run, name);
      const chart = new LineChart(`${metricName(name)}, ${part}`, { xLabel: "epoch", height: 220 }, this.signal);
      this.charts.set(name, chart);
      this.grid.append(chart.element);
    }
    this.charts.get(name).update(curves);
  }

  #metricTable(names) {
    const columns = ["Metric", ...this.runs.map(({ label }) => ({ text: label, numeric: true }))];
    const rows = names.flatMap((name) => ["validation", "test"].map((part) => {
      const values = this.runs.map(({ run }) => bestOf(run)?.[part]?.[name]);
      if (values.every((value) => value === undefined)) return null;
      const known = values.filter((value) => value !== undefined).map(number);
      const winner = lowerIsBetter(name) ? Math.min(...known) : Math.max(...known);
      const cells = values.map((value) => value === undefined ? "" : number(value) === winner && new Set(known).size > 1 ? h("b", { class: "winner" }, measure(value)) : measure(value));
      return [`${metricName(name)}, ${part}`, ...cells];
    })).filter(Boolean);
    const epochs = ["Best epoch", ...this.runs.map(({ run }) => String(run.best?.epoch ?? ""))];
    return dataTable("The best epoch of each run; the best value of a row is bold. Test values of a published model are what Predict gives.", columns, [...rows, epochs]);
  }

  #differenceTable() {
    const specs = this.runs.map(({ job }) => new Map(leaves(job.resolvedSpec ?? job.spec ?? {})));
    const paths = [...new Set(specs.flatMap((spec) => [...spec.keys()]))];
    const rows = paths.filter((path) => new Set(specs.map((spec) => spec.get(path))).size > 1)
      .map((path) => [h("code", null, path), ...specs.map((spec) => spec.has(path) ? h("code", null, spec.get(path)) : h("span", { class: "muted" }, "not set"))]);
    if (!rows.length) return emptyBox("These specs are equal.", h("p", null, "What differs is the data, or chance."));
    return scrolling(dataTable("Only the values that differ", ["Path", ...this.runs.map(({ label }) => label)], rows), "Spec differences");
  }
}

function section(id, title, content) {
  return h("section", { "aria-labelledby": id }, h("h2", { id }, title), content);
}

function partOf(run, name) {
  return run.evaluations.some((metrics) => metrics.validation?.[name] !== undefined) ? "validation" : "train";
}

/** The best evaluation, with what Predict gives of test rows once the model is published. */
function bestOf(run) {
  return run.published ?? run.best;
}
