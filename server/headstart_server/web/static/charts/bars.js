// Bars: how far something is, and what something consists of.

import { h } from "../dom.js";
import { percent } from "../format.js";

/** A progress bar; `part` from 0 to 1, or null where nobody knows. */
export function progressBar(label, part) {
  const known = part !== null;
  const filled = known ? Math.max(0, Math.min(1, part)) : 0;
  return h("div", {
    class: `progress${known ? "" : " unknown"}`, role: "progressbar", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100",
    "aria-valuenow": known ? Math.floor(filled * 100) : null,
  }, h("span", { style: `width: ${(filled * 100).toFixed(2)}%` }));
}

/**
 * A bar of parts with their legend, which says everything that the bar shows.
 *
 * @param {{label: string, value: number, text: string, colour: string}[]} parts
 * @param {number} total what the whole bar stands for; more than the parts' sum leaves the rest empty
 */
export function partsBar(parts, total) {
  const shown = parts.filter((part) => part.value > 0);
  const width = (part) => `width: ${(100 * part.value / (total || 1)).toFixed(3)}%; background: var(--${part.colour})`;
  return h("div", { class: "parts" },
    h("div", { class: "parts-bar", "aria-hidden": "true" }, shown.map((part) => h("span", { style: width(part) }))),
    h("ul", { class: "legend" }, parts.map((part) => h("li", null,
      h("span", { class: "swatch", style: `--sample: var(--${part.colour})` }),
      h("span", null, part.label), " ", h("b", { class: "legend-value" }, part.text),
      total ? h("span", { class: "muted" }, ` ${percent(part.value / total, 0)}`) : null))));
}

/** A probability as a bar with its number. */
export function probabilityBar(value) {
  return h("span", { class: "probability" },
    h("span", { class: "probability-bar", "aria-hidden": "true" }, h("span", { style: `width: ${(value * 100).toFixed(2)}%` })),
    h("span", { class: "numeric" }, almost(value)));
}

/** A probability that is neither nothing nor certain is not rounded to either. */
function almost(value) {
  if (value > 0.999 && value < 1) return "> 99.9 %";
  return value > 0 && value < 0.001 ? "< 0.1 %" : percent(value);
}
