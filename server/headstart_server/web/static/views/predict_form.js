// A form that asks a model for one row.

import { predict } from "../api.js";
import { probabilityBar } from "../charts/bars.js";
import { dataTable, scrolling } from "../charts/figure.js";
import { announce, h, replace } from "../dom.js";
import { count, measure, number } from "../format.js";
import { ImageField, TextField } from "./predict_fields.js";
import { errorBox } from "./words.js";

const MOST_CLASSES = 10;

/** The section of the form. */
export function predictSection(model, signal) {
  const fields = (model.inputs ?? []).map((input, index) =>
    input.type === "image" ? new ImageField(input, index) : new TextField(input, index),
  );
  const answer = h("div", { class: "answer", "aria-live": "polite" });
  const button = h("button", { class: "primary" }, "Predict");
  const form = h(
    "form",
    { class: "card predict", novalidate: true },
    fields.map(({ element }) => element),
    button,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const wrong = fields.find((field) => !field.check());
    if (wrong) return wrong.focus();
    button.disabled = true;
    try {
      const columns = await Promise.all(fields.map((field) => field.column()));
      const request = { model: model.name, table: { columns }, probabilities: true };
      const response = await predict(model.name.split("/")[1], request, signal);
      replace(answer, answerOf(response));
    } catch (error) {
      if (!signal.aborted) replace(answer, errorBox("There is no prediction.", error));
    } finally {
      button.disabled = false;
    }
  });
  return h(
    "section",
    { "aria-labelledby": "predict" },
    h("h2", { id: "predict" }, "Predict one row"),
    h("p", { class: "muted" }, "Fields that are left empty are missing values."),
    h("div", { class: "predict-grid" }, form, answer),
  );
}

function answerOf({ outputs = [], warnings = [], rowsFound }) {
  announce(`Predicted ${outputs.map((output) => `${output.feature}: ${valueOf(output)}`).join(", ")}`);
  return [
    outputs.map((output) =>
      h(
        "div",
        { class: "card" },
        h("h3", null, output.feature),
        h("p", { class: "predicted" }, valueOf(output)),
        classTable(output),
      ),
    ),
    warnings.map((warning) => h("p", { class: "notice warn" }, warning)),
    number(rowsFound)
      ? h("p", { class: "muted" }, "The embedding came from the store; the encoder did not run.")
      : null,
  ];
}

/** The prediction of the only row, as text. */
function valueOf({ labels, bools, numbers, sets, vectors }) {
  if (labels) return labels.values?.[0] ?? "";
  if (bools) return String(bools.values?.[0] ?? false);
  if (numbers) return measure(numbers.values?.[0]);
  if (sets) return (sets.rows?.[0]?.values ?? []).join(", ") || "none";
  return (vectors?.values ?? []).map(measure).join(", ");
}

function classTable({ feature, classes = [], probabilities = [] }) {
  if (!classes.length || !probabilities.length) return null;
  const ranked = classes
    .map((label, index) => [label, number(probabilities[index])])
    .sort(([, one], [, other]) => other - one);
  const rows = ranked.slice(0, MOST_CLASSES).map(([label, value]) => [label, probabilityBar(value)]);
  const caption =
    ranked.length > MOST_CLASSES ? `The ${MOST_CLASSES} likeliest of ${count(ranked.length)} classes` : "Probabilities";
  return scrolling(dataTable(caption, ["Class", "Probability"], rows), `Probabilities of ${feature}`);
}
