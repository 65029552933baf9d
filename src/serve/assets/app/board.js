// The door itself: its state, its faults with what helps, the doctor's verdicts, its configuration.
//
// In: state, doctor, configuration in force. Out: what is wrong first, then what is. Invariants:
// every fault stands with its remedy; nothing is changed here; secrets come masked and stay so.

import { api } from "./api.js";
import { door, hear, isAdministrator } from "./door.js";
import { button, card, el, failure, icon, put, terms } from "./dom.js";
import { asAgo, asMoment, asNumber, asScore, plural } from "./format.js";
import { armedText } from "./sentence.js";
import { CAMERA, STATUS, words } from "./words.js";

const VERDICTS = { ok: ["check", "Good"], warning: ["warning", "Look at it"], problem: ["cross", "Wrong"] };

function faults(state) {
  const all = [...(state.faults ?? [])];
  const { remedy, state: is } = state.camera ?? {};
  if (remedy && !all.some(({ code }) => code.startsWith("camera"))) {
    all.push({ code: "camera", text: "About the camera", remedy, mild: is === "streaming" });
  }
  if (!all.length) return el("div", { class: "notice good" }, icon("check"), el("p", {}, "No fault is known."));
  return all.map(({ text, remedy, code, mild }) =>
    el("div", { class: `notice ${mild ? "warn" : "bad"}` }, icon("warning"), el("div", {}, el("p", { class: "strong" }, text ?? code), remedy && el("p", {}, remedy))),
  );
}

function facts(state) {
  const { camera = {}, enrolled = {}, liveness = {}, armed } = state;
  return terms([
    ["Status", words(STATUS, state.status)],
    ["Runs since", `${asMoment(state.started_at)} (${asAgo(state.started_at)})`],
    ["Version", state.version],
    ["Camera", [camera.name, camera.width && `${camera.width} × ${camera.height}`, Number.isFinite(camera.fps) && `${asNumber(camera.fps, 1)} pictures a second`, words(CAMERA, camera.state)].filter(Boolean).join(", ")],
    ["Enrolled", `${plural(enrolled.subjects ?? 0, "person", "people")}, ${plural(enrolled.references ?? 0, "reference")}`],
    ["Armed", armed && armedText(armed)],
    ["Locked until", state.locked_until && asMoment(state.locked_until)],
    ["Network", [state.model, state.confirm && `confirmed by ${state.confirm}`].filter(Boolean).join(", ")],
    ["Threshold", `${asScore(state.threshold)} (${state.metric ?? "cosine"})`],
    ["Liveness", [liveness.mode, liveness.network].filter(Boolean).join(", ")],
    ["Grant key", state.grant_key && el("code", {}, state.grant_key)],
    ["Pages open", Number.isFinite(state.viewers) ? String(state.viewers) : null],
  ]);
}

function verdict({ check, verdict: found, text, remedy }) {
  const [sign, name] = VERDICTS[found] ?? ["unknown", found];
  return el(
    "li",
    { class: found },
    icon(sign),
    el("div", {}, el("p", { class: "strong" }, check, el("span", { class: "sr" }, `: ${name}`)), el("p", {}, text), remedy && el("p", { class: "remedy" }, remedy)),
  );
}

function shown(value) {
  if (value === null || value === undefined || value === "") return "(empty)";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function setting({ key, value, source, help, live }) {
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, el("code", {}, key), el("p", { class: "hint" }, help)),
    el("td", { "data-label": "Value" }, el("code", { class: "value" }, shown(value))),
    el("td", { "data-label": "From" }, source),
    el("td", { "data-label": "Changes" }, live ? "by reload" : "by restart"),
  );
}

export function board() {
  const state = el("div", {});
  const wrong = el("div", { class: "stack" });
  const checks = el("div", {}, el("p", { class: "muted" }, "The doctor looks at configuration, models, database, camera, broker and clock. It takes some seconds."));
  const rows = el("tbody", {});
  const problems = el("div", {});
  const count = el("p", { class: "muted", role: "status" });
  let settings = [];
  let closed = false;

  function draw() {
    if (!door.state) return put(state, el("p", { class: "muted" }, "The door's state is not known yet."));
    put(wrong, faults(door.state));
    return put(state, facts(door.state));
  }

  const run = button("Ask the doctor", async () => {
    run.disabled = true;
    put(checks, el("p", { class: "muted", role: "status" }, "The doctor looks …"));
    try {
      const found = await api.get("doctor", {}, { patience_ms: 60_000 });
      if (!closed) put(checks, el("ul", { class: "checks" }, found.map(verdict)));
    } catch (error) {
      if (!closed) put(checks, error.status === 404 ? el("p", {}, "Ask on the door itself: ", el("code", {}, "deepid-edge doctor")) : failure(error));
    }
    run.disabled = false;
  });

  const search = el("input", { type: "search", placeholder: "Key or meaning", "aria-label": "Search the configuration", oninput: () => list() });
  const only = el("input", { type: "checkbox", id: "only-set", onchange: () => list() });

  function list() {
    const wanted = search.value.trim().toLowerCase();
    const found = settings.filter(
      ({ key, help, source }) =>
        (!only.checked || source !== "default") && (!wanted || `${key} ${help}`.toLowerCase().includes(wanted)),
    );
    put(rows, found.map(setting));
    put(count, `${found.length} of ${plural(settings.length, "setting")}`);
  }

  async function load() {
    try {
      settings = await api.get("config");
      if (!closed) list();
    } catch (error) {
      if (!closed) put(problems, failure(error));
    }
  }

  const quiet = [hear(["health"], draw), hear(["back"], load)];
  draw();
  load();
  return {
    element: el(
      "div",
      { class: "page" },
      el("h1", {}, "Door"),
      wrong,
      el("div", { class: "columns" }, card("State", state, isAdministrator() && el("a", { class: "more", href: "#/door/zones" }, "Where no face is seen", icon("chevron"))), card("Doctor", checks, el("div", { class: "actions" }, run))),
      card(
        "Configuration in force",
        el("p", { class: "hint" }, "Changed in the configuration file on the door, not here."),
        el("div", { class: "toolbar" }, el("div", { class: "search" }, icon("search"), search), el("label", { class: "check", for: "only-set" }, only, "only what was set"), count),
        problems,
        el(
          "table",
          { class: "table cards settings" },
          el("caption", { class: "sr" }, "Configuration in force"),
          el("thead", {}, el("tr", {}, ["Key", "Value", "From", "Changes"].map((text) => el("th", { scope: "col" }, text)))),
          rows,
        ),
      ),
    ),
    close() {
      closed = true;
      quiet.forEach((stop) => stop());
    },
  };
}
