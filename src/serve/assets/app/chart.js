// Charts as SVG: histograms with a threshold, and a line over the last day.
//
// In: numbers of the contract. Out: an SVG element whose label says in words what it shows, with the
// numbers in a table behind it. Invariants: every chart has its axes' units; what is unknown is a gap
// and never zero.

import { el, svg } from "./dom.js";
import { asNumber } from "./format.js";

const WIDE = 560;
const HIGH = 190;
const LEFT = 40;
const BOTTOM = 26;
const TOP = 14;
const RIGHT = 10;

function steps(from, to, count) {
  const rough = (to - from) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  const ticks = [];
  for (let at = Math.ceil(from / step - 1e-9) * step; at <= to + step * 1e-6; at += step) ticks.push(at);
  return { ticks, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (step / power === 2.5 ? 1 : 0)) };
}

function frame(label, ...content) {
  return svg("svg", { class: "chart", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": label }, ...content);
}

function grid({ ticks, digits }, y) {
  return ticks.map((tick) => [
    svg("line", { class: "grid", x1: LEFT, x2: WIDE - RIGHT, y1: y(tick), y2: y(tick) }),
    svg("text", { class: "tick end", x: LEFT - 6, y: y(tick) + 4 }, asNumber(tick, digits)),
  ]);
}

/** Several histograms over the same axis: `[{name, kind, edges, counts}]`, as shares of each. */
export function histogram(series, threshold, words) {
  const known = series.filter(({ counts }) => counts?.some((count) => count > 0));
  if (!known.length) return el("p", { class: "muted" }, "There are no comparisons to show yet.");
  const from = Math.min(...known.map(({ edges }) => edges[0]), threshold);
  const to = Math.max(...known.map(({ edges }) => edges.at(-1)), threshold);
  const shares = known.map(({ counts }) => {
    const all = counts.reduce((sum, count) => sum + count, 0);
    return counts.map((count) => count / all);
  });
  const most = Math.max(...shares.flat());
  const x = (value) => LEFT + ((value - from) / (to - from || 1)) * (WIDE - LEFT - RIGHT);
  const y = (share) => HIGH - BOTTOM - (share / most) * (HIGH - BOTTOM - TOP);
  const bars = known.map(({ kind, edges }, index) =>
    shares[index].map((share, bin) =>
      share > 0 &&
      svg("rect", { class: `bin ${kind}`, x: x(edges[bin]) + 0.5, width: Math.max(0.5, x(edges[bin + 1]) - x(edges[bin]) - 1), y: y(share), height: HIGH - BOTTOM - y(share) }),
    ).filter(Boolean),
  );
  const scale = steps(from, to, 6);
  const nearRight = x(threshold) > WIDE - 130;
  return frame(
    words,
    grid(steps(0, most * 100, 3), (percent) => y(percent / 100)),
    bars.flat(),
    scale.ticks.map((tick) => svg("text", { class: "tick middle", x: x(tick), y: HIGH - 8 }, asNumber(tick, scale.digits))),
    svg("line", { class: "axis", x1: LEFT, x2: WIDE - RIGHT, y1: HIGH - BOTTOM, y2: HIGH - BOTTOM }),
    svg("line", { class: "threshold", x1: x(threshold), x2: x(threshold), y1: 4, y2: HIGH - BOTTOM }),
    svg("text", { class: `tick strong ${nearRight ? "end" : ""}`, x: x(threshold) + (nearRight ? -6 : 6), y: 13 }, `threshold ${asNumber(threshold, 3)}`),
  );
}

/** One value over the day: `values` begin at `from`, one each `step_s` seconds. */
export function line({ name, unit, digits = 0, values = [], from, step_s }) {
  const known = values.filter(Number.isFinite);
  if (!known.length) return el("p", { class: "muted" }, `${name}: nothing is known yet.`);
  const least = Math.min(...known);
  const most = Math.max(...known);
  const pad = (most - least) * 0.15 || Math.max(1, Math.abs(most) * 0.1);
  const low = Math.max(0, least - pad);
  const high = most + pad;
  const start = Date.parse(from);
  const x = (index) => LEFT + (index / Math.max(1, values.length - 1)) * (WIDE - LEFT - RIGHT);
  const y = (value) => HIGH - BOTTOM - ((value - low) / (high - low)) * (HIGH - BOTTOM - TOP);
  const path = [];
  let pen = false;
  values.forEach((value, index) => {
    if (Number.isFinite(value)) path.push(`${pen ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`);
    pen = Number.isFinite(value);
  });
  const hours = [];
  const every = 4 * 3_600_000;
  const offset = new Date(start).getTimezoneOffset() * 60_000;
  for (let at = Math.ceil((start - offset) / every) * every + offset; at < start + values.length * step_s * 1000; at += every) {
    hours.push(at);
  }
  const now = known.at(-1);
  const text = `${name}: ${asNumber(now, digits)} ${unit} last; from ${asNumber(least, digits)} to ${asNumber(most, digits)} ${unit} over the last day`;
  return frame(
    text,
    grid(steps(low, high, 3), y),
    hours.map((at) => {
      const place = x((at - start) / 1000 / step_s);
      const hour = new Date(at).getHours();
      return place < WIDE - 18 && svg("text", { class: "tick middle", x: place, y: HIGH - 8 }, `${String(hour).padStart(2, "0")}:00`);
    }).filter(Boolean),
    svg("line", { class: "axis", x1: LEFT, x2: WIDE - RIGHT, y1: HIGH - BOTTOM, y2: HIGH - BOTTOM }),
    svg("path", { class: "curve", d: path.join("") }),
  );
}
