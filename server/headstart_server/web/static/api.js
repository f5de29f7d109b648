// Every request of the page goes through `send`: the JSON API is at /api/v1, the metrics beside it.

import { authorization } from "./session.js";

const ROOT = "/api/v1";
/** The event of the window when the server does not know who asks; `detail` is what it said. */
export const UNAUTHENTICATED = "headstart-unauthenticated";

/** What the server, or the way to it, answered in place of an answer. */
class ApiError extends Error {
  /**
   * @param {string} message for people
   * @param {number} code the HTTP status; 0 where there was no answer
   * @param {string} status of google.rpc, e.g. `NOT_FOUND`; empty where the answer was not Headstart's
   * @param {{field: string, description: string}[]} fields what of the request is wrong
   */
  constructor(message, code, status = "", fields = []) {
    super(message);
    this.code = code;
    this.status = status;
    this.fields = fields;
  }

  /** Whether Headstart itself says that there is no such thing. */
  get isMissing() {
    return this.status === "NOT_FOUND";
  }

  /** Whether what is asked for was there once, and is no longer kept. */
  get isExpired() {
    return this.status === "OUT_OF_RANGE";
  }

  /** Whether the token is good, and does not allow this. */
  get isForbidden() {
    return this.code === 403;
  }
}

async function send(path, { method = "GET", headers = {}, body, signal } = {}) {
  let response;
  try {
    response = await fetch(path, { method, headers: { ...headers, ...authorization() }, body, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached. Is it running, and is the network up?", 0);
  }
  if (response.ok) return response;
  const error = await errorOf(response);
  if (response.status === 401) dispatchEvent(new CustomEvent(UNAUTHENTICATED, { detail: error.message }));
  throw error;
}

async function errorOf(response) {
  let error = {};
  try {
    error = (await response.json()).error ?? {};
  } catch {
    // whoever answered is between the page and Headstart
  }
  const violations = (error.details ?? []).flatMap((detail) => detail.fieldViolations ?? []);
  const fallback = `The server, or a proxy before it, answered ${response.status} ${response.statusText}.`;
  return new ApiError(error.message || fallback, response.status, error.status ?? "", violations);
}

async function ask(path, options) {
  return (await send(ROOT + path, options)).json();
}

function post(path, message, signal) {
  const headers = { "Content-Type": "application/json" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(message), signal });
}

function query(values) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const item of [value].flat()) if (item) found.append(name, item);
  }
  const text = found.toString();
  return text ? `?${text}` : "";
}

const at = (collection, id) => `/${collection}/${encodeURIComponent(id)}`;

export const listJobs = (options, signal) => ask(`/trainJobs${query(options)}`, { signal });
export const getJob = (id, signal) => ask(at("trainJobs", id), { signal });
export const cancelJob = (id) => post(`${at("trainJobs", id)}:cancel`, {});
export const pauseJob = (id) => post(`${at("trainJobs", id)}:pause`, {});
export const resumeJob = (id) => post(`${at("trainJobs", id)}:resume`, {});
export const listModels = (options, signal) => ask(`/models${query(options)}`, { signal });
export const getModel = (id, signal) => ask(at("models", id), { signal });
export const predict = (id, request, signal) => post(`${at("models", id)}:predict`, request, signal);
export const listArtifacts = (options, signal) => ask(`/artifacts${query(options)}`, { signal });
export const listSpaces = (options, signal) => ask(`/embeddingSpaces${query(options)}`, { signal });
export const getServer = (signal) => ask("/server", { signal });

/** Opens the stream of a job's events after one; the body is that of server-sent events. */
export function openEvents(id, after, signal) {
  const headers = { Accept: "text/event-stream", "Last-Event-ID": String(after) };
  return send(`${ROOT}${at("trainJobs", id)}/events`, { headers, signal });
}

/** Returns the server's metrics: from `name{labels}` as Prometheus writes it to a number. */
export async function getMetrics(signal) {
  const text = await (await send("/metrics", { headers: { Accept: "text/plain" }, signal })).text();
  const samples = text.split("\n").filter((line) => line && !line.startsWith("#"));
  return new Map(samples.map((line) => line.split(/ (?=[^ ]+$)/)).map(([name, value]) => [name, Number(value)]));
}

/** Returns every item of a list, page by page. */
export async function all(list, field, options, signal) {
  const found = [];
  let pageToken = "";
  do {
    const page = await list({ pageSize: 1000, ...options, pageToken }, signal);
    found.push(...(page[field] ?? []));
    pageToken = page.nextPageToken ?? "";
  } while (pageToken);
  return found;
}
