// Guided enrolment at this door's camera.
//
// In: a name, or the id of somebody who is enrolled; the daemon's `enrolment` events. Out: a ring of
// what was taken and what is missing, what to do now, warnings, and the order to write or to cancel.
// Invariants: nothing is written before the button; a view that is left cancels what runs, so that
// the door decides again; the daemon alone judges what is good enough.

import { api } from "./api.js";
import { hear } from "./door.js";
import { button, el, failure, field, icon, put, svg, toast } from "./dom.js";
import { Picture } from "./picture.js";
import { QUALITY, STEPS, words } from "./words.js";

const ORDER = ["up", "right", "straight", "left"];
/** Where each pose lies on the ring, in degrees clockwise from the top. Left is the visitor's own left. */
const PLACES = { up: [-42, 42], right: [48, 132], straight: null, left: [228, 312] };

function arc(radius, from, to) {
  const at = (angle) => {
    const turn = ((angle - 90) * Math.PI) / 180;
    return `${(100 + radius * Math.cos(turn)).toFixed(2)} ${(100 + radius * Math.sin(turn)).toFixed(2)}`;
  };
  const large = to - from > 180 ? 1 : 0;
  return `M ${at(from)} A ${radius} ${radius} 0 ${large} 1 ${at(to)}`;
}

/** The ring: an arc for each side, a disc for straight; each fills as pictures are taken. */
function ring({ step, taken = {}, wanted = {} }) {
  const parts = ORDER.filter((name) => wanted[name]).map((name) => {
    const share = Math.min(1, (taken[name] ?? 0) / wanted[name]);
    const state = share >= 1 ? "full" : name === step ? "now" : "open";
    const place = PLACES[name];
    if (!place) {
      return [
        svg("circle", { class: `part ${state}`, cx: 100, cy: 100, r: 44 }),
        svg("circle", { class: "gone", cx: 100, cy: 100, r: 44, pathLength: 100, "stroke-dasharray": `${share * 100} 100`, transform: "rotate(-90 100 100)" }),
        svg("path", { class: "face", d: "M84 92h.1M116 92h.1M82 112c5 7 11 10 18 10s13-3 18-10" }),
      ];
    }
    const [from, to] = place;
    return [
      svg("path", { class: `part ${state}`, d: arc(78, from, to) }),
      share > 0 && svg("path", { class: "gone", d: arc(78, from, from + (to - from) * share) }),
    ];
  });
  const said = Object.keys(wanted).map((name) => `${STEPS[name]?.name ?? name} ${taken[name] ?? 0} of ${wanted[name]}`).join(", ");
  return svg("svg", { class: "ring", viewBox: "0 0 200 200", role: "img", "aria-label": `Taken: ${said}` }, parts.flat());
}

function poses({ step, taken = {}, wanted = {} }) {
  return el(
    "ol",
    { class: "poses" },
    Object.keys(STEPS).filter((name) => wanted[name]).map((name) => {
      const full = (taken[name] ?? 0) >= wanted[name];
      return el(
        "li",
        { class: full ? "full" : name === step ? "now" : "open", "aria-current": name === step && !full ? "step" : null },
        full ? icon("check") : el("span", { class: "dot" }),
        el("span", {}, STEPS[name].name),
        el("span", { class: "count" }, `${taken[name] ?? 0} / ${wanted[name]}`),
      );
    }),
  );
}

export function enrol(id) {
  const body = el("div", { class: "page narrow" });
  let running = null;
  let last = null;
  let picture = null;
  let closed = false;
  let written = false;

  /** What has become of somebody, by whether they were enrolled before. */
  const outcome = (subject) => (id ? `${subject.name} has more references` : `${subject.name} is enrolled`);

  const back = () =>
    el("a", { class: "back", href: id ? `#/people/${encodeURIComponent(id)}` : "#/people" }, icon("back"), id ? "Person" : "People");

  function release() {
    picture?.close();
    picture = null;
  }

  function ask(problem) {
    release();
    const name = el("input", { name: "name", autocomplete: "off", required: true, maxlength: 100 });
    const submit = el("button", { class: "button primary", type: "submit" }, "Begin");
    const problems = el("div", {}, problem && failure(problem));
    const title = el("h1", {}, "Add at the door");
    const start = async (event) => {
      event.preventDefault();
      submit.disabled = true;
      put(problems);
      try {
        const answer = await api.post("enrolments", id ? { subject: id } : { name: name.value.trim() });
        running = answer.id;
        if (closed) return cancel();
        written = false;
        guide();
      } catch (error) {
        put(problems, failure(error));
      }
      submit.disabled = false;
      return undefined;
    };
    put(
      body,
      back(),
      title,
      el(
        "form",
        { class: "card stack", onsubmit: start },
        id ? null : field("Name", name, "As it is to be shown in list and log."),
        el("p", {}, "The person stands before the door's camera and is asked to look straight, to the left, to the right and up. It takes about half a minute. Meanwhile the door lets nobody in."),
        problems,
        el("div", { class: "actions" }, submit),
      ),
    );
    if (id) {
      api.get("subjects").then(
        (all) => {
          const subject = all.find((one) => one.id === id);
          if (subject && !closed) put(title, `More references of ${subject.name}`);
        },
        () => {},
      );
    }
  }

  function guide() {
    const turn = el("div", { class: "ring-place" });
    const say = el("p", { class: "say-now", role: "status", "aria-live": "assertive" });
    const hint = el("p", { class: "hint" });
    const list = el("div", {});
    const warnings = el("div", { role: "status" });
    const problems = el("div", {});
    const finish = button("Save", () => write(), { kind: "primary", icon: "check" });
    picture = new Picture();

    async function write() {
      finish.disabled = true;
      put(problems);
      try {
        const subject = await api.post(`enrolments/${encodeURIComponent(running)}/finish`);
        done(subject);
      } catch (error) {
        put(problems, failure(error));
        finish.disabled = false;
      }
    }

    draw = (event) => {
      put(turn, ring(event));
      put(list, poses(event));
      const ready = event.step === "ready";
      put(say, ready ? "Everything was taken" : (STEPS[event.step]?.say ?? "Step before the camera"));
      put(hint, ready ? "Save it, or cancel: nothing is written yet." : event.say ? [icon("warning"), words(QUALITY, event.say)] : "Left and right are those of the person.");
      hint.classList.toggle("trouble", Boolean(!ready && event.say));
      put(warnings, (event.warnings ?? []).map((text) => el("div", { class: "notice warn" }, icon("warning"), el("p", {}, text))));
      finish.disabled = !(event.taken?.straight > 0);
      put(finish.querySelector("span"), ready ? "Save" : "Save so far");
      finish.classList.toggle("primary", ready);
    };
    put(
      body,
      back(),
      el("h1", {}, "Add at the door"),
      el(
        "div",
        { class: "guide" },
        el("div", { class: "stage" }, picture.element),
        el(
          "section",
          { class: "card stack", "aria-label": "What to do" },
          say,
          hint,
          el("div", { class: "ring-and-list" }, turn, list),
          warnings,
          problems,
          el("div", { class: "actions" }, finish, button("Cancel", () => { cancel(); ask(); })),
        ),
      ),
    );
    draw(last?.id === running ? last : { step: "straight", taken: {}, wanted: { straight: 1, left: 1, right: 1, up: 1 } });
  }

  let draw = () => {};

  function done(subject) {
    if (written) return;
    written = true;
    running = null;
    draw = () => {};
    release();
    toast(outcome(subject));
    put(
      body,
      back(),
      el("h1", {}, "Add at the door"),
      el(
        "div",
        { class: "card stack centred" },
        icon("check", "big good"),
        el("p", { class: "strong" }, `${outcome(subject)}.`),
        el("p", { class: "muted" }, "Let the person step away and come back: the door should recognise them now."),
        el(
          "div",
          { class: "actions" },
          el("a", { class: "button primary", href: `#/people/${encodeURIComponent(subject.id)}` }, "Show the person"),
          el("a", { class: "button", href: "#/live" }, "Watch the door"),
        ),
      ),
    );
  }

  function cancel() {
    const mine = running;
    running = null;
    last = null;
    draw = () => {};
    if (mine) api.delete(`enrolments/${encodeURIComponent(mine)}`).catch(() => {});
  }

  const quiet = hear(["enrolment"], (_, event) => {
    if (closed || !running || event.id !== running) {
      if (!running) last = event;
      return;
    }
    last = event;
    if (event.step === "done" && event.subject) return done(event.subject);
    if (event.step !== "failed") return draw(event);
    running = null;
    last = null;
    return ask({ message: event.detail ?? "The enrolment ended without a result.", remedy: event.remedy ?? "Begin again." });
  });

  /** One that runs already, of this page before it was loaded again or of somebody else. */
  async function look() {
    let event;
    try {
      event = await api.get("enrolments");
    } catch {
      return;
    }
    if (closed || running || !event?.id || event.step === "done" || event.step === "failed") return;
    const act = (then) => () => {
      running = event.id;
      last = event;
      then();
      note.remove();
    };
    const note = el(
      "div",
      { class: "notice warn" },
      icon("warning"),
      el(
        "div",
        {},
        el("p", {}, "An enrolment runs already."),
        el("div", { class: "actions" }, button("Continue it", act(guide)), button("Cancel it", act(cancel))),
      ),
    );
    body.querySelector("form")?.before(note);
  }
  addEventListener("pagehide", cancel);
  ask();
  look();
  return {
    element: body,
    close() {
      closed = true;
      removeEventListener("pagehide", cancel);
      quiet();
      cancel();
      release();
    },
  };
}
