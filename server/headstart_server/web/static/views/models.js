// Published models.

import { listModels } from "../api.js";
import { dataTable } from "../charts/figure.js";
import { h, replace } from "../dom.js";
import { poll } from "../event_feed.js";
import { ago, bytes, counted, fullTime, idOf, measure } from "../format.js";
import { bestMetric, command, emptyBox, errorBox, metricName, nameOf } from "./words.js";

const PAGE_SIZE = 50;
const POLL_SECONDS = 20;

/** Shows the list; returns the view's title. */
export function showModels(root, { signal }) {
  const notice = h("div");
  const list = h("div", null, h("p", { class: "muted" }, "Loading models…"));
  const more = h("button", { type: "button", hidden: true }, `Show ${PAGE_SIZE} more`);
  replace(root, h("h1", null, "Models"), notice, list, h("p", { class: "centred" }, more));
  let size = PAGE_SIZE;
  let version = "";
  const load = async () => {
    const { models = [], nextPageToken } = await listModels({ pageSize: size }, signal);
    replace(notice);
    more.hidden = !nextPageToken || size >= 1000;
    const now = models.map(({ name, displayName, aliases = [] }) => [name, displayName, ...aliases].join()).join();
    if (now === version && models.length) return;
    version = now;
    replace(list, models.length ? table(models) : NO_MODELS());
  };
  const failed = (error) => replace(notice, errorBox("The list is not up to date; it is asked for again.", error));
  more.addEventListener("click", () => {
    size = Math.min(1000, size + PAGE_SIZE);
    load().catch(failed);
  });
  poll(POLL_SECONDS, load, failed, signal);
  return "Models";
}

function table(models) {
  const columns = ["Model", "Predicts", "Best metric", { text: "Size", numeric: true }, "Published"];
  const rows = models.map((model) => {
    const best = bestMetric({ bestEpoch: model.metrics }, true);
    return [
      h(
        "span",
        null,
        h("a", { href: `#/models/${encodeURIComponent(idOf(model.name))}` }, nameOf(model)),
        h("span", { class: "id muted" }, [idOf(model.name), ...(model.aliases ?? []).map(idOf)].join(" · ")),
      ),
      (model.outputs ?? []).map(({ feature }) => feature).join(", "),
      best
        ? h(
            "span",
            null,
            h("b", { class: "value" }, measure(best.value)),
            h("span", { class: "sub muted" }, `${metricName(best.name)}, ${best.part}`),
          )
        : "",
      bytes(model.sizeBytes),
      h("time", { datetime: model.createTime, title: fullTime(model.createTime) }, ago(model.createTime)),
    ];
  });
  const made = dataTable(`${counted(models.length, "model")}, newest first`, columns, rows);
  made.classList.add("models");
  return made;
}

const NO_MODELS = () =>
  emptyBox(
    "No model has been published yet.",
    h("p", null, "A job that succeeds publishes one."),
    command("headstart train spec.yaml --data train.csv"),
  );
