// The log: what the door did, newest first.
//
// In: pages of records, new ones as they are made, filters in the address. Out: sentences under
// their day; a record opens to its details; the same selection as a download. Invariants: an answer
// that was overtaken by another filter is not shown; what is fetched is bounded by page, and news are
// asked for one request at a time, however many events come; new records are added above only where
// they match the filter, which the daemon judges.

import { api, address } from "./api.js";
import { hear } from "./door.js";
import { button, el, failure, field, icon, put, select } from "./dom.js";
import { asDay, asSecond, fromField } from "./format.js";
import { details, outcomeMark } from "./decision.js";
import { sentenceOf } from "./sentence.js";
import { offerOf } from "./visits.js";
import { OUTCOMES } from "./words.js";

const PAGE = 50;
const SHOWN_MAX = 1000;

function asked() {
  return Object.fromEntries(new URLSearchParams(location.hash.split("?")[1] ?? ""));
}

export function log() {
  const filter = asked();
  let records = [];
  let before = null;
  let asking = 0;
  let closed = false;
  let looking = false;
  let due = false;
  const open = new Set();
  const list = el("div", { class: "log" });
  const foot = el("div", { class: "actions centred" });
  const problems = el("div", {});
  const live = el("p", { class: "sr", role: "status" });
  const exports = el("div", { class: "actions" });

  function parameters(more) {
    return { ...filter, from: fromField(filter.from) ?? "", to: fromField(filter.to) ?? "", ...more };
  }

  async function load(older = false) {
    asking += 1;
    const mine = asking;
    put(problems);
    try {
      const page = await api.get("records", parameters({ limit: PAGE, before: older ? before : "" }));
      if (closed || mine !== asking) return;
      records = older ? [...records, ...page.records] : page.records;
      before = page.next_before ?? null;
      draw();
    } catch (error) {
      if (!closed && mine === asking) put(problems, failure(error));
    }
  }

  /** Looks for what is new: one look at a time, and another one where something came meanwhile. */
  async function newer() {
    due = true;
    if (looking) return;
    looking = true;
    while (due && !closed) {
      due = false;
      await look();
    }
    looking = false;
  }

  /** What is newer than the newest that is shown. */
  async function look() {
    const newest = records[0]?.seq ?? 0;
    const mine = asking;
    try {
      const page = await api.get("records", parameters({ limit: PAGE }));
      if (closed || mine !== asking) return;
      const fresh = page.records.filter(({ seq }) => seq > newest);
      if (!fresh.length) return;
      // Where more came than one page holds, there would be a gap: it is begun anew.
      const gap = records.length > 0 && fresh.length === page.records.length;
      records = (gap ? page.records : [...fresh, ...records]).slice(0, SHOWN_MAX);
      before = gap || !before ? (page.next_before ?? null) : records.at(-1).seq;
      draw(new Set(fresh.map(({ seq }) => seq)));
      put(live, sentenceOf(fresh[0]));
    } catch {
      // The banner says that the door is gone; what is missing comes when it is back.
    }
  }

  function entry(record, fresh) {
    const id = `record-${record.seq}`;
    const place = el("div", { id, class: "details", hidden: !open.has(record.seq) });
    if (open.has(record.seq)) put(place, details(record), offerOf(record));
    const toggle = el(
      "button",
      {
        type: "button",
        class: "entry",
        "aria-expanded": String(open.has(record.seq)),
        "aria-controls": id,
        onclick() {
          const shut = !place.hidden;
          place.hidden = shut;
          toggle.setAttribute("aria-expanded", String(!shut));
          if (shut) open.delete(record.seq);
          else {
            open.add(record.seq);
            put(place, details(record), offerOf(record));
          }
        },
      },
      el("time", { datetime: record.at }, asSecond(record.at)),
      outcomeMark(record.outcome),
      el("span", { class: "sentence" }, sentenceOf(record)),
      icon("chevron", "turns"),
    );
    return el("li", { class: fresh ? "new" : null }, toggle, place);
  }

  function draw(fresh = new Set()) {
    const days = [];
    for (const record of records) {
      const day = asDay(record.at);
      if (days.at(-1)?.day !== day) days.push({ day, entries: [] });
      days.at(-1).entries.push(entry(record, fresh.has(record.seq)));
    }
    const focused = document.activeElement?.getAttribute("aria-controls");
    put(
      list,
      days.map(({ day, entries }) => [el("h2", { class: "day" }, day), el("ol", { class: "card flush entries" }, entries)]),
      !days.length && el("div", { class: "card empty" }, icon("log"), el("p", { class: "strong" }, "No record matches.")),
    );
    if (focused) list.querySelector(`[aria-controls="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    put(foot, before !== null && button("Older records", () => load(true)));
  }

  function change(key, value) {
    if (value) filter[key] = value;
    else delete filter[key];
    const text = new URLSearchParams(filter).toString();
    history.replaceState(null, "", `#/log${text ? `?${text}` : ""}`);
    downloads();
    load();
  }

  function downloads() {
    const link = (name, text) =>
      el("a", { class: "button", href: address(name, parameters({})), download: `door-${name}` }, icon("files", "down"), el("span", {}, text));
    put(exports, link("records.csv", "CSV"), link("records.jsonl", "JSON lines"));
  }

  const onchange = (key) => (event) => change(key, event.target.value);
  const choice = (key, pairs) => select([["", "All"], ...pairs], filter[key] ?? "", onchange(key));
  const person = choice("subject", []);
  const moment = (key) => el("input", { type: "datetime-local", value: filter[key] ?? "", onchange: onchange(key) });

  async function whom() {
    try {
      const all = await api.get("subjects");
      if (closed) return;
      person.append(...all.map(({ id, name }) => el("option", { value: id }, name)));
      if (filter.subject && !all.some(({ id }) => id === filter.subject)) {
        person.append(el("option", { value: filter.subject }, filter.subject));
      }
      person.value = filter.subject ?? "";
    } catch {
      // Without the list one can still filter by everything else.
    }
  }

  const quiet = [hear(["records", "decision"], newer), hear(["back"], newer)];
  downloads();
  load();
  whom();
  const element = el(
    "div",
    { class: "page" },
    el("div", { class: "head" }, el("h1", {}, "Log"), exports),
    el(
      "details",
      { class: "card filters", open: innerWidth > 700 || Object.keys(filter).length > 0 },
      el("summary", {}, icon("gear"), "Filter"),
      el(
        "div",
        { class: "filter-row" },
        field("Kind", choice("kind", [["decision", "Decisions"], ["administration", "Administration"], ["system", "System"]])),
        field("Outcome", choice("outcome", Object.entries(OUTCOMES))),
        field("Person", person),
        field("From", moment("from")),
        field("To", moment("to")),
      ),
    ),
    problems,
    live,
    list,
    foot,
  );
  return {
    element,
    close() {
      closed = true;
      quiet.forEach((stop) => stop());
    },
  };
}
