// The live view: what stands at the door now, how it is judged, and what was decided last.
//
// In: the live picture (administrators), observations and decisions. Out: picture, score against the
// threshold, what is in the way of a decision, presence, guidance, the last decisions. Invariant: a
// viewer gets no picture, and no socket is opened for one.

import { api } from "./api.js";
import { door, hear, isAdministrator, reaches } from "./door.js";
import { card, el, failure, icon, put } from "./dom.js";
import { asMinute, asScore, asSecond } from "./format.js";
import { Picture, principal } from "./picture.js";
import { scoreBar } from "./score.js";
import { armedText } from "./sentence.js";
import { outcomeMark, reasonOf, whoOf } from "./decision.js";
import { CAMERA, GUIDANCE, LACKING, QUALITY, words } from "./words.js";

const SHOWN = 8;
const CLEAR_MS = 2_500;

function judgement(observation) {
  const face = principal(observation);
  if (!observation?.faces?.length) return el("p", { class: "muted" }, "Nobody stands before the camera.");
  if (!face) return el("p", { class: "muted" }, "A face is seen, none that is judged.");
  const score = face.score ?? observation.score;
  const good = face.subject !== undefined && reaches(score, observation.threshold);
  const reasons = [];
  if (face.quality) reasons.push(words(QUALITY, face.quality));
  const { liveness } = observation;
  if (liveness?.lacking) reasons.push(`Liveness: ${words(LACKING, liveness.lacking)}`);
  if (observation.faces.length > 1) reasons.push(`${observation.faces.length} faces are in the picture`);
  return [
    el("p", { class: "subject" }, face.subject?.name ?? face.subject?.id ?? (face.quality ? "Not compared" : "Nobody enrolled is near enough")),
    scoreBar(score, observation.threshold ?? door.state?.threshold, good),
    Number.isFinite(liveness?.median) && el("p", { class: "muted" }, `Liveness, median of the network: ${asScore(liveness.median)}`),
    el("ul", { class: "reasons" }, reasons.map((reason) => el("li", {}, icon("warning"), reason))),
  ];
}

function now() {
  const { state, present, guidance, reached } = door;
  const lines = [
    ["Presence", !reached ? "not known" : present ? "somebody is at the door" : "nobody"],
    ["Guidance", guidance ? el("span", { class: "say" }, icon(guidance), words(GUIDANCE, guidance)) : "none"],
    ["Armed", state?.armed && armedText(state.armed)],
    ["Locked", state?.locked_until && `until ${asSecond(state.locked_until)}, after failed visits`],
    ["Camera", state?.camera && words(CAMERA, state.camera.state)],
    ["Enrolled", state?.enrolled && `${state.enrolled.subjects} people`],
  ];
  return el(
    "dl",
    { class: "terms" },
    lines.filter(([, value]) => value).map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value))),
  );
}


export function live() {
  const judged = el("div", { class: "judged" });
  const state = el("div", {});
  const list = el("ol", { class: "decisions" });
  let records = [];
  let clearing;
  let changed = false;

  const observe = (observation) => {
    clearTimeout(clearing);
    put(judged, judgement(observation));
    clearing = setTimeout(() => put(judged, judgement(null)), CLEAR_MS);
  };
  const picture = isAdministrator() ? new Picture(observe) : null;

  const entry = (record) =>
    el(
      "li",
      {},
      outcomeMark(record.outcome),
      el("div", {}, el("p", { class: "strong" }, whoOf(record)), el("p", { class: "muted" }, reasonOf(record))),
      el("time", { datetime: record.at }, asMinute(record.at)),
    );

  function draw() {
    put(list, records.length ? records.map(entry) : el("li", { class: "muted" }, "No decision yet."));
  }

  async function load() {
    try {
      const page = await api.get("records", { kind: "decision", limit: SHOWN });
      // A decision that came while the answer was under way is in the list already.
      const known = new Set(page.records.map(({ seq }) => seq));
      records = [...(changed ? records.filter(({ seq }) => !known.has(seq)) : []), ...page.records].slice(0, SHOWN);
      draw();
    } catch (error) {
      put(list, el("li", {}, failure(error)));
    }
  }

  const quiet = [
    hear(["decision"], (_, record) => {
      changed = true;
      records = [record, ...records.filter(({ seq }) => seq !== record.seq)].slice(0, SHOWN);
      draw();
      list.firstChild.classList.add("new");
    }),
    hear(["presence", "guidance", "health", "reached"], () => put(state, now())),
    hear(["back"], load),
    picture ? () => {} : hear(["observation"], (_, observation) => observe(observation)),
  ];
  put(judged, judgement(null));
  put(state, now());
  load();

  const element = el(
    "div",
    { class: picture ? "live" : "live no-picture" },
    el("h1", { class: "sr" }, "Live"),
    el(
      "div",
      { class: "stage" },
      picture?.element,
      el("section", { class: "card judged-card", "aria-label": "Judgement of this moment" }, judged),
      !picture && [card("Now", state), el("p", { class: "hint" }, "The camera's picture is shown to administrators only.")],
    ),
    el(
      "div",
      { class: "side" },
      picture && card("Now", state),
      card("Last decisions", list, el("a", { class: "more", href: "#/log" }, "The whole log", icon("chevron"))),
    ),
  );
  return {
    element,
    close() {
      clearTimeout(clearing);
      picture?.close();
      quiet.forEach((stop) => stop());
    },
  };
}
