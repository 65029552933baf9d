// A decision in words and signs, as live view and log show it.
//
// In: a record of the contract. Out: elements and sentences. Invariant: outcome is told by sign and
// word, never by colour alone.

import { el, icon, terms } from "./dom.js";
import { asNumber, asRate, asScore } from "./format.js";
import { CUES, LACKING, OUTCOMES, OUTCOME_ICONS, REASONS, words } from "./words.js";

export function outcomeMark(outcome) {
  return el(
    "span",
    { class: `outcome ${OUTCOME_ICONS[outcome] ? outcome : "other"}` },
    icon(OUTCOME_ICONS[outcome] ?? "gear"),
    el("span", { class: "sr" }, outcome ? words(OUTCOMES, outcome) : "Administration"),
  );
}

export function whoOf({ subject, outcome }) {
  return subject?.name ?? subject?.id ?? words(OUTCOMES, outcome);
}

export function reasonOf({ outcome, reason, subject }) {
  const text = words(REASONS, reason);
  return subject ? `${words(OUTCOMES, outcome)}: ${text}` : text;
}

const KNOWN = {
  frames: ["Pictures", (value) => (typeof value === "object" ? `${value.agreeing} of ${value.considered} agree` : value)],
  score: ["Score", asScore],
  threshold: ["Threshold", asScore],
  margin: ["Distance to the second", asScore],
  metric: ["Metric", String],
  latency_ms: ["Latency", (value) => latency(value)],
  claimed_rate: ["Claimed rate of false grants", asRate],
  claimed_fmr: ["Claimed FMR of one comparison", asRate],
  acknowledged: ["The broker has it", (value) => (value ? "yes" : "not yet")],
  liveness: ["Liveness", (value) => livenessOf(value)],
  cue: ["Sign of an attack", (value) => words(CUES, value)],
  faces: ["Faces", String],
  model: ["Model", String],
};

function latency(value) {
  if (typeof value !== "object" || value === null) return `${asNumber(value)} ms`;
  return Object.entries(value)
    .map(([name, ms]) => `${asNumber(ms)} ms (${name.replaceAll("_", " ")})`)
    .join(", ");
}

function livenessOf(value) {
  if (typeof value !== "object" || value === null) return typeof value === "number" ? asScore(value) : String(value);
  const parts = [];
  if (value.mode) parts.push(value.mode);
  if (Number.isFinite(value.median)) parts.push(`median ${asScore(value.median)}`);
  if (value.looks !== undefined) parts.push(`${value.looks} looks`);
  if (value.lacking) parts.push(words(LACKING, value.lacking));
  return parts.join(", ");
}

function plain(value) {
  if (typeof value !== "object" || value === null) return String(value);
  return Object.entries(value).map(([key, inner]) => `${key.replaceAll("_", " ")}: ${plain(inner)}`).join(", ");
}

/** Everything that a record says beyond its sentence. */
export function details(record) {
  const known = Object.entries(record.details ?? {}).filter(([, value]) => value !== null && value !== undefined);
  return terms([
    ["Outcome", record.outcome && words(OUTCOMES, record.outcome)],
    ["Reason", record.reason && words(REASONS, record.reason)],
    ["Id of the person", record.subject?.id],
    ...known.map(([key, value]) => {
      const [name, write] = KNOWN[key] ?? [key.replaceAll("_", " "), plain];
      return [name, write(value)];
    }),
    ["By", record.by],
    ["Record", `${record.seq}`],
  ]);
}
