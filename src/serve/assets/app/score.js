// A comparison score against its threshold, as a bar.
//
// In: score and threshold, and whether the one reaches the other. Out: an element that says both in
// words, too. Invariant: the bar of a cosine reaches from 0 to 1, that of a distance, which has no
// end, from 0 to twice the threshold; what lies beyond is cut.

import { growsWithLikeness } from "./door.js";
import { el, svg } from "./dom.js";
import { asScore } from "./format.js";

/** A bar with a line at the threshold; the score as text beside it. */
export function scoreBar(score, threshold, good) {
  const grows = growsWithLikeness();
  const whole = grows ? 1 : 2 * threshold || 1;
  const at = (value) => Math.max(0, Math.min(100, (value / whole) * 100)) || 0;
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
    el("span", { class: "figure" }, el("b", {}, asScore(score)), `${grows ? " of" : ", at most"} ${asScore(threshold)}`),
  );
}
