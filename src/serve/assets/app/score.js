// A comparison score against its threshold, as a bar.
//
// In: score and threshold, and whether the one reaches the other. Out: an element that says both in
// words, too. Invariant: the bar's ends are 0 and 1, whatever the metric; what lies beyond is cut.

import { el, svg } from "./dom.js";
import { asScore } from "./format.js";

/** A bar from 0 to 1 with a line at the threshold; the score as text beside it. */
export function scoreBar(score, threshold, good) {
  const at = (value) => Math.max(0, Math.min(100, value * 100));
  return el(
    "div",
    { class: `score ${good ? "good" : "short"}`, role: "img", "aria-label": `Score ${asScore(score)}, threshold ${asScore(threshold)}` },
    svg(
      "svg",
      { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "track", width: 100, height: 10 }),
      svg("rect", { class: "fill", width: at(score ?? 0), height: 10 }),
      svg("rect", { class: "line", x: at(threshold) - 0.3, width: 0.6, height: 10 }),
    ),
    el("span", { class: "figure" }, el("b", {}, asScore(score)), ` of ${asScore(threshold)}`),
  );
}
