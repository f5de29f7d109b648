// The embedding store: its spaces, and what it has saved.

import { all, getMetrics, listJobs, listSpaces } from "../api.js";
import { partsBar } from "../charts/bars.js";
import { dataTable, scrolling } from "../charts/figure.js";
import { h, replace } from "../dom.js";
import { poll } from "../event_feed.js";
import { ago, bytes, count, counted, duration, fullTime, idOf, number, percent } from "../format.js";
import { emptyBox, errorBox, tileList } from "./words.js";

const POLL_SECONDS = 15;
const JOBS_READ = 100; // the newest; they say what a space's encoder is called
const OUTCOMES = [
  ["found", "Found in the store"],
  ["repeated", "Repeated rows"],
  ["encoded", "Encoded"],
  ["shared", "Encoded by another job"],
];

/** Shows the store; returns the view's title. */
export function showEmbeddings(root, { signal }) {
  const notice = h("div");
  const saved = h("div");
  const spaces = h("div", null, h("p", { class: "muted" }, "Loading spaces…"));
  replace(
    root,
    h("h1", null, "Embeddings"),
    h(
      "p",
      { class: "lead" },
      "A frozen encoder reads each distinct row once. Later epochs, jobs and predictions start from what is stored.",
    ),
    notice,
    saved,
    h("section", { "aria-labelledby": "spaces" }, h("h2", { id: "spaces" }, "Spaces"), spaces),
  );
  let names = null;
  const load = async () => {
    const [found, metrics] = await Promise.all([all(listSpaces, "embeddingSpaces", {}, signal), metricsIfAllowed(signal)]);
    names ??= await encoderNames(signal);
    replace(notice);
    replace(saved, savings(metrics, found));
    replace(
      spaces,
      found.length
        ? scrolling(table(found, names), "Embedding spaces")
        : emptyBox("The store is empty.", h("p", null, "A job with a frozen text or image encoder fills it.")),
    );
  };
  poll(
    POLL_SECONDS,
    load,
    (error) => replace(notice, errorBox("This view is not up to date; it is asked for again.", error)),
    signal,
  );
  return "Embeddings";
}

/** The server's metrics; none for those who may read the store alone. */
async function metricsIfAllowed(signal) {
  try {
    return await getMetrics(signal);
  } catch (error) {
    if (error.isForbidden) return new Map();
    throw error;
  }
}

/** Names of encoders by space, as far as the newest jobs tell. */
async function encoderNames(signal) {
  const names = new Map();
  const { trainJobs = [] } = await listJobs({ pageSize: JOBS_READ, view: "JOB_VIEW_FULL" }, signal);
  for (const { encodeProgress, resolvedSpec, spec } of trainJobs) {
    const input = (resolvedSpec ?? spec)?.inputFeatures?.find(({ name }) => name === encodeProgress?.feature);
    const encoder = input?.encoder?.pretrainedModelNameOrPath ?? input?.encoder?.type;
    if (encodeProgress?.embeddingSpace && encoder) names.set(encodeProgress.embeddingSpace, encoder);
  }
  return names;
}

function savings(metrics, spaces) {
  const rows = OUTCOMES.map(([outcome, label]) => ({
    label,
    colour: outcome,
    value: metrics.get(`headstart_embedding_rows_total{outcome="${outcome}"}`) ?? 0,
  }));
  const total = rows.reduce((sum, { value }) => sum + value, 0);
  const encoded = rows.find(({ colour }) => colour === "encoded").value;
  const seconds = metrics.get("headstart_encoder_seconds_saved_total");
  const sum = (field) => spaces.reduce((all, space) => all + number(space[field]), 0);
  const tiles = [
    ...(metrics.size ? [["Hit rate", total ? percent(1 - encoded / total) : "none yet", "rows that no encoder had to read"]] : []),
    ...(seconds === undefined ? [] : [["Encoder time saved", duration(seconds), "since the server started"]]),
    ["Stored rows", count(sum("rowCount")), counted(spaces.length, "space")],
    ["On disk", bytes(sum("sizeBytes")), null],
  ];
  return [
    h("dl", { class: "tiles" }, tileList(tiles)),
    total
      ? h(
          "section",
          { class: "card", "aria-label": "Rows of embedding passes" },
          h("h2", { class: "small" }, "Rows of embedding passes since the server started"),
          partsBar(
            rows.map((row) => ({ ...row, text: count(row.value) })),
            total,
          ),
        )
      : null,
  ];
}

function table(spaces, names) {
  const columns = [
    "Encoder",
    "Pooling",
    "Limit",
    "Precision",
    ...["Width", "Rows", "Bytes", "Shards"].map((text) => ({ text, numeric: true })),
    "Last use",
  ];
  const rows = spaces.map((space) => {
    const { kind = "", pooling = "", max_length: limit = "0", precision = "", weights = "" } = space.description ?? {};
    return [
      h(
        "span",
        null,
        names.get(space.name) ?? `${kind} encoder ${weights.slice(0, 8)}`,
        h("span", { class: "id muted", title: `Space ${idOf(space.name)}` }, idOf(space.name).slice(0, 12)),
      ),
      pooling,
      number(limit) ? counted(limit, "token") : kind === "image" ? "image" : "none",
      precision,
      count(space.dimension),
      count(space.rowCount),
      bytes(space.sizeBytes),
      count(space.shardCount),
      h("time", { datetime: space.lastUseTime, title: fullTime(space.lastUseTime) }, ago(space.lastUseTime)),
    ];
  });
  return dataTable("Most recently used first", columns, rows);
}
