// How a published model answers rows that it has not learnt from, output by output.

import { calibrationCurve } from "../charts/calibration.js";
import { confusionTable } from "../charts/confusion.js";
import { dataTable, figure, scrolling } from "../charts/figure.js";
import { scatterPlot } from "../charts/scatter.js";
import { h } from "../dom.js";
import { count, counted, idOf, measure, number, percent } from "../format.js";

const PARTS = { PART_VALIDATION: "validation", PART_TEST: "test" };

/** The section of OutputEvaluations. */
export function evaluationSection(outputs) {
  return h(
    "section",
    { "aria-labelledby": "evaluation" },
    h("h2", { id: "evaluation" }, "Evaluation"),
    h("p", { class: "muted" }, "Measured on what Predict answers: in fp32, with calibrated probabilities."),
    outputs.map(outputPart),
  );
}

function outputPart(evaluation) {
  const { output, part, rows } = evaluation;
  return h(
    "section",
    { class: "output", "aria-label": `Output ${output}` },
    h("h3", null, output, h("span", { class: "muted" }, ` ${counted(rows, `${PARTS[part] ?? ""} row`)}`)),
    h(
      "div",
      { class: "chart-grid roomy" },
      classes(evaluation),
      confusion(evaluation),
      calibration(evaluation),
      scatter(evaluation),
    ),
    worst(evaluation),
  );
}

function classes({ classes = [], classCount }) {
  if (!classes.length) return null;
  const columns = [
    "Class",
    ...["Rows", "Predicted", "Precision", "Recall", "F1"].map((text) => ({ text, numeric: true })),
  ];
  const rows = classes.map((one) => [
    one.label ?? "",
    count(one.rows),
    count(one.predictedRows),
    ...[one.precision, one.recall, one.f1].map((value) => number(value).toFixed(3)),
  ]);
  const all = number(classCount);
  const caption =
    all > classes.length ? `The ${count(classes.length)} most frequent of ${count(all)} classes` : "By class";
  return h(
    "div",
    { class: "figure" },
    h("h4", null, "Classes"),
    scrolling(dataTable(caption, columns, rows), "Metrics by class"),
  );
}

function confusion({ confusionMatrix }) {
  if (!confusionMatrix?.labels?.length) return null;
  return h(
    "div",
    { class: "figure" },
    h("h4", null, "Confusion matrix"),
    scrolling(confusionTable(confusionMatrix), "Confusion matrix"),
  );
}

function calibration({ calibration: bins = [], calibrationError }) {
  if (!bins.length) return null;
  const table = () =>
    dataTable(
      "Predictions by how sure they are",
      ["Probability", ...["Predictions", "Mean probability", "Right"].map((text) => ({ text, numeric: true }))],
      bins.map((bin) => [
        `${number(bin.lower).toFixed(1)} to ${number(bin.upper).toFixed(1)}`,
        count(bin.predictions),
        bin.predictions ? percent(bin.meanProbability) : "",
        bin.predictions ? percent(bin.accuracy) : "",
      ]),
    );
  const drawn = figure("Calibration", calibrationCurve(bins), table);
  drawn.note(
    `Expected calibration error ${measure(calibrationError)}. On the dashed line, probabilities are what they say.`,
  );
  return drawn.element;
}

function scatter({ number: numbers }) {
  if (!numbers?.targets?.length) return null;
  const targets = numbers.targets.map(number);
  const predictions = numbers.predictions.map(number);
  const columns = ["Target", "Predicted", "Difference"].map((text) => ({ text, numeric: true }));
  const table = () =>
    dataTable(
      "Targets and predictions",
      columns,
      targets.map((target, index) => [
        measure(target),
        measure(predictions[index]),
        measure(predictions[index] - target),
      ]),
    );
  const drawn = figure("Predicted against target", scatterPlot(targets, predictions), table);
  drawn.note(
    `${counted(targets.length, "row")}. Mean error ${measure(numbers.meanError)}; ` +
      "on the dashed line, prediction and target are equal.",
  );
  return drawn.element;
}

function worst({ worstRows = [] }) {
  if (!worstRows.length) return null;
  const inputs = [...new Set(worstRows.flatMap((row) => Object.keys(row.inputs ?? {})))];
  const columns = [
    { text: "Row", numeric: true },
    "Is",
    "Predicted",
    { text: "Probability", numeric: true },
    { text: "Loss", numeric: true },
    ...inputs,
  ];
  const several = new Set(worstRows.map(({ source }) => source)).size > 1;
  const rows = worstRows.map((row) => [
    `${several ? `${idOf(row.source ?? "")} ` : ""}${count(row.row)}`,
    row.target ?? "",
    row.predicted ?? "",
    row.probability ? percent(row.probability) : "",
    measure(row.loss),
    ...inputs.map((column) => h("span", { class: "cell" }, row.inputs?.[column] ?? "")),
  ]);
  return h(
    "div",
    { class: "figure" },
    h("h4", null, "Rows with the largest loss"),
    scrolling(dataTable("Largest loss first; rows count from 1", columns, rows), "Rows with the largest loss"),
  );
}
