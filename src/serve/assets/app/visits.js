// Somebody who has just been at the door, and whom it did not know, is enrolled from that visit.
//
// In: the strangers' visits that the daemon remembers; a name, or somebody who is enrolled; both may stand in
// the address. Out: one request, and what somebody should look at again. Invariants: nothing is sent before
// the button is pressed by somebody who has said that they know who stood there; there is no picture of a
// visit, and none is asked for; what was begun stays while the list is read anew.

import { api } from "./api.js";
import { hear, isAdministrator } from "./door.js";
import { button, el, failure, field, icon, put, select, toast } from "./dom.js";
import { asAgo, asNumber, asSecond, plural } from "./format.js";

const ENROLLING_MS = 30_000;
/** How often the minutes that are left are read anew. */
const LOOK_MS = 15_000;
/** The desk hears of the faces right behind the decision. */
const BEHIND_MS = 400;

/** The address of the view, with a visit or somebody enrolled chosen. */
export function visitsAddress(chosen) {
  return `#/people/visits?${new URLSearchParams(chosen)}`;
}

/** A way to enrol whoever a record is of, where the daemon remembers that visit; put beside its details. */
export function offerOf(record) {
  const place = el("div", { class: "offer" });
  if (!isAdministrator() || record.outcome !== "unknown") return null;
  api.get("visits").then(
    ({ visits }) => {
      const visit = visits.find(({ seq }) => seq === record.seq);
      if (!visit) return;
      put(place, el("a", { class: "button small", href: visitsAddress({ visit: visit.id }) }, icon("people"), el("span", {}, "Enrol this person")));
    },
    () => {
      // The list of visits says what is wrong; a record is read without it.
    },
  );
  return place;
}

function left(seconds) {
  return seconds < 60 ? "for less than a minute" : `for ${plural(Math.round(seconds / 60), "more minute")}`;
}

function described({ at, lasted_ms: lasted, faces, quality }) {
  return [
    lasted !== undefined && `seen for ${asNumber(lasted / 1000, 1)} s`,
    `${plural(faces, "face")} kept, quality up to ${asNumber(quality * 100)} %`,
    at && asAgo(at) !== "just now" && `${asAgo(at)} ago`,
  ].filter(Boolean).join(", ");
}

export function visits() {
  const asked = Object.fromEntries(new URLSearchParams(location.hash.split("?")[1] ?? ""));
  let chosen = asked.visit ?? null;
  let closed = false;
  let busy = false;
  let asking = 0;
  let behind;
  const list = el("div", { class: "choices" });
  const nothing = el("div", {});
  const problems = el("div", {});
  const result = el("div", { class: "stack" });
  const name = el("input", { name: "name", autocomplete: "off", required: true, maxlength: 100 });
  const naming = field("Name", name, "As it is to be shown in list and log.");
  const whom = select([["", "Somebody new"]], "", () => draw());
  const sure = el("input", { type: "checkbox", id: "stood-there", required: true });
  const submit = el("button", { class: "button primary", type: "submit" }, "Enrol");

  function entry(visit) {
    const id = `visit-${visit.seq}`;
    const control = el("input", {
      type: "radio",
      name: "visit",
      id,
      checked: visit.id === chosen,
      onchange() {
        chosen = visit.id;
        draw();
      },
    });
    return el(
      "label",
      { class: "choice", for: id },
      control,
      el(
        "span",
        {},
        el("span", { class: "strong" }, visit.at ? asSecond(visit.at) : `Record ${visit.seq}`),
        el("span", { class: "muted" }, described(visit)),
        el("span", { class: "hint" }, `remembered ${left(visit.left_s)}`),
      ),
    );
  }

  function draw() {
    naming.hidden = whom.value !== "";
    name.required = !naming.hidden;
    submit.disabled = busy || !chosen;
    put(submit, busy ? "Enrolling …" : "Enrol");
  }

  function empty({ minutes, remedy }) {
    if (remedy) {
      return el(
        "div",
        { class: "notice warn" },
        icon("warning"),
        el("div", {}, el("p", { class: "strong" }, "This door remembers no visits."), el("p", {}, "To switch it on, set ", el("code", {}, "policy.recall_minutes"), " in the configuration, to 10 say, and reload the daemon. What is kept then are a few numbers of each face, in memory alone.")),
      );
    }
    return el(
      "div",
      { class: "empty" },
      icon("unknown"),
      el("p", { class: "strong" }, "No stranger's visit is remembered."),
      el("p", {}, `Let the person stand before the door, alone, until it says that it does not know them. A visit is remembered for ${plural(minutes, "minute")}, and is used once.`),
    );
  }

  async function load() {
    asking += 1;
    const mine = asking;
    try {
      const found = await api.get("visits");
      if (closed || mine !== asking) return;
      if (!found.visits.some(({ id }) => id === chosen)) chosen = null;
      // The only one is meant.
      if (!chosen && found.visits.length === 1) chosen = found.visits[0].id;
      const focused = document.activeElement?.id;
      put(list, found.visits.length ? el("fieldset", { class: "plain" }, el("legend", {}, "Which visit"), found.visits.map(entry)) : null);
      if (focused?.startsWith("visit-")) document.getElementById(focused)?.focus({ preventScroll: true });
      put(nothing, found.visits.length ? null : empty(found));
      form.classList.toggle("without", !found.visits.length);
      draw();
    } catch (error) {
      if (!closed && mine === asking) put(nothing, failure(error));
    }
  }

  async function people() {
    try {
      const all = await api.get("subjects");
      if (closed) return;
      whom.append(...all.map((one) => el("option", { value: one.id }, `More references of ${one.name}`)));
      if (all.some(({ id }) => id === asked.subject)) whom.value = asked.subject;
      draw();
    } catch {
      // Without the list somebody new can be enrolled all the same.
    }
  }

  async function send(event) {
    event.preventDefault();
    busy = true;
    draw();
    put(problems);
    put(result);
    try {
      const body = whom.value ? { subject: whom.value } : { name: name.value.trim() };
      const { subject, references, warnings } = await api.post(`visits/${encodeURIComponent(chosen)}/enrol`, body, { patience_ms: ENROLLING_MS });
      if (closed) return;
      chosen = null;
      sure.checked = false;
      name.value = "";
      put(
        result,
        warnings.map((text) => el("div", { class: "notice warn" }, icon("warning"), el("p", {}, text))),
        el(
          "div",
          { class: "notice good", role: "status" },
          icon("check"),
          el("div", {}, el("p", { class: "strong" }, `${subject.name} has ${plural(references, "new reference")}.`), el("p", {}, el("a", { href: `#/people/${encodeURIComponent(subject.id)}` }, "Show the person"), ": there are groups, validity and, if it was the wrong one, the way back.")),
        ),
      );
      toast(whom.value ? `${subject.name} has more references` : `${subject.name} is enrolled`);
    } catch (error) {
      if (!closed) put(problems, failure(error));
    } finally {
      busy = false;
      if (!closed) await load();
    }
  }

  const form = el(
    "form",
    { class: "card stack", onsubmit: send },
    el(
      "div",
      { class: "notice warn" },
      icon("warning"),
      el(
        "div",
        {},
        el("p", { class: "strong" }, "Look at who stood there."),
        el("p", {}, "Whether this visitor was a living face is not known: a photograph that is held up can be enrolled so. There is no picture of the visit; choose it by its time."),
      ),
    ),
    nothing,
    list,
    el(
      "div",
      { class: "stack of-a-visit" },
      field("Who it was", whom),
      naming,
      el("label", { class: "check", for: "stood-there" }, sure, "I know who stood there at that time."),
    ),
    problems,
    result,
    el("div", { class: "actions" }, el("span", { class: "of-a-visit" }, submit), button("Done", () => (location.hash = asked.subject ? `#/people/${encodeURIComponent(asked.subject)}` : "#/people"), { kind: "quiet" })),
  );
  const timer = setInterval(load, LOOK_MS);
  const quiet = [
    hear(["decision"], (_, { outcome }) => {
      if (outcome !== "unknown") return;
      clearTimeout(behind);
      behind = setTimeout(load, BEHIND_MS);
    }),
    hear(["back"], load),
  ];
  draw();
  load();
  people();
  return {
    element: el(
      "div",
      { class: "page narrow" },
      el("a", { class: "back", href: "#/people" }, icon("back"), "People"),
      el("h1", {}, "Add from a recent visit"),
      form,
    ),
    close() {
      closed = true;
      clearInterval(timer);
      clearTimeout(behind);
      quiet.forEach((stop) => stop());
    },
  };
}
