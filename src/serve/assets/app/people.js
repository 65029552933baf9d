// Everybody who is enrolled.
//
// In: the daemon's list. Out: a table that can be searched, with ways to add somebody. Invariant: a
// viewer sees the list and no way to change it.

import { api } from "./api.js";
import { hear, isAdministrator } from "./door.js";
import { el, failure, icon, put } from "./dom.js";
import { asDate, plural } from "./format.js";

const TYPING_MS = 180;

/** "from … until …", or nothing where there is no limit. */
export function validity({ valid_from: from, valid_until: until }) {
  if (from && until) return `${asDate(from)} to ${asDate(until)}`;
  if (from) return `from ${asDate(from)}`;
  return until ? `until ${asDate(until)}` : "";
}

/** Whether somebody may be granted by switch and validity at this moment. */
function standing(subject, now = Date.now()) {
  if (!subject.enabled) return ["off", "Switched off"];
  if (subject.valid_until && Date.parse(subject.valid_until) < now) return ["off", "Expired"];
  if (subject.valid_from && Date.parse(subject.valid_from) > now) return ["off", "Not yet valid"];
  if (!subject.references) return ["warn", "No references"];
  return ["on", "May pass"];
}

export function mark(subject) {
  const [kind, text] = standing(subject);
  return el("span", { class: `tag ${kind}` }, text);
}

function row(subject) {
  const cell = (label, value, absent) =>
    el("td", { "data-label": label, class: value ? null : "none" }, value || el("span", { class: "muted" }, absent));
  return el(
    "tr",
    {},
    el(
      "th",
      { scope: "row" },
      el("a", { href: `#/people/${encodeURIComponent(subject.id)}` }, subject.name),
    ),
    cell("State", mark(subject)),
    cell("Group", subject.groups?.join(", "), "none"),
    cell("Validity", validity(subject), "no limit"),
    cell("References", String(subject.references)),
  );
}

export function people() {
  const count = el("p", { class: "muted", role: "status" });
  const rows = el("tbody", {});
  const empty = el("div", {});
  const table = el(
    "table",
    { class: "table cards" },
    el("caption", { class: "sr" }, "People who are enrolled"),
    el("thead", {}, el("tr", {}, ["Name", "State", "Group", "Validity", "References"].map((text) => el("th", { scope: "col" }, text)))),
    rows,
  );
  let asked = 0;
  let typing;

  async function load() {
    asked += 1;
    const mine = asked;
    const q = search.value.trim();
    try {
      const list = await api.get("subjects", { q });
      // An answer that was overtaken by a later question is not shown.
      if (mine !== asked) return;
      put(rows, list.map(row));
      table.hidden = list.length === 0;
      put(count, q ? `${plural(list.length, "person", "people")} found` : plural(list.length, "person", "people"));
      put(empty, list.length ? null : nobody(q));
    } catch (error) {
      if (mine === asked) put(empty, failure(error));
    }
  }

  function nobody(q) {
    return el(
      "div",
      { class: "empty" },
      icon("people"),
      el("p", { class: "strong" }, q ? "Nobody has such a name." : "Nobody is enrolled yet."),
      !q && el("p", {}, isAdministrator() ? "Add somebody from pictures, at this door's camera, or from a visit of the last minutes." : "An administrator can add people."),
    );
  }

  const search = el("input", {
    type: "search",
    placeholder: "Search by name",
    "aria-label": "Search by name",
    oninput() {
      clearTimeout(typing);
      typing = setTimeout(load, TYPING_MS);
    },
  });
  const quiet = hear(["back"], load);
  load();

  const link = (href, name, text, kind) => el("a", { class: `button ${kind}`, href }, icon(name), el("span", {}, text));
  const element = el(
    "div",
    { class: "page" },
    el(
      "div",
      { class: "head" },
      el("h1", {}, "People"),
      isAdministrator() &&
        el(
          "div",
          { class: "actions" },
          link("#/people/identify", "search", "Who is this?", "quiet"),
          link("#/people/visits", "log", "Add from a recent visit", ""),
          link("#/people/add", "files", "Add from files", ""),
          link("#/people/enrol", "camera", "Add at the door", "primary"),
        ),
    ),
    el("div", { class: "toolbar" }, el("div", { class: "search" }, icon("search"), search), count),
    el("div", { class: "card flush" }, table, empty),
  );
  return {
    element,
    close() {
      clearTimeout(typing);
      quiet();
    },
  };
}
