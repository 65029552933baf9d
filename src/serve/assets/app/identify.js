// Whom a picture shows: the question of `deepid-edge identify`, asked by a file.
//
// In: one picture. Out: the nearest person with the score against the threshold, or why nothing can
// be said. Invariants: it grants nothing and is kept nowhere; the preview stays in the browser.

import { api } from "./api.js";
import { reaches } from "./door.js";
import { el, failure, icon, put } from "./dom.js";
import { asScore } from "./format.js";
import { scoreBar } from "./score.js";
import { QUALITY, words } from "./words.js";

const JUDGING_MS = 60_000;

function face({ best, threshold, accepted, reason, quality, margin }) {
  const score = best?.score;
  const name = accepted && best ? best.subject.name : "Nobody enrolled";
  return el(
    "div",
    { class: "stack" },
    el("p", { class: "subject strong" }, name),
    best && scoreBar(score, threshold, reaches(score, threshold)),
    best && !accepted && el("p", { class: "muted" }, `Nearest: ${best.subject.name}`),
    Number.isFinite(margin) && el("p", { class: "muted" }, `Distance to the second: ${asScore(margin)}`),
    quality && el("p", {}, words(QUALITY, quality)),
    reason && el("p", { class: "muted" }, words({}, reason)),
  );
}

export function identify() {
  let url = null;
  let asked = 0;
  let closed = false;
  const result = el("div", { class: "stack", role: "status" });
  const preview = el("img", { class: "preview", alt: "The chosen picture", hidden: true });
  const chooser = el("input", { type: "file", accept: "image/jpeg,image/png,image/webp", class: "sr", id: "picture-file", onchange: () => judge(chooser.files[0]) });
  const zone = el(
    "div",
    {
      class: "drop",
      ondragover: (event) => event.preventDefault(),
      ondrop(event) {
        event.preventDefault();
        judge(event.dataTransfer.files[0]);
      },
    },
    icon("search"),
    chooser,
    el("p", {}, el("label", { for: "picture-file", class: "as-link" }, "Choose a picture"), " or drop it here"),
    el("p", { class: "hint" }, "It is compared with everybody who is enrolled, and not kept. It grants nothing."),
  );

  async function judge(file) {
    if (!file) return;
    asked += 1;
    const mine = asked;
    if (url) URL.revokeObjectURL(url);
    url = URL.createObjectURL(file);
    preview.src = url;
    preview.hidden = false;
    put(result, el("p", { class: "muted" }, "Judging …"));
    const body = new FormData();
    body.append("picture", file, file.name);
    try {
      const answer = await api.post("identify", body, { patience_ms: JUDGING_MS });
      if (closed || mine !== asked) return;
      if (answer.faces.length) put(result, answer.faces.map(face));
      else put(result, failure({ message: answer.text ?? words(QUALITY, answer.reason), remedy: answer.remedy }));
    } catch (error) {
      if (!closed && mine === asked) put(result, failure(error));
    }
  }

  return {
    element: el(
      "div",
      { class: "page narrow" },
      el("a", { class: "back", href: "#/people" }, icon("back"), "People"),
      el("h1", {}, "Who is this?"),
      el("div", { class: "card stack" }, zone, el("div", { class: "asked" }, preview, result)),
    ),
    close() {
      closed = true;
      if (url) URL.revokeObjectURL(url);
    },
  };
}
