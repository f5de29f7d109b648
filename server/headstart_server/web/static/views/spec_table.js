// The resolved spec: every value, where it came from, and why.

import { dataTable, scrolling } from "../charts/figure.js";
import { h, replace } from "../dom.js";
import { leaves } from "./words.js";

const ORIGINS = {
  ORIGIN_GIVEN: "given",
  ORIGIN_DEFAULT: "default",
  ORIGIN_RULE: "rule",
  ORIGIN_MEASURED: "measured",
};
const EXPLAINED = {
  given: "The spec says so.",
  default: "The product's default.",
  rule: "A documented rule over the data or the spec.",
  measured: "Measured on the server's machine.",
};

/** The section of a job's spec; `values` are ResolvedValues, `job` may be null. */
export function specSection(values, job) {
  if (!values.length && !job) return null;
  const head = h("h2", { id: "spec" }, "Spec");
  if (!values.length) {
    const rows = leaves(job.spec ?? {}).map(([path, value]) => [h("code", null, path), value]);
    return h(
      "section",
      { "aria-labelledby": "spec" },
      head,
      h("p", { class: "muted" }, "As it was given; values are resolved while the job prepares."),
      scrolling(dataTable("The spec as it was given", ["Path", "Value"], rows, { hideCaption: true }), "Spec"),
    );
  }
  const place = h("div");
  const show = (origin) => replace(place, scrolling(valueTable(values, origin), "Resolved spec"));
  const choice = h(
    "select",
    { onchange: () => show(choice.value) },
    h("option", { value: "" }, "all values"),
    Object.values(ORIGINS).map((origin) => h("option", { value: origin }, origin)),
  );
  show("");
  return h(
    "section",
    { "aria-labelledby": "spec" },
    h("div", { class: "heading" }, head, h("label", { class: "choice" }, "Origin ", choice)),
    place,
  );
}

function valueTable(values, origin) {
  const shown = values.filter((value) => !origin || ORIGINS[value.origin] === origin);
  const rows = shown.map(({ path, value, origin: from, reason = "" }) => {
    const word = ORIGINS[from] ?? "unknown";
    return [
      h("code", null, path),
      h("code", null, JSON.stringify(value ?? null)),
      h("span", { class: `origin ${word}`, title: EXPLAINED[word] }, word),
      reason,
    ];
  });
  return dataTable(
    `${shown.length} of ${values.length} values of the resolved spec`,
    ["Path", "Value", "Origin", "Reason"],
    rows,
  );
}
