// A figure that can be read as a picture or as a table.

import { h, replace } from "../dom.js";

let figures = 0;

/**
 * Makes a figure.
 *
 * @param {string} title
 * @param {Node} picture
 * @param {() => Node} makeTable called whenever the table is shown or refreshed
 * @returns {{element: HTMLElement, refresh: () => void, note: (text: string) => void}} `refresh` after the data has changed
 */
export function figure(title, picture, makeTable, ...extras) {
  const id = `figure-${++figures}`;
  const table = h("div", { class: "figure-table", hidden: true, tabindex: "0", role: "region", "aria-label": `${title}, as a table` });
  const toggle = h("button", { type: "button", class: "quiet small", "aria-expanded": "false", "aria-describedby": id }, "Table");
  const note = h("p", { class: "note", hidden: true });
  const refresh = () => {
    if (!table.hidden) replace(table, makeTable());
  };
  toggle.addEventListener("click", () => {
    table.hidden = !table.hidden;
    picture.hidden = !table.hidden;
    toggle.setAttribute("aria-expanded", String(!table.hidden));
    toggle.textContent = table.hidden ? "Table" : "Picture";
    refresh();
  });
  const head = h("figcaption", null, h("h3", { id }, title), h("span", { class: "figure-tools" }, extras, toggle));
  const element = h("figure", { class: "figure", "aria-labelledby": id }, head, picture, table, note);
  return {
    element,
    refresh,
    note(text) {
      note.hidden = !text;
      note.textContent = text;
    },
  };
}

/**
 * Makes a table.
 *
 * @param {string} caption
 * @param {(string|{text: string, numeric?: boolean, hint?: string})[]} columns
 * @param {(string|number|Node)[][]} rows the first cell of each is its header
 */
export function dataTable(caption, columns, rows, { hideCaption = false } = {}) {
  const numeric = columns.map((column) => Boolean(column.numeric));
  const head = columns.map((column, index) =>
    h("th", { scope: "col", class: numeric[index] ? "numeric" : null, title: column.hint }, column.text ?? column));
  const body = rows.map((row) =>
    h("tr", null, row.map((cell, index) => index === 0
      ? h("th", { scope: "row", class: numeric[0] ? "numeric" : null }, cell)
      : h("td", { class: numeric[index] ? "numeric" : null }, cell))));
  return h("table", null,
    h("caption", { class: hideCaption ? "unseen" : null }, caption),
    h("thead", null, h("tr", null, head)),
    h("tbody", null, body));
}

/** A table that scrolls by itself where it is wider than the page, by keyboard too. */
export function scrolling(table, label) {
  return h("div", { class: "scrolling", tabindex: "0", role: "region", "aria-label": label }, table);
}
