// Curves over optimizer steps or epochs, that grow while a run goes on.

import { h, replace, setText } from "../dom.js";
import { count, measure } from "../format.js";
import { onTheme } from "../theme_switch.js";
import uPlot from "../vendor/uplot/uPlot.esm.js";
import { dataTable, figure } from "./figure.js";
import { drawMarks } from "./marks.js";
import { thinned } from "./thinning.js";

const MOST_POINTS = 4000; // drawn of one curve; more than a screen has columns
const MOST_TABLE_ROWS = 2000;

/**
 * One curve: `x` ascending, `y` of the same length with null for none.
 * @typedef {{label: string, colour: string, x: number[], y: (number|null)[], points?: boolean, dash?: number[]}} Curve
 */

/** A chart of curves. `update` draws what has come; `signal` ends it. */
export class LineChart {
  /**
   * @param {string} title
   * @param {{xLabel: string, format?: (value: number) => string, height?: number, logarithmic?: boolean}} options `logarithmic`:
   *   whether a logarithmic axis is offered
   * @param {AbortSignal} signal
   */
  constructor(title, { xLabel, format = measure, height = 190, logarithmic = false }, signal) {
    this.title = title;
    this.options = { xLabel, format, height };
    this.curves = [];
    this.marks = [];
    this.zoomed = false;
    this.plot = null;
    this.legend = h("ul", { class: "legend" });
    this.canvas = h("div", { class: "plot", role: "img" });
    this.whole = h("button", { type: "button", class: "quiet small", hidden: true, onclick: () => this.#showAll() }, "Whole run");
    this.logarithmic = false;
    const scale = logarithmic && h("button", { type: "button", class: "quiet small", "aria-pressed": "false", onclick: () => this.#switchScale(scale) }, "Log scale");
    this.figure = figure(title, h("div", null, this.legend, this.canvas), () => this.#table(), this.whole, scale);
    this.element = this.figure.element;
    const observer = new ResizeObserver(() => this.#fit());
    observer.observe(this.canvas);
    onTheme(() => this.#rebuild(), signal);
    signal.addEventListener("abort", () => {
      observer.disconnect();
      this.plot?.destroy();
    });
  }

  /**
   * @param {Curve[]} curves
   * @param {{x: number, label: string, best?: boolean}[]} marks vertical lines
   */
  update(curves, marks = []) {
    const sameCurves = curves.length === this.curves.length && curves.every((curve, index) => curve.label === this.curves[index].label);
    this.curves = curves;
    this.marks = marks;
    if (!this.plot || !sameCurves) this.#rebuild();
    else this.plot.setData(this.#data(), !this.zoomed);
    if (this.zoomed) this.plot.redraw();
    if (this.plot) this.#readOut(this.plot.cursor.left >= 0 ? this.plot.cursor.idxs : null);
    this.canvas.setAttribute("aria-label", this.#summary());
    this.figure.refresh();
  }

  #data() {
    const shown = (y) => (this.logarithmic ? y.map((value) => (value > 0 ? value : null)) : y);
    const tables = this.curves.map((curve) => thinned(curve.x, shown(curve.y), MOST_POINTS));
    return tables.length > 1 ? uPlot.join(tables) : (tables[0] ?? [[], []]);
  }

  #rebuild() {
    const width = this.canvas.clientWidth;
    if (!width || this.curves.length === 0) return;
    this.plot?.destroy();
    this.zoomed = false;
    this.whole.hidden = true;
    this.#makeLegend();
    this.plot = new uPlot(this.#uplotOptions(width), this.#data(), this.canvas);
    this.#readOut(null);
  }

  #fit() {
    const width = this.canvas.clientWidth;
    if (!width) return;
    if (this.plot) this.plot.setSize({ width, height: this.options.height });
    else this.#rebuild();
  }

  #showAll() {
    this.zoomed = false;
    this.whole.hidden = true;
    this.plot.setData(this.#data(), true);
  }

  #switchScale(button) {
    this.logarithmic = !this.logarithmic;
    button.setAttribute("aria-pressed", String(this.logarithmic));
    this.#rebuild();
  }

  #uplotOptions(width) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const axis = { stroke: colour("muted"), font: "12px system-ui, sans-serif", grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false } };
    return {
      width,
      height: this.options.height,
      legend: { show: false },
      padding: [18, 22, 0, 0],
      scales: { x: { time: false }, y: this.logarithmic ? { distr: 3 } : { range: (_, low, high) => roomAround(low, high) } },
      cursor: { points: { size: 7 }, drag: { x: true, y: false }, dataIdx: nearest, y: false },
      axes: [
        { ...axis, size: 26, label: this.options.xLabel, labelSize: 16, labelFont: axis.font, labelGap: 0, space: 64,
          values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? count(tick) : measure(tick))) },
        { ...axis, size: (_, values) => 14 + 7 * Math.max(4, ...(values ?? []).map((text) => text.length)), values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : this.options.format(tick))) },
      ],
      series: [{}, ...this.curves.map((curve) => this.#series(curve, colour))],
      hooks: {
        setCursor: [(plot) => this.#readOut(plot.cursor.left >= 0 ? plot.cursor.idxs : null)],
        setSelect: [(plot) => this.#zoom(plot.select.width > 0)],
        drawAxes: [(plot) => drawMarks(plot, this.marks, { line: colour("mark"), text: colour("muted"), best: colour("best") })],
      },
    };
  }

  #series(curve, colour) {
    return {
      label: curve.label,
      stroke: colour(curve.colour),
      width: curve.faint ? 1 : 2,
      alpha: curve.faint ? 0.55 : 1,
      dash: curve.dash,
      spanGaps: true,
      points: { show: curve.points ?? false, size: 5, fill: colour(curve.colour) },
    };
  }

  #zoom(selected) {
    if (!selected) return;
    this.zoomed = true;
    this.whole.hidden = false;
  }

  #makeLegend() {
    const items = this.curves.map((curve) => {
      const value = h("b", { class: "legend-value" });
      const sample = h("span", { class: `sample${curve.dash ? " dashed" : ""}${curve.faint ? " faint" : ""}`, style: `--sample: var(--${curve.colour})` });
      return { value, item: h("li", null, sample, h("span", null, curve.label), " ", value) };
    });
    this.values = items.map(({ value }) => value);
    replace(this.legend, items.map(({ item }) => item));
  }

  /** Shows the values at the cursor, or the last ones. */
  #readOut(indices) {
    this.values.forEach((element, index) => {
      const column = this.plot?.data[index + 1] ?? [];
      const at = indices?.[index + 1];
      const value = at === null || at === undefined ? column.findLast((item) => item !== null && item !== undefined) : column[at];
      setText(element, value === null || value === undefined ? "" : this.options.format(value));
    });
  }

  #summary() {
    const parts = this.curves.filter((curve) => curve.y.length).map((curve) => {
      const known = curve.y.filter((value) => value !== null);
      return known.length ? `${curve.label}: ${known.length} points, from ${measure(known[0])} to ${measure(known.at(-1))}` : `${curve.label}: none`;
    });
    return `${this.title} by ${this.options.xLabel}. ${parts.join("; ")}. The table has every value.`;
  }

  #table() {
    const [xs = [], ...columns] = this.curves.length > 1 ? uPlot.join(this.curves.map(({ x, y }) => [x, y])) : [this.curves[0].x, this.curves[0].y];
    const from = Math.max(0, xs.length - MOST_TABLE_ROWS);
    const note = from ? `, last ${count(MOST_TABLE_ROWS)} of ${count(xs.length)} points` : "";
    const heads = [this.options.xLabel, ...this.curves.map((curve) => curve.label)].map((text) => ({ text, numeric: true }));
    const cell = (value) => (value === null || value === undefined ? "" : measure(value));
    const rows = xs.slice(from).map((x, index) => [Number.isInteger(x) ? count(x) : measure(x), ...columns.map((column) => cell(column[from + index]))]);
    return dataTable(`${this.title} by ${this.options.xLabel}${note}`, heads, rows);
  }
}

/** The range of the vertical axis; a flat curve is in its middle. */
function roomAround(low, high) {
  if (low === null || low === undefined) return [0, 1];
  const room = high > low ? (high - low) * 0.08 : Math.abs(high) * 0.1 || 0.5;
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
}

/** The point of a curve that is nearest to the cursor; curves have points at different places. */
function nearest(plot, series, hovered) {
  const column = plot.data[series];
  for (let distance = 0; distance < column.length; distance++) {
    if (isValue(column[hovered - distance])) return hovered - distance;
    if (isValue(column[hovered + distance])) return hovered + distance;
  }
  return hovered;
}

function isValue(value) {
  return value !== null && value !== undefined;
}

