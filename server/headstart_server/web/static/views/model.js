// One published model: what it is, how well it answers, its exports, and a form that asks it.

import { all, getModel, listArtifacts } from "../api.js";
import { dataTable, scrolling } from "../charts/figure.js";
import { h, replace } from "../dom.js";
import { ago, bytes, count, fullTime, idOf, measure, number } from "../format.js";
import { evaluationSection } from "./evaluation.js";
import { predictSection } from "./predict_form.js";
import { command, distinctMetrics, emptyBox, errorBox, metricName, nameOf, tileList } from "./words.js";

const FORMATS = { FORMAT_ONNX: "ONNX", FORMAT_TORCHSCRIPT: "TorchScript", FORMAT_PREDICTIONS: "predictions" };

/** Shows a model; returns the view's title. */
export function showModel(root, { id, signal }) {
  replace(root, h("h1", null, id), h("p", { class: "muted" }, "Loading the model…"));
  show(root, id, signal).catch((error) => {
    if (signal.aborted) return;
    replace(
      root,
      h("h1", null, error.isMissing ? "No such model" : id),
      errorBox("The model cannot be shown.", error),
      error.isMissing
        ? h("p", null, h("a", { href: "#/models" }, "All models"))
        : h("button", { type: "button", onclick: () => showModel(root, { id, signal }) }, "Try again"),
    );
  });
  return `Model ${id}`;
}

async function show(root, id, signal) {
  const model = await getModel(id, signal);
  document.title = `${nameOf(model)} · Headstart`;
  const exports = h("div", null, h("p", { class: "muted" }, "Loading exports…"));
  replace(
    root,
    h(
      "nav",
      { "aria-label": "Breadcrumb", class: "crumbs" },
      h("a", { href: "#/models" }, "Models"),
      " / ",
      h("span", { "aria-current": "page" }, id),
    ),
    h(
      "div",
      { class: "heading" },
      h("h1", null, nameOf(model)),
      model.job
        ? h("a", { class: "button", href: `#/jobs/${encodeURIComponent(idOf(model.job))}` }, "Open its run")
        : null,
    ),
    model.description ? h("p", null, model.description) : null,
    facts(model),
    predictSection(model, signal),
    metrics(model),
    columns(model),
    h("section", { "aria-labelledby": "exports" }, h("h2", { id: "exports" }, "Exports"), exports),
    model.evaluation?.length ? evaluationSection(model.evaluation) : null,
  );
  try {
    const artifacts = await all(listArtifacts, "artifacts", { model: model.name }, signal);
    replace(exports, artifacts.length ? scrolling(artifactTable(artifacts), "Exports") : noExports(model));
  } catch (error) {
    if (!signal.aborted) replace(exports, errorBox("The exports did not load; open the model again.", error));
  }
}

function facts(model) {
  const items = [
    [
      "Published",
      h("time", { datetime: model.createTime, title: fullTime(model.createTime) }, ago(model.createTime)),
      fullTime(model.createTime),
    ],
    ...(model.aliases?.length ? [["Aliases", model.aliases.map(idOf).join(", "), "names that callers use"]] : []),
    ...Object.entries(model.labels ?? {}).map(([key, value]) => [`Label ${key}`, value || "set", ""]),
    ...(model.initialModel
      ? [["Trained on from", h("a", { href: `#/models/${encodeURIComponent(idOf(model.initialModel))}` }, idOf(model.initialModel)), ""]]
      : []),
    ["Own files", bytes(model.sizeBytes), "without frozen encoders"],
    ["Digest", h("code", null, (model.digest ?? "").slice(0, 12)), "equal for equal models"],
    ...Object.entries(model.encoderDigests ?? {}).map(([feature, digest]) => [
      `Encoder of ${feature}`,
      h("span", { class: "long" }, encoderName(model, feature)),
      `digest ${digest.slice(0, 12)}`,
    ]),
  ];
  return h("dl", { class: "tiles" }, tileList(items));
}

function encoderName(model, feature) {
  const encoder = model.spec?.inputFeatures?.find(({ name }) => name === feature)?.encoder ?? {};
  return encoder.pretrainedModelNameOrPath || encoder.type || "pretrained";
}

function metrics(model) {
  const best = model.metrics ?? {};
  const parts = ["train", "validation", "test"].filter((part) => Object.keys(best[part] ?? {}).length);
  if (!parts.length) return null;
  const names = distinctMetrics([...new Set(parts.flatMap((part) => Object.keys(best[part])))]).sort();
  const rows = names.map((name) => [
    metricName(name),
    ...parts.map((part) => (best[part][name] === undefined ? "" : measure(best[part][name]))),
  ]);
  const heads = ["Metric", ...parts.map((part) => ({ text: part[0].toUpperCase() + part.slice(1), numeric: true }))];
  return h(
    "section",
    { "aria-labelledby": "metrics" },
    h("h2", { id: "metrics" }, "Metrics"),
    scrolling(dataTable(`Epoch ${count(best.epoch)}; test values are what Predict gives`, heads, rows), "Metrics"),
  );
}

function columns(model) {
  const inputs = (model.inputs ?? []).map(({ column, type, feature }) => [
    h("code", null, column),
    type,
    "input",
    feature === column ? "" : `feature ${feature}`,
  ]);
  const outputs = (model.outputs ?? []).map(({ feature, type, classes = [] }) => [
    h("code", null, feature),
    type,
    "output",
    classLine(classes),
  ]);
  return h(
    "section",
    { "aria-labelledby": "columns" },
    h("h2", { id: "columns" }, "Columns"),
    scrolling(
      dataTable("What Predict reads and answers", ["Column", "Type", "Role", "Note"], [...inputs, ...outputs]),
      "Columns",
    ),
  );
}

function classLine(classes) {
  const shown = classes.slice(0, 8).join(", ");
  return classes.length > 8 ? `${shown}, … (${count(classes.length)} classes)` : shown;
}

function artifactTable(artifacts) {
  const heads = [
    "Artifact",
    "Format",
    "Encoder",
    {
      text: "Largest difference",
      numeric: true,
      hint: "From the live model, over all checked batch sizes and lengths",
    },
    { text: "Size", numeric: true },
    "Made",
  ];
  const rows = artifacts.map((artifact) => [
    h("code", null, idOf(artifact.name)),
    FORMATS[artifact.format] ?? "unknown",
    artifact.headOnly ? "left out" : "inside",
    number(artifact.maxDifference).toExponential(1),
    bytes(artifact.sizeBytes),
    ago(artifact.createTime),
  ]);
  return dataTable("Each was compared with the live model on real rows before it was published", heads, rows);
}

function noExports(model) {
  return emptyBox(
    "This model has not been exported.",
    command(`headstart export ${model.name} --format onnx --output model`),
  );
}
