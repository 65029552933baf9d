// Charts as SVG: histograms with a threshold, and a line over the last day.
//
// In: numbers of the contract. Out: an SVG element whose label says in words what it shows. Invariants: every chart has its axes' units; what is unknown is a gap
// and never zero.

import { el, put, svg } from "./dom.js";
import { asNumber } from "./format.js";

const LEFT = 40;
const BOTTOM = 26;
const TOP = 24;
const RIGHT = 10;

function steps(from, to, count) {
  const rough = (to - from) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  const ticks = [];
  for (let at = Math.ceil(from / step - 1e-9) * step; at <= to + step * 1e-6; at += step) ticks.push(at);
  return { ticks, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (step / power === 2.5 ? 1 : 0)) };
}

/** A place in which `draw(wide, high)` gives what the chart holds, again whenever its width changes. */
function chart(label, high, draw) {
  const place = el("div", { class: "chart-place" });
  const paint = () => {
    const wide = Math.max(220, Math.round(place.clientWidth));
    const size = { class: "chart", viewBox: `0 0 ${wide} ${high}`, height: high, role: "img", "aria-label": label };
    put(place, svg("svg", size, ...draw(wide, high)));
  };
  let last = 0;
  new ResizeObserver(([entry]) => {
    const wide = Math.round(entry.contentRect.width);
    if (wide && wide !== last) {
      last = wide;
      paint();
    }
  }).observe(place);
  return place;
}

function grid({ ticks, digits }, y, wide) {
  return ticks.map((tick) => [
    svg("line", { class: "grid", x1: LEFT, x2: wide - RIGHT, y1: y(tick), y2: y(tick) }),
    svg("text", { class: "tick end", x: LEFT - 6, y: y(tick) + 4 }, asNumber(tick, digits)),
  ]);
}

function ground(wide, high) {
  return svg("line", { class: "axis", x1: LEFT, x2: wide - RIGHT, y1: high - BOTTOM, y2: high - BOTTOM });
}

/** Several histograms over the same axis: `[{kind, edges, counts}]`, as shares of each. */
export function histogram(series, threshold, words) {
  const known = series.filter(({ counts }) => counts?.some((count) => count > 0));
  if (!known.length) return el("p", { class: "muted" }, "There are no comparisons to show yet.");
  // From the first bin that holds something to the last, and the threshold in any case.
  const from = Math.min(...known.map(({ edges, counts }) => edges[counts.findIndex((count) => count > 0)]), threshold);
  const last = ({ edges, counts }) => edges[counts.findLastIndex((count) => count > 0) + 1];
  const reach = Math.max(...known.map(last), threshold);
  const to = reach + (reach - from) * 0.04;
  const shares = known.map(({ counts }) => {
    const all = counts.reduce((sum, count) => sum + count, 0);
    return counts.map((count) => count / all);
  });
  const most = Math.max(...shares.flat());
  return chart(words, 240, (wide, high) => {
    const x = (value) => LEFT + ((value - from) / (to - from || 1)) * (wide - LEFT - RIGHT);
    const y = (share) => high - BOTTOM - (share / most) * (high - BOTTOM - TOP);
    // Beside each other within each bin: what lies behind something else is not seen.
    const bars = known.map(({ kind, edges }, row) =>
      shares[row].map((share, bin) => {
        const width = (x(edges[bin + 1]) - x(edges[bin])) / known.length;
        const place = { x: x(edges[bin]) + row * width + 0.5, width: Math.max(0.5, width - 1), y: y(share), height: high - BOTTOM - y(share) };
        return share > 0 && svg("rect", { class: `bin ${kind}`, ...place });
      }),
    );
    const scale = steps(from, to, wide > 500 ? 8 : 4);
    const right = x(threshold) > wide - 130;
    return [
      grid(steps(0, most * 100, 4), (percent) => y(percent / 100), wide),
      bars,
      scale.ticks.map((tick) => svg("text", { class: "tick middle", x: x(tick), y: high - 8 }, asNumber(tick, scale.digits))),
      ground(wide, high),
      svg("line", { class: "threshold", x1: x(threshold), x2: x(threshold), y1: 4, y2: high - BOTTOM }),
      svg("text", { class: `tick strong ${right ? "end" : ""}`, x: x(threshold) + (right ? -6 : 6), y: 13 }, `threshold ${asNumber(threshold, 3)}`),
    ];
  });
}

/** Full hours of the reader's clock within the time that is shown, as milliseconds. */
function hours(start, end, step_h) {
  const every = step_h * 3_600_000;
  const offset = new Date(start).getTimezoneOffset() * 60_000;
  const found = [];
  for (let at = Math.ceil((start - offset) / every) * every + offset; at < end; at += every) found.push(at);
  return found;
}

/** One value over the day: `values` begin at `from`, one each `step_s` seconds. */
export function line({ name, unit, digits = 0, values = [], from, step_s }) {
  const known = values.filter(Number.isFinite);
  if (!known.length) return el("p", { class: "muted" }, "Nothing is known yet.");
  const least = Math.min(...known);
  const most = Math.max(...known);
  const pad = (most - least) * 0.15 || Math.max(1, Math.abs(most) * 0.1);
  const low = Math.max(0, least - pad);
  const high_value = most + pad;
  const start = Date.parse(from);
  const words = `${name}: ${asNumber(known.at(-1), digits)} ${unit} last; from ${asNumber(least, digits)} to ${asNumber(most, digits)} ${unit} over the last day`;
  return chart(words, 170, (wide, high) => {
    const x = (index) => LEFT + (index / Math.max(1, values.length - 1)) * (wide - LEFT - RIGHT);
    const y = (value) => high - BOTTOM - ((value - low) / (high_value - low)) * (high - BOTTOM - TOP);
    let pen = false;
    const path = values.map((value, index) => {
      const drawn = Number.isFinite(value);
      const part = drawn ? `${pen ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}` : "";
      pen = drawn;
      return part;
    });
    const marks = hours(start, start + values.length * step_s * 1000, wide > 360 ? 4 : 8).map((at) => {
      const place = x((at - start) / 1000 / step_s);
      const text = `${String(new Date(at).getHours()).padStart(2, "0")}:00`;
      return place > LEFT + 14 && place < wide - 18 && svg("text", { class: "tick middle", x: place, y: high - 8 }, text);
    });
    return [grid(steps(low, high_value, 3), y, wide), marks, ground(wide, high), svg("path", { class: "curve", d: path.join("") })];
  });
}
