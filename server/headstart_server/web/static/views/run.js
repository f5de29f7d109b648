// One job, live or ended.

import { all, getJob, getModel, listJobs } from "../api.js";
import { announce, h, replace } from "../dom.js";
import { follow, poll } from "../event_feed.js";
import { idOf } from "../format.js";
import { RunState, isTerminal } from "../run_state.js";
import { Curves } from "./curves.js";
import { EncodingPanel } from "./encoding_panel.js";
import { evaluationSection } from "./evaluation.js";
import { RunHeader } from "./run_header.js";
import { specSection } from "./spec_table.js";
import { TimePanel } from "./time_panel.js";
import { trialsSection } from "./trials.js";
import { ACTIVE, emptyBox, errorBox, inTurn, nameOf, stateText } from "./words.js";

const REDRAW_MS = 250;
const QUEUE_SECONDS = 3;

/** Shows a job; returns the view's title. */
export function showRun(root, { id, signal }) {
  new RunView(root, id, signal).start();
  return `Run ${id}`;
}

class RunView {
  constructor(root, id, signal) {
    this.id = id;
    this.signal = signal;
    this.root = root;
    this.run = new RunState();
    this.job = null;
    this.drawing = null;
    this.drawn = {};
    this.header = new RunHeader(id, signal);
    this.encoding = new EncodingPanel();
    this.curves = new Curves(signal);
    this.time = new TimePanel();
    this.warnings = h("section", { "aria-labelledby": "warnings", hidden: true });
    this.trials = h("div");
    this.evaluation = h("div");
    this.spec = h("div");
    replace(
      root,
      this.header.element,
      this.warnings,
      this.trials,
      this.curves.element,
      this.encoding.element,
      this.time.element,
      this.evaluation,
      this.spec,
    );
  }

  async start() {
    const listener = {
      status: (status, reason) => this.header.connection(status, reason),
      failed: (error) => this.#fail(error),
      events: (events) => this.#take(events),
    };
    this.#readJob();
    poll(
      QUEUE_SECONDS,
      () => this.#readQueue(),
      () => this.header.waitsUnknown(),
      this.signal,
    );
    await follow(this.id, listener, this.signal);
    if (!this.signal.aborted && this.run.ended) await this.#readJob();
  }

  async #readJob() {
    try {
      this.job = await getJob(this.id, this.signal);
      document.title = `${nameOf(this.job)} · Headstart`;
      this.#draw();
    } catch (error) {
      if (error.isMissing) this.#fail(error);
      // everything else: the events say it again once the server answers
    }
  }

  /** Finds out how many jobs are before this one; the events say nothing of others. */
  async #readQueue() {
    if (this.run.state !== "STATE_QUEUED") return;
    const jobs = await all(listJobs, "trainJobs", { states: ACTIVE }, this.signal);
    const queued = jobs.filter(({ state }) => state === "STATE_QUEUED");
    const before = inTurn(queued).findIndex(({ name }) => name === `trainJobs/${this.id}`);
    this.header.waits(Math.max(0, before), jobs.filter(({ state }) => !isTerminal(state)).length - queued.length);
  }

  #fail(error) {
    if (error.isExpired) {
      this.#readJob();
      this.root.prepend(errorBox("This run's curves are no longer kept.", error));
      return;
    }
    replace(
      this.root,
      h("h1", null, "No such job"),
      errorBox("The server has no such job.", error),
      emptyBox("It may have been deleted.", h("p", null, h("a", { href: "#/jobs" }, "All jobs"))),
    );
  }

  #take(events) {
    const before = this.run.state;
    for (const event of events) this.run.apply(event);
    if (!this.job) this.#readJob();
    if (before && before !== this.run.state) announce(`The run is now ${stateText(this.run.state).toLowerCase()}`);
    this.drawing ??= setTimeout(() => requestAnimationFrame(() => this.#draw()), REDRAW_MS);
  }

  #draw() {
    this.drawing = null;
    if (this.signal.aborted || !this.root.contains(this.header.element)) return;
    this.header.update(this.run, this.job);
    this.encoding.update(this.run);
    this.curves.update(this.run, this.job?.resolvedSpec ?? this.job?.spec);
    this.time.update(this.run);
    this.#once("warnings", this.run.warnings.length, () => this.#showWarnings());
    const told = [...this.run.byTrial.values()].map(({ number, trainRows }) => `${number}/${trainRows}`).join();
    if (told) this.#once("trials", told, () => replace(this.trials, trialsSection(this.run.trials, this.run.trialCount)));
    const values = this.run.values.length ? this.run.values : (this.job?.resolvedValues ?? []);
    this.#once("spec", `${values.length} ${Boolean(this.job)} ${JSON.stringify(values.map(({ value }) => value))}`, () =>
      replace(this.spec, specSection(values, this.job)),
    );
    if (this.run.ended || this.run.outputs.length) this.#showEvaluation();
  }

  /** Draws a part again when what it shows has changed. */
  #once(part, version, draw) {
    if (this.drawn[part] === version) return;
    this.drawn[part] = version;
    draw();
  }

  #showWarnings() {
    this.warnings.hidden = this.run.warnings.length === 0;
    replace(
      this.warnings,
      h("h2", { id: "warnings" }, "Warnings"),
      h(
        "ul",
        { class: "plain" },
        this.run.warnings.map(({ reason, message }) =>
          h("li", { class: "notice warn" }, h("strong", null, reason), h("p", null, message)),
        ),
      ),
    );
  }

  #showEvaluation() {
    const model = this.run.model || this.job?.model;
    this.#once("evaluation", `${this.run.outputs.length} ${model}`, async () => {
      try {
        const outputs =
          this.run.outputs.length || !model
            ? this.run.outputs
            : ((await getModel(idOf(model), this.signal)).evaluation ?? []);
        if (outputs.length) replace(this.evaluation, evaluationSection(outputs));
      } catch (error) {
        // a model that was deleted says nothing any more
        if (!error.isMissing && !this.signal.aborted)
          replace(this.evaluation, errorBox("The evaluation did not load; reload the page.", error));
      }
    });
  }
}
