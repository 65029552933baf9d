// Requests to the daemon, and its errors as values that a view can show.
//
// In: a path below /api/v1 and what to send. Out: the answer's JSON, or a Problem. Invariants: only
// the own origin is asked; every request that changes something carries the session's CSRF token; a
// request that gets no answer within a bound is given up. Deliberately absent: retries; who asked
// decides.
// Source: RFC 9457, Problem Details for HTTP APIs.

const BASE = "/api/v1/";
const PATIENCE_MS = 15_000;

let csrf = null;
let onLost = () => {};

/** What the daemon, or the way to it, says is wrong. `status` is 0 where there was no answer. */
export class Problem extends Error {
  constructor({ status = 0, title = "", detail, remedy, type, ...rest }) {
    super(detail || title || "The door's answer could not be read.");
    this.status = status;
    this.detail = this.message;
    this.remedy = remedy;
    this.type = type;
    this.rest = rest;
  }
}

/** Called when a request finds that the session is over. */
export function whenSessionIsLost(callback) {
  onLost = callback;
}

export function setToken(token) {
  csrf = token;
}

function query(parameters) {
  const pairs = Object.entries(parameters ?? {}).filter(([, value]) => value !== undefined && value !== "");
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
}

/** The address of a download or of a stream. */
export function address(path, parameters) {
  return BASE + path + query(parameters);
}

async function problem(response) {
  const wait = response.headers.get("Retry-After");
  const remedy = wait && /^\d+$/.test(wait) ? `Try again in ${wait} s.` : undefined;
  let body = {};
  try {
    body = await response.json();
  } catch {
    body = { detail: `The door answered ${response.status} without an explanation.` };
  }
  return new Problem({ remedy, ...body, status: response.status });
}

async function send(method, path, { parameters, body, patience_ms = PATIENCE_MS } = {}) {
  const headers = { Accept: "application/json" };
  // What is taken back is taken back also where the page is being closed.
  const keepalive = method === "DELETE";
  const options = { method, headers, keepalive, credentials: "same-origin", cache: "no-store" };
  if (method !== "GET" && csrf) headers["X-CSRF-Token"] = csrf;
  if (body instanceof FormData) options.body = body;
  else if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  options.signal = AbortSignal.timeout(patience_ms);
  let response;
  try {
    response = await fetch(address(path, parameters), options);
  } catch {
    throw new Problem({
      title: "No answer",
      detail: "The door does not answer.",
      remedy: "Check that the daemon runs and that this device is in the same network.",
    });
  }
  if (response.status === 401 && path !== "session") onLost();
  if (!response.ok) throw await problem(response);
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch {
    throw new Problem({ title: "No whole answer", detail: "The door's answer broke off.", remedy: "Try again." });
  }
}

export const api = {
  get: (path, parameters, options) => send("GET", path, { parameters, ...options }),
  post: (path, body, options) => send("POST", path, { body, ...options }),
  put: (path, body) => send("PUT", path, { body }),
  patch: (path, body) => send("PATCH", path, { body }),
  delete: (path) => send("DELETE", path),
};
