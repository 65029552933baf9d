// Figures: how well the door tells its people apart, and how the board has been doing.
//
// In: the calibration of this gallery, health over the last day. Out: histograms, who is near whom,
// lines over the day, and what each number means. Invariant: a rate is shown as what is claimed, with
// the threshold it belongs to.

import { api } from "./api.js";
import { growsWithLikeness, hear } from "./door.js";
import { card, el, failure, put } from "./dom.js";
import { asNumber, asRate, asScore } from "./format.js";
import { histogram, line } from "./chart.js";

const DAY_MS = 60_000;

function tile(value, name, note) {
  return el("div", { class: "tile" }, el("p", { class: "value" }, value), el("p", { class: "name" }, name), note && el("p", { class: "hint" }, note));
}

const nameOf = (one) => (typeof one === "string" ? one : (one?.name ?? one?.id ?? "–"));

function table(caption, heads, rows) {
  return el(
    "table",
    { class: "table plain" },
    el("caption", { class: "sr" }, caption),
    el("thead", {}, el("tr", {}, heads.map((head, index) => el("th", { scope: "col", class: index === heads.length - 1 ? "number" : null }, head)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell, index) => el("td", { class: index === cells.length - 1 ? "number" : null }, cell))))),
  );
}

function total(histogram) {
  return (histogram?.counts ?? []).reduce((sum, count) => sum + count, 0);
}

/**
 * How many comparisons reach the threshold, in words. A bar holds its lower edge and not its upper one:
 * of the bar that the threshold cuts it is not known on which side its comparisons lie.
 */
function reaching({ edges = [], counts = [] } = {}, threshold, metric) {
  const grows = growsWithLikeness(metric);
  const sum = (wanted) => counts.reduce((all, count, bin) => all + (wanted(edges[bin], edges[bin + 1]) ? count : 0), 0);
  const sure = sum((low, high) => (grows ? low >= threshold : high <= threshold));
  const cut = sum((low, high) => (grows ? low < threshold && threshold < high : low <= threshold && threshold < high));
  return `${cut ? `${sure} to ${sure + cut}` : sure} of ${total({ counts })} reach it`;
}

function scores(found) {
  const { enrolled, cohort, threshold, metric } = found;
  const series = [
    { kind: "enrolled", ...enrolled },
    { kind: "cohort", ...cohort },
  ];
  const [near, far] = growsWithLikeness(metric) ? ["right", "left"] : ["left", "right"];
  const words = `Share of comparisons by score. Threshold ${asScore(threshold)}. Pictures of the same person: ${reaching(enrolled, threshold, metric)}; strangers of the cohort: ${reaching(cohort, threshold, metric)}.`;
  return card(
    "Comparison scores",
    el(
      "p",
      { class: "legend" },
      el("span", {}, el("span", { class: "key enrolled" }), `pictures of the same person (${total(enrolled)})`),
      el("span", {}, el("span", { class: "key cohort" }), `strangers of the cohort (${total(cohort)})`),
    ),
    histogram(series, threshold, words),
    el("p", { class: "hint" }, `Share of comparisons in per cent, by score. A person's own pictures should lie ${near} of the threshold; a stranger who lies there is taken for the person who is nearest, so that heap must lie ${far} of it.`),
  );
}

function near(found) {
  const { nearest = [], lookalikes = [], threshold } = found;
  return [
    card(
      "Who is near whom",
      nearest.length
        ? table("Pairs of enrolled people by score", ["One", "Another", "Score"], nearest.map(({ a, b, score }) => [nameOf(a), nameOf(b), asScore(score)]))
        : el("p", { class: "muted" }, "No two enrolled people reach the threshold."),
      el("p", { class: "hint" }, `Pairs that reach the threshold, ${asScore(threshold)}: one may be taken for the other.`),
    ),
    card(
      "Strangers who look alike",
      lookalikes.length
        ? table(
            "Enrolled people by how many strangers they attract",
            ["Person", "Strangers beyond the threshold"],
            lookalikes.map(({ subject, count }) => [nameOf(subject), String(count)]),
          )
        : el("p", { class: "muted" }, "No stranger of the cohort reaches anybody."),
    ),
  ];
}

function board(health) {
  const day = health.day ?? {};
  const now = health.now ?? {};
  const chart = (title, unit, key, digits) =>
    card(title, line({ name: title, unit, digits, values: day[key], from: day.from, step_s: day.step_s }), el("p", { class: "hint" }, `in ${unit}`));
  return [
    el(
      "div",
      { class: "tiles" },
      tile(`${asNumber(now.fps, 1)} /s`, "Pictures"),
      tile(`${asNumber(now.frame_ms, 1)} ms`, "For one picture", Number.isFinite(now.frame_ms_p95) ? `95 %: ${asNumber(now.frame_ms_p95, 1)} ms` : null),
      tile(Number.isFinite(now.temperature_c) ? `${asNumber(now.temperature_c, 0)} °C` : "–", "Temperature"),
      tile(`${asNumber(now.memory_mib, 0)} MiB`, "Memory"),
    ),
    el(
      "div",
      { class: "columns" },
      chart("Time for one picture", "ms", "frame_ms", 1),
      chart("Pictures a second", "1/s", "fps", 1),
      chart("Temperature", "°C", "temperature_c", 0),
      chart("Memory", "MiB", "memory_mib", 0),
    ),
  ];
}

export function figures() {
  const judged = el("div", { class: "stack" }, el("p", { class: "muted" }, "Loading …"));
  const machine = el("div", { class: "stack" });
  let closed = false;

  async function load(place, path, draw) {
    try {
      const found = await api.get(path);
      if (!closed) put(place, draw(found));
    } catch (error) {
      if (!closed) put(place, failure(error));
    }
  }
  const calibration = () =>
    load(judged, "calibration", (found) => [
      el(
        "div",
        { class: "tiles" },
        tile(asRate(found.claimed_fpir), "Claimed FPIR", "how often a stranger's attempt would be taken for somebody enrolled"),
        tile(asScore(found.threshold), "Threshold", found.metric ?? "cosine"),
      ),
      scores(found),
      el("div", { class: "columns" }, near(found)),
    ]);
  const health = () => load(machine, "health", board);
  calibration();
  health();
  const timer = setInterval(health, DAY_MS);
  const quiet = hear(["back"], () => {
    calibration();
    health();
  });
  return {
    element: el("div", { class: "page" }, el("h1", {}, "Figures"), judged, el("h2", { class: "part-title" }, "The board, over the last day"), machine),
    close() {
      closed = true;
      clearInterval(timer);
      quiet();
    },
  };
}
