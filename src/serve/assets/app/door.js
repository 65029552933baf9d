// What this page knows of the door at this moment, and who wants to hear of it.
//
// In: the daemon's events. Out: `door`, and calls to subscribers. Invariants: one stream for the
// whole page; while it is not there `door.reached` is false and what is known is kept, marked as
// old, because an old state with its age is worth more than an empty page.

import { api, address } from "./api.js";
import { Stream } from "./stream.js";

export const door = {
  session: null,
  state: null,
  present: null,
  guidance: null,
  reached: false,
  lostAt: null,
};

const listeners = new Map();
let stream = null;

/** Hears events of these names until the returned function is called. */
export function hear(names, callback) {
  for (const name of names) {
    if (!listeners.has(name)) listeners.set(name, new Set());
    listeners.get(name).add(callback);
  }
  return () => names.forEach((name) => listeners.get(name).delete(callback));
}

export function tell(name, data) {
  for (const callback of listeners.get(name) ?? []) callback(name, data);
}

function take(state) {
  door.state = state;
  if (typeof state.presence === "boolean") door.present = state.presence;
  if ("guidance" in state) door.guidance = state.guidance;
}

function onEvent(name, data) {
  if (name === "health") take(data);
  if (name === "presence") door.present = data.present;
  if (name === "guidance") door.guidance = data.say ?? null;
  tell(name, data);
}

async function onState({ open, status }) {
  if (status === 401 || status === 403) return tell("session", null);
  door.lostAt = open ? null : (door.lostAt ?? new Date().toISOString());
  const back = open && !door.reached;
  door.reached = open;
  if (!open) {
    door.present = null;
    door.guidance = null;
  }
  tell("reached", open);
  if (!back) return undefined;
  // Whatever was said while nobody listened is read again.
  await refresh();
  return tell("back");
}

async function refresh() {
  try {
    take(await api.get("state"));
    tell("health", door.state);
  } catch {
    // The stream's own state says that the door is gone.
  }
}

export function connect() {
  disconnect();
  stream = new Stream(address("events"), { onEvent, onState });
}

export function disconnect() {
  stream?.close();
  stream = null;
  door.reached = false;
}

export function hurry() {
  stream?.hurry();
}

export const isAdministrator = () => door.session?.role === "administrator";

/** Whether a larger score is nearer: a cosine grows with likeness, a distance shrinks. */
export const growsWithLikeness = (metric = door.state?.metric ?? "cosine") => metric === "cosine";

/** Whether `score` reaches `threshold` in the sense of the metric. */
export function reaches(score, threshold, metric) {
  return growsWithLikeness(metric) ? score >= threshold : score <= threshold;
}

addEventListener("online", hurry);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && hurry());
