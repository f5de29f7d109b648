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
  const ticks = roundTicks(Math.min(...values), Math.max(...values));
  const [low, high] = [ticks[0], ticks.at(-1)];
  const x = (value) => LEFT + ((value - low) / (high - low)) * (WIDTH - LEFT - MARGIN);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - BOTTOM - MARGIN);
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "square", role: "img", "aria-label": `Predicted against target, ${targets.length} rows. The table has every value.` },
    ticks.map((tick) => [
      svg("line", { class: "grid", x1: x(low), x2: x(high), y1: y(tick), y2: y(tick) }),
      svg("text", { class: "tick end", x: LEFT - 6, y: y(tick) + 4 }, measure(tick)),
      svg("text", { class: "tick middle", x: x(tick), y: HEIGHT - BOTTOM + 15 }, measure(tick)),
    ]),
    svg("line", { class: "ideal", x1: x(low), y1: y(low), x2: x(high), y2: y(high) }),
    targets.map((target, index) => Number.isFinite(target) && Number.isFinite(predictions[index])
      ? svg("circle", { class: "point faint", cx: x(target), cy: y(predictions[index]), r: 2.6 }) : null),
    svg("text", { class: "tick middle", x: LEFT + (WIDTH - LEFT - MARGIN) / 2, y: HEIGHT - 6 }, "target; height: predicted"));
}

/** Round numbers at equal distances, from at or below `low` to at or above `high`. */
function roundTicks(low, high) {
  const rough = (high - low || Math.abs(high) || 1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
  const first = Math.floor(low / step);
  const last = Math.max(Math.ceil(high / step), first + 1);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}
