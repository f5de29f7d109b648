// One job in the list.

import { progressBar } from "../charts/bars.js";
import { h, replace, setText } from "../dom.js";
import { ago, duration, fullTime, idOf, measure, moment, number } from "../format.js";
import { isTerminal } from "../run_state.js";
import { bestMetric, metricName, nameOf, stateBadge, waitReason } from "./words.js";

/** A row of the table of jobs. */
export class JobRow {
  /** `choose(chosen)` is called when the job is chosen for a comparison. */
  constructor(job, choose) {
    this.box = h("input", { type: "checkbox", onchange: () => choose(this.box.checked) });
    this.name = h("a", { href: `#/jobs/${encodeURIComponent(idOf(job.name))}` });
    this.narrow = h("span", { class: "narrow muted" });
    this.state = h("span");
    this.progress = h("div", { class: "row-progress" });
    this.metric = h("td", { class: "wide" });
    this.created = h("time", { datetime: job.createTime, title: fullTime(job.createTime) });
    this.element = h("tr", null,
      h("td", { class: "choose" }, h("label", null, this.box, h("span", { class: "unseen" }, `Compare ${nameOf(job)}`))),
      h("th", { scope: "row" }, this.name, h("span", { class: "id muted" }, idOf(job.name)), this.narrow),
      h("td", null, this.state, this.progress), this.metric, h("td", { class: "wide" }, this.created));
    this.update(job);
  }

  /** Shows a job as it is now. */
  update(job) {
    const changed = this.job?.updateTime !== job.updateTime || this.job?.state !== job.state;
    this.job = job;
    if (!changed) return;
    setText(this.name, nameOf(job));
    replace(this.state, stateBadge(job.state));
    const best = bestMetric(job);
    replace(this.metric, best
      ? [h("b", { class: "value" }, measure(best.value)), h("span", { class: "sub muted" }, `${metricName(best.name)}, ${best.part}`)]
      : h("span", { class: "muted" }, "none yet"));
    if (isTerminal(job.state)) this.#ended();
    else if (job.state !== "STATE_QUEUED" && !this.progress.hasChildNodes()) this.progresses({ part: encoded(job), left: null });
    this.tick();
  }

  /** Says why a queued job waits. */
  waits(before, running) {
    replace(this.progress, h("span", { class: "sub" }, waitReason(before, running)));
  }

  /** Shows how far a running job is. */
  progresses({ part, left }) {
    if (isTerminal(this.job.state) || this.job.state === "STATE_QUEUED") return;
    const percent = part === null ? "" : `${Math.floor(part * 100)} %`;
    const rest = left ? `${duration(left)} left` : "";
    replace(this.progress, progressBar(`Progress of ${nameOf(this.job)}`, part), h("span", { class: "sub muted" }, [percent, rest].filter(Boolean).join(", ") || "under way"));
  }

  /** Makes relative times true again. */
  tick() {
    const created = ago(this.job.createTime);
    setText(this.created, created);
    const best = bestMetric(this.job);
    setText(this.narrow, [created, best && `${metricName(best.name)} ${measure(best.value)}`].filter(Boolean).join(" · "));
  }

  /** Whether the job may be chosen, too. */
  allowChoice(allowed) {
    this.box.disabled = !allowed;
  }

  #ended() {
    const { state, error, startTime, endTime } = this.job;
    const took = startTime ? `in ${duration((moment(endTime) - moment(startTime)) / 1000)}` : "before it started";
    const text = state === "STATE_FAILED" && error ? error.reason : took;
    replace(this.progress, h("span", { class: "sub muted" }, text));
  }
}

function encoded(job) {
  const progress = job.encodeProgress;
  return job.state === "STATE_ENCODING" && progress ? number(progress.rowsSeen) / Math.max(1, number(progress.rowsTotal)) : null;
}
