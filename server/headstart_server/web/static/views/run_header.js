// What a run is called, how far it is, and how to stop it.

import { cancelJob, pauseJob, resumeJob } from "../api.js";
import { progressBar } from "../charts/bars.js";
import { announce, h, replace, setText } from "../dom.js";
import { count, duration, fullTime, idOf, measure, moment, number } from "../format.js";
import { isTerminal } from "../run_state.js";
import { confirmed } from "./confirm.js";
import { bestMetric, errorBox, mainMetric, metricName, nameOf, stateBadge, waitReason, tileList } from "./words.js";

const CONNECTIONS = {
  connecting: ["idle", "Connecting"],
  live: ["live", "Live"],
  reconnecting: ["warn", "Reconnecting"],
  ended: ["", ""],
};

const STANDING = {
  STATE_PAUSING: "Pausing: it stops at its next checkpoint.",
  STATE_PAUSED: "Paused: it goes on from its checkpoint when it is resumed.",
};

/** The head of a run's view. */
export class RunHeader {
  constructor(id, signal) {
    this.id = id;
    this.title = h("h1", null, id);
    this.badge = h("span");
    this.link = h("span", { class: "connection", role: "status" });
    this.cancel = h(
      "button",
      { type: "button", class: "danger", hidden: true, onclick: () => this.#cancel() },
      "Cancel run",
    );
    this.pause = h("button", { type: "button", hidden: true, onclick: () => this.#pause() });
    this.model = h("a", { class: "button", hidden: true }, "Open the model");
    this.facts = h("p", { class: "muted facts" });
    this.problems = h("div");
    this.bar = h("div", { class: "run-progress" });
    this.tiles = h("dl", { class: "tiles" });
    this.element = h(
      "div",
      null,
      h(
        "nav",
        { "aria-label": "Breadcrumb", class: "crumbs" },
        h("a", { href: "#/jobs" }, "Jobs"),
        " / ",
        h("span", { "aria-current": "page" }, id),
      ),
      h(
        "div",
        { class: "heading" },
        h("div", { class: "title" }, this.title, this.badge, this.link),
        h("div", { class: "actions" }, this.model, this.pause, this.cancel),
      ),
      this.facts,
      this.problems,
      this.bar,
      this.tiles,
    );
    this.clock = setInterval(() => this.run && this.#showFacts(), 1000);
    signal.addEventListener("abort", () => clearInterval(this.clock));
  }

  /** Says how the page hears of the run. */
  connection(status, reason = "") {
    const [tone, text] = CONNECTIONS[status];
    this.link.className = `connection ${tone}`;
    this.link.title = reason;
    setText(this.link, text);
  }

  /** Says why a queued run waits. */
  waits(before, running) {
    this.waiting = waitReason(before, running);
    if (this.run) this.#showProgress();
  }

  /** Says so when nobody knows why a queued run waits: the server does not answer. */
  waitsUnknown() {
    this.waiting = "how many jobs are before it is asked again";
    if (this.run) this.#showProgress();
  }

  /** Shows a run as it is now; `job` is null until it was read. */
  update(run, job) {
    this.run = run;
    this.job = job;
    this.state = run.state || job?.state;
    if (job) setText(this.title, nameOf(job));
    if (this.shown !== this.state) replace(this.badge, stateBadge(this.state));
    this.shown = this.state;
    this.cancel.hidden = !this.state || isTerminal(this.state) || this.state === "STATE_CANCELLING";
    this.pause.hidden = this.cancel.hidden || this.state === "STATE_PAUSING";
    setText(this.pause, this.state === "STATE_PAUSED" ? "Resume run" : "Pause run");
    this.model.hidden = !run.model;
    if (run.model) this.model.href = `#/models/${encodeURIComponent(idOf(run.model))}`;
    const error = run.error ?? (job?.state === "STATE_FAILED" ? job.error : null);
    if (error && !this.failed) replace(this.problems, failure(error));
    this.failed = Boolean(error);
    this.#showFacts();
    this.#showProgress();
    replace(this.tiles, tileList(this.#tiles()));
  }

  #showFacts() {
    const { createTime, startTime, endTime } = this.job ?? {};
    const parts = [createTime && `Created ${fullTime(createTime)}`];
    if (startTime) {
      const end = endTime ? moment(endTime) : Date.now();
      parts.push(
        `${endTime ? "ran" : "running for"} ${duration(Math.max(0, Math.round((end - moment(startTime)) / 1000)))}`,
      );
    }
    if (this.run.rows) {
      const { train, validation, test } = this.run.rows;
      parts.push(`${count(train)} training, ${count(validation)} validation, ${count(test)} test rows`);
    }
    setText(this.facts, parts.filter(Boolean).join(" · "));
  }

  #showProgress() {
    this.bar.hidden = !this.state || isTerminal(this.state);
    if (this.state === "STATE_QUEUED")
      return replace(this.bar, h("span", { class: "whole" }, `Queued: ${this.waiting ?? "waits for a worker"}.`));
    if (this.state in STANDING) return replace(this.bar, h("span", { class: "whole" }, STANDING[this.state]));
    const { part, left } = this.run.progress;
    const text = part === null ? "under way" : `${Math.floor(part * 100)} %${left ? `, ${duration(left)} left` : ""}`;
    replace(this.bar, progressBar("Progress of this phase", part), h("span", { class: "muted" }, text));
  }

  #tiles() {
    const { run, job } = this;
    const last = run.lastStep;
    const found = [];
    const best = run.published ? published(run, job) : bestSoFar(run, job);
    if (best) found.push([`Best ${metricName(best.name)}`, measure(best.value), `${best.part}, epoch ${best.epoch}`]);
    if (last) {
      const step = Math.max(number(last.step), ...run.evaluations.map((metrics) => number(metrics.step)));
      found.push(["Step", `${count(step)} of ${count(last.totalSteps)}`, `epoch ${last.epoch}`]);
      found.push(["Training loss", measure(last.loss), "since the last report"]);
      found.push(["Throughput", `${count(last.rowsPerSecond)} rows/s`, null]);
      found.push(["Learning rate", measure(last.learningRate), null]);
    }
    return found;
  }

  async #pause() {
    const paused = this.state === "STATE_PAUSED";
    this.pause.disabled = true;
    try {
      await (paused ? resumeJob : pauseJob)(this.id);
      announce(paused ? "The run was resumed." : "The run was asked to pause.");
    } catch (error) {
      replace(this.problems, errorBox(`The run was not ${paused ? "resumed" : "paused"}.`, error));
    } finally {
      this.pause.disabled = false;
    }
  }

  async #cancel() {
    const go = await confirmed(
      "Cancel this run?",
      "It stops within seconds. Embeddings and checkpoints made so far are kept; no model is published.",
      "Cancel run",
      "Keep running",
    );
    if (!go) return;
    this.cancel.disabled = true;
    try {
      await cancelJob(this.id);
      announce("The run was asked to stop.");
    } catch (error) {
      replace(this.problems, errorBox("The run was not cancelled.", error));
    } finally {
      this.cancel.disabled = false;
    }
  }
}

function bestSoFar(run, job) {
  const best = run.best;
  if (!best) return null;
  const part = Object.keys(best.validation ?? {}).length ? "validation" : "train";
  const name = mainMetric(job?.resolvedSpec ?? job?.spec, Object.keys(best[part] ?? {}));
  return name ? { name, part, value: number(best[part][name]), epoch: best.epoch } : null;
}

function published(run, job) {
  const best = bestMetric({ ...job, bestEpoch: run.published }, true);
  return best && { ...best, epoch: run.published.epoch };
}

function failure({ reason, message, field }) {
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    h("strong", null, `The run failed: ${reason}`),
    h("p", null, message),
    field ? h("p", null, "Field: ", h("code", null, field)) : null,
  );
}
