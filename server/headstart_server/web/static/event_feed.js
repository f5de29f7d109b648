// A job's events as they come, each once, however often the connection breaks.
//
// The stream is server-sent events, read with fetch in place of EventSource: that gives up after an HTTP error, as of a
// proxy while the server restarts, and cannot send a token.

import { openEvents } from "./api.js";
import { number } from "./format.js";

const SILENCE_MS = 45_000; // the server says something every 15 seconds
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;

/**
 * Follows a job to its end, or until `signal` aborts.
 *
 * While the page is hidden nothing is asked for: browsers allow a server six connections, and what is missed is
 * replayed.
 *
 * @param {string} id of the job
 * @param {object} listener `events(list)` in order, each event once; `status(text, reason)`: `connecting`,
 *   `live`, `reconnecting` and why, `ended`; `failed(error)`: the job, or its events, are not there
 * @param {AbortSignal} signal
 */
export async function follow(id, listener, signal) {
  let last = 0;
  let pause = FIRST_PAUSE_MS;
  listener.status("connecting");
  const take = (events) => {
    const fresh = inOrder(events, last);
    if (fresh.length === 0) return;
    last = number(fresh.at(-1).sequence);
    pause = FIRST_PAUSE_MS;
    listener.events(fresh);
  };
  while (!signal.aborted) {
    await visible(signal);
    const wasHidden = new AbortController();
    let reason = "The connection broke.";
    const stopWhenHidden = () => document.hidden && wasHidden.abort();
    document.addEventListener("visibilitychange", stopWhenHidden);
    try {
      const connected = () => listener.status("live");
      if (await readEvents(id, last, take, connected, AbortSignal.any([signal, wasHidden.signal]))) {
        listener.status("ended");
        return;
      }
    } catch (error) {
      if (error.isMissing || error.isExpired) return listener.failed(error);
      reason = error.message;
    } finally {
      document.removeEventListener("visibilitychange", stopWhenHidden);
    }
    if (signal.aborted || wasHidden.signal.aborted) continue;
    listener.status("reconnecting", reason);
    await sleep(pause, signal);
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

/** Returns the last events of a job up to one that is known to be there; for lists, which follow nothing. */
export async function readUntil(id, after, until, signal) {
  const found = [];
  const enough = new AbortController();
  const take = (events) => {
    found.push(...events);
    if (number(found.at(-1).sequence) >= until) enough.abort();
  };
  try {
    await readEvents(id, after, take, () => {}, AbortSignal.any([signal, enough.signal]));
  } catch (error) {
    if (!enough.signal.aborted) throw error;
  }
  return found;
}

/** Events after `last`; throws where one is missing, so that the next connection asks for it. */
function inOrder(events, last) {
  const found = events.filter((event) => number(event.sequence) > last);
  found.forEach((event, index) => {
    if (number(event.sequence) !== last + index + 1) throw new Error(`Event ${last + index + 1} is missing.`);
  });
  return found;
}

/** Reads one connection to its end; returns whether the log has ended. */
async function readEvents(id, after, take, connected, signal) {
  const silent = new AbortController();
  let timer = setTimeout(() => silent.abort(), SILENCE_MS);
  try {
    const response = await openEvents(id, after, AbortSignal.any([signal, silent.signal]));
    connected();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return false;
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENCE_MS);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      const found = blocks.map(parse);
      const events = found
        .filter((block) => block.type === "message" && block.data)
        .map((block) => JSON.parse(block.data));
      if (events.length) take(events);
      if (found.some((block) => block.type === "end")) return true;
    }
  } finally {
    clearTimeout(timer);
    silent.abort();
  }
}

function parse(block) {
  const found = { type: "message", data: "" };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") found.type = value;
    if (name === "data") found.data += value;
  }
  return found;
}

function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    const wake = () => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener("abort", wake, { once: true });
    addEventListener("online", wake, { once: true });
  });
}

/** Resolves once the page can be seen, or `signal` aborts. */
function visible(signal) {
  return new Promise((resolve) => {
    if (!document.hidden || signal.aborted) return resolve();
    document.addEventListener("visibilitychange", resolve, { once: true });
    signal.addEventListener("abort", resolve, { once: true });
  });
}

/**
 * Calls `work` now and then every so many seconds, or as many as it returns, while the page can be seen; its errors
 * go to `failed`.
 */
export async function poll(seconds, work, failed, signal) {
  while (!signal.aborted) {
    await visible(signal);
    let pause = seconds;
    try {
      pause = (await work()) ?? seconds;
    } catch (error) {
      if (signal.aborted) return;
      failed(error);
    }
    await sleep(pause * 1000, signal);
  }
}
