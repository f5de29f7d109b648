// How often predictions are right that are about as sure.

import { svg } from "../dom.js";
import { count, number, percent } from "../format.js";

const SIZE = 260;
const LEFT = 44;
const BOTTOM = 40;
const TOP = 10;
const INNER = SIZE - BOTTOM - TOP;

/** A picture of CalibrationBins; the area of a point is how many predictions it stands for. */
export function calibrationCurve(bins) {
  const filled = bins.filter(({ predictions }) => number(predictions) > 0);
  const most = Math.max(...filled.map(({ predictions }) => number(predictions)));
  const x = (value) => LEFT + number(value) * INNER;
  const y = (value) => TOP + (1 - number(value)) * INNER;
  const points = filled.map((bin) => [x(bin.meanProbability), y(bin.accuracy), 3 + 6 * Math.sqrt(number(bin.predictions) / most), bin]);
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  return svg("svg", { viewBox: `0 0 ${LEFT + INNER + 24} ${SIZE}`, class: "square", role: "img", "aria-label": `Calibration curve of ${filled.length} bins. The table has every value.` },
    ticks.map((tick) => [
      svg("line", { class: "grid", x1: x(0), x2: x(1), y1: y(tick), y2: y(tick) }),
      svg("text", { class: "tick end", x: LEFT - 6, y: y(tick) + 4 }, percent(tick, 0)),
      svg("text", { class: "tick middle", x: x(tick), y: TOP + INNER + 15 }, percent(tick, 0)),
    ]),
    svg("line", { class: "ideal", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }),
    svg("polyline", { class: "curve", points: points.map(([left, top]) => `${left},${top}`).join(" ") }),
    points.map(([cx, cy, r, bin]) => svg("circle", { class: "point", cx, cy, r },
      svg("title", null, `${count(bin.predictions)} predictions: ${percent(bin.meanProbability)} sure, ${percent(bin.accuracy)} right`))),
    svg("text", { class: "tick middle", x: LEFT + INNER / 2, y: SIZE - 6 }, "mean probability; height: part that is right"));
}
