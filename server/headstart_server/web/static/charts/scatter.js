// Predicted numbers against their targets.

import { svg } from "../dom.js";
import { measure } from "../format.js";

const WIDTH = 320;
const HEIGHT = 280;
const LEFT = 56;
const BOTTOM = 40;
const MARGIN = 10;

/** A picture of targets and predictions, of the same length. */
export function scatterPlot(targets, predictions) {
  const values = [...targets, ...predictions].filter(Number.isFinite);
  const low = Math.min(...values);
  const high = Math.max(...values) > low ? Math.max(...values) : low + 1;
  const x = (value) => LEFT + ((value - low) / (high - low)) * (WIDTH - LEFT - MARGIN);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - BOTTOM - MARGIN);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => low + part * (high - low));
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "square", role: "img", "aria-label": `Predicted against target, ${targets.length} rows. The table has every value.` },
    ticks.map((tick) => [
      svg("line", { class: "grid", x1: x(low), x2: x(high), y1: y(tick), y2: y(tick) }),
      svg("text", { class: "tick end", x: LEFT - 6, y: y(tick) + 4 }, measure(Number(tick.toPrecision(3)))),
      svg("text", { class: "tick middle", x: x(tick), y: HEIGHT - BOTTOM + 15 }, measure(Number(tick.toPrecision(3)))),
    ]),
    svg("line", { class: "ideal", x1: x(low), y1: y(low), x2: x(high), y2: y(high) }),
    targets.map((target, index) => Number.isFinite(target) && Number.isFinite(predictions[index])
      ? svg("circle", { class: "point faint", cx: x(target), cy: y(predictions[index]), r: 2.6 }) : null),
    svg("text", { class: "tick middle", x: LEFT + (WIDTH - LEFT - MARGIN) / 2, y: HEIGHT - 6 }, "target; height: predicted"));
}
