// Rows by what they are and what was predicted.

import { h } from "../dom.js";
import { count, number, percent } from "../format.js";

/** A table of a ConfusionMatrix; a cell's shade is its part of the row. */
export function confusionTable({ labels, counts }) {
  const size = labels.length;
  const names = labels.map((label, index) => (label === "" && index === size - 1 ? "all others" : label));
  const head = h("tr", null, h("th", { scope: "col" }, "Is \\ predicted"), names.map((name) => h("th", { scope: "col", class: "numeric" }, name)));
  const body = names.map((name, row) => {
    const values = counts.slice(row * size, (row + 1) * size).map(number);
    const total = values.reduce((sum, value) => sum + value, 0);
    return h("tr", null, h("th", { scope: "row" }, name), values.map((value, column) => cell(value, total, row === column)));
  });
  return h("table", { class: "confusion" }, h("caption", null, "Rows of each class, by what was predicted"), h("thead", null, head), h("tbody", null, body));
}

function cell(value, total, right) {
  const part = total ? value / total : 0;
  const kind = value === 0 ? "none" : right ? "right" : "wrong";
  return h("td", { class: `numeric ${kind}`, style: `--part: ${(part * 100).toFixed(1)}%`, title: `${percent(part)} of the row` }, count(value));
}
