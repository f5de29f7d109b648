// All jobs, newest first.

import { all, getJob, listJobs } from "../api.js";
import { announce, h, replace, setText } from "../dom.js";
import { poll, readUntil } from "../event_feed.js";
import { counted, idOf, number } from "../format.js";
import { RunState, isTerminal } from "../run_state.js";
import { JobRow } from "./job_row.js";
import { ACTIVE, command, emptyBox, errorBox, inTurn, nameOf, stateText } from "./words.js";

const PAGE_SIZE = 50;
const POLL_SECONDS = 3;
const LONG_QUEUE = 100; // jobs that wait; a longer queue is asked for more rarely
const LONG_POLL_SECONDS = 15;
const MOST_COMPARED = 6;
const TAIL = 40; // events; enough to hold the last progress
const MOST_FOLLOWED = 4; // running jobs whose progress is asked for
const FILTERS = [
  ["All", []],
  ["Running", ACTIVE.filter((state) => state !== "STATE_QUEUED")],
  ["Queued", ["STATE_QUEUED"]],
  ["Succeeded", ["STATE_SUCCEEDED"]],
  ["Failed", ["STATE_FAILED"]],
  ["Cancelled", ["STATE_CANCELLED"]],
];

/** Shows the list; returns the view's title. */
export function showJobs(root, { query, signal }) {
  new JobList(root, query.get("state"), signal).start();
  return "Jobs";
}

class JobList {
  constructor(root, filter, signal) {
    this.signal = signal;
    this.states = FILTERS.find(([name]) => name.toLowerCase() === filter)?.[1] ?? [];
    this.rows = new Map(); // JobRow by the job's name
    this.active = []; // jobs that have not ended, of every state, newest first
    this.chosen = new Set();
    this.next = "";
    this.body = h("tbody");
    this.notice = h("div");
    this.summary = h("div", { class: "muted" }, "Loading jobs…");
    this.more = h(
      "button",
      { type: "button", hidden: true, onclick: () => this.#loadMore() },
      `Show ${PAGE_SIZE} more`,
    );
    this.compare = h("div", { class: "compare-bar", hidden: true });
    this.table = this.#makeTable();
    replace(
      root,
      h("div", { class: "heading" }, h("h1", null, "Jobs"), this.#filters(filter)),
      this.notice,
      this.summary,
      this.table,
      h("p", { class: "centred" }, this.more),
      this.compare,
    );
  }

  start() {
    let first = true;
    const work = async () => {
      if (first) await this.#loadFirst();
      first = false;
      await this.#refresh();
      replace(this.notice);
      await this.#follow();
      return this.active.length > LONG_QUEUE ? LONG_POLL_SECONDS : POLL_SECONDS;
    };
    const failed = (error) =>
      replace(this.notice, errorBox("The list is not up to date; it is asked for again every few seconds.", error));
    poll(POLL_SECONDS, work, failed, this.signal);
  }

  #makeTable() {
    const columns = [["Compare", "choose"], ["Job"], ["State"], ["Best metric", "wide"], ["Created", "wide"]];
    const head = columns.map(([text, kind]) =>
      h("th", { scope: "col", class: kind }, kind === "choose" ? h("span", { class: "unseen" }, text) : text),
    );
    return h(
      "table",
      { class: "jobs", hidden: true },
      h("caption", { class: "unseen" }, "Jobs, newest first"),
      h("thead", null, h("tr", null, head)),
      this.body,
    );
  }

  #filters(filter) {
    const links = FILTERS.map(([name], index) => {
      const value = name.toLowerCase();
      const current = filter ? value === filter : index === 0;
      return h(
        "a",
        { href: index ? `#/jobs?state=${value}` : "#/jobs", "aria-current": current ? "true" : null },
        name,
      );
    });
    return h("nav", { class: "filters", "aria-label": "Jobs by state" }, links);
  }

  async #loadFirst() {
    const page = await listJobs({ pageSize: PAGE_SIZE, states: this.states }, this.signal);
    this.#append(page);
  }

  async #loadMore() {
    this.more.disabled = true;
    try {
      this.#append(await listJobs({ pageSize: PAGE_SIZE, pageToken: this.next, states: this.states }, this.signal));
    } catch (error) {
      if (!this.signal.aborted) replace(this.notice, errorBox("The next jobs did not load.", error));
    } finally {
      this.more.disabled = false;
    }
  }

  #append({ trainJobs = [], nextPageToken = "" }) {
    for (const job of trainJobs) this.#put(job);
    this.next = nextPageToken;
    this.#show();
  }

  /** Asks for what can have changed: the newest jobs, those that run or wait, and those that just ended. */
  async #refresh() {
    const [newest, active] = await Promise.all([
      listJobs({ pageSize: 5, states: this.states }, this.signal),
      all(listJobs, "trainJobs", { states: ACTIVE, view: "JOB_VIEW_FULL" }, this.signal),
    ]);
    this.active = active;
    const seen = new Set([...(newest.trainJobs ?? []), ...active].map(({ name }) => name));
    const gone = [...this.rows.values()].filter(({ job }) => !isTerminal(job.state) && !seen.has(job.name));
    const ended = await Promise.all(
      gone.map(({ job }) => getJob(idOf(job.name), this.signal).catch((error) => this.#lost(job, error))),
    );
    for (const job of [...(newest.trainJobs ?? []), ...active, ...ended].filter(Boolean)) this.#put(job);
    this.#show();
  }

  #lost(job, error) {
    if (!error.isMissing) throw error;
    this.rows.get(job.name).element.remove();
    this.rows.delete(job.name);
  }

  #put(job) {
    const known = this.rows.get(job.name);
    if (!known && this.states.length && !this.states.includes(job.state)) return;
    if (known) {
      if (number(job.lastSequence) < number(known.job.lastSequence)) return; // two answers came in the other order
      if (known.job.state !== job.state) announce(`${nameOf(job)}: ${stateText(job.state)}`);
      known.update(job);
      return;
    }
    const row = new JobRow(job, (chosen) => this.#choose(job.name, chosen));
    const older = [...this.rows.values()].find((other) => other.job.name < job.name);
    this.body.insertBefore(row.element, older?.element ?? null);
    this.rows.set(job.name, row);
    if (older) this.rows = new Map([...this.rows.entries()].sort(([one], [other]) => (one < other ? 1 : -1)));
  }

  #show() {
    const rows = [...this.rows.values()];
    const queued = inTurn(this.active.filter(({ state }) => state === "STATE_QUEUED"));
    const running = this.active.length - queued.length;
    queued.forEach(({ name }, before) => this.rows.get(name)?.waits(before, running));
    for (const row of rows) row.tick();
    this.more.hidden = !this.next;
    this.table.hidden = rows.length === 0;
    if (rows.length)
      setText(
        this.summary,
        `${counted(rows.length, "job")}${this.next ? " shown" : ""}, ${running} running, ${queued.length} queued`,
      );
    else
      replace(
        this.summary,
        this.states.length
          ? emptyBox("No job is in this state.", h("p", null, h("a", { href: "#/jobs" }, "Show all jobs")))
          : NO_JOBS(),
      );
  }

  /** Reads how far running jobs are from the ends of their logs. */
  async #follow() {
    const running = [...this.rows.values()].filter(({ job }) => !isTerminal(job.state) && job.state !== "STATE_QUEUED");
    await Promise.all(
      running.slice(0, MOST_FOLLOWED).map(async (row) => {
        const last = number(row.job.lastSequence);
        const state = new RunState();
        state.values = row.job.resolvedValues ?? [];
        for (const event of await readUntil(idOf(row.job.name), Math.max(0, last - TAIL), last, this.signal))
          state.apply(event);
        state.state = row.job.state;
        row.progresses(state.progress);
      }),
    );
  }

  #choose(name, chosen) {
    if (chosen) this.chosen.add(name);
    else this.chosen.delete(name);
    const size = this.chosen.size;
    const full = size >= MOST_COMPARED;
    for (const row of this.rows.values()) row.allowChoice(!full || this.chosen.has(row.job.name));
    this.compare.hidden = size === 0;
    const ids = [...this.chosen].map(idOf).map(encodeURIComponent).join(",");
    replace(
      this.compare,
      size < 2
        ? h("span", null, "Choose one more job to compare.")
        : h("a", { class: "button", href: `#/compare?jobs=${ids}` }, `Compare ${size} jobs`),
      full ? h("span", { class: "muted" }, `${MOST_COMPARED} is the most.`) : null,
    );
  }
}

const NO_JOBS = () =>
  emptyBox(
    "No job has been started yet.",
    h("p", null, "Start one from a terminal, or from Python with headstart.Client; it appears here by itself."),
    command("headstart train spec.yaml --data train.csv"),
  );
