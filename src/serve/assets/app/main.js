// The page's own loop: who is signed in, which view is shown, what stands around it.
//
// In: the session, the address behind '#', the door's events. Out: top bar, navigation, banner, and
// one view at a time. Invariants: a view that is left is closed, with all that it opened; without a
// session nothing but the login is shown; a fault in one view leaves the others usable.

import { api, Problem, setToken, whenSessionIsLost } from "./api.js";
import { connect, disconnect, door, hear, hurry, isAdministrator } from "./door.js";
import { button, el, failure, icon, put } from "./dom.js";
import { asMinute, plural } from "./format.js";
import { STATUS, words } from "./words.js";
import { login } from "./login.js";
import { live } from "./live.js";
import { people } from "./people.js";
import { person } from "./person.js";
import { add } from "./add.js";
import { enrol } from "./enrol.js";
import { identify } from "./identify.js";
import { visits } from "./visits.js";
import { zones } from "./zones.js";
import { log } from "./log.js";
import { figures } from "./figures.js";
import { board } from "./board.js";

const VIEWS = [
  { path: "live", title: "Live", icon: "live" },
  { path: "people", title: "People", icon: "people" },
  { path: "log", title: "Log", icon: "log" },
  { path: "figures", title: "Figures", icon: "figures" },
  { path: "door", title: "Door", icon: "door" },
];

/** Between two tries to learn whether somebody is signed in. */
const RETRY_MS = 5_000;

const at = (id) => document.getElementById(id);
let shown = null;
/** The next try, of which there is one at most. */
let again;

/** The parts of an address; one that cannot be decoded has none. */
function parts(hash) {
  try {
    return hash.replace(/^#\/?/, "").split("?")[0].split("/").map(decodeURIComponent);
  } catch {
    return [];
  }
}

/** The view that an address means; its first part names the entry of the navigation. */
function route() {
  const [first, second, third] = parts(location.hash);
  if (first === "people" && second === "add" && isAdministrator()) return ["people", "Add from files", () => add(third)];
  if (first === "people" && second === "identify" && isAdministrator()) return ["people", "Who is this?", identify];
  if (first === "people" && second === "visits" && isAdministrator()) return ["people", "Add from a recent visit", visits];
  if (first === "people" && second === "enrol" && isAdministrator()) {
    return ["people", "Add at the door", () => enrol(third)];
  }
  if (first === "door" && second === "zones" && isAdministrator()) return ["door", "Where no face is seen", zones];
  if (first === "people" && second) return ["people", "Person", () => person(second)];
  const make = { live, people, log, figures, door: board }[first];
  return make ? [first, VIEWS.find(({ path }) => path === first).title, make] : ["live", "Live", live];
}

function show() {
  shown?.close?.();
  shown = null;
  if (!door.session) return;
  const [path, title, make] = route();
  navigation(path);
  document.title = `${title} · ${door.state?.door ?? "door"}`;
  try {
    shown = make();
    put(at("main"), shown.element);
  } catch (error) {
    put(at("main"), failure(error));
    throw error;
  }
  scrollTo(0, 0);
}

function navigation(current) {
  const links = VIEWS.map((view) =>
    el(
      "a",
      { href: `#/${view.path}`, "aria-current": view.path === current ? "page" : null },
      icon(view.icon),
      el("span", {}, view.title),
    ),
  );
  put(at("nav"), links);
}

function top() {
  const { state, session, reached } = door;
  const status = reached ? (state?.status ?? "degraded") : "lost";
  const faults = state?.faults?.length ?? 0;
  const text = status === "lost" ? "No connection" : status === "degraded" ? plural(faults, "fault") : words(STATUS, status);
  // Only where something is new: whoever stands on a button here with the keyboard stays there.
  const now = JSON.stringify([state?.door, status, text, session]);
  if (at("top").dataset.shown === now) return;
  at("top").dataset.shown = now;
  put(
    at("top"),
    el("a", { class: "brand", href: "#/live" }, el("img", { src: "/assets/favicon.svg", alt: "", width: 28, height: 28 }),
      el("span", { class: "name" }, state?.door ?? "Door")),
    el("a", { class: `pill ${status}`, href: "#/door" }, el("span", { class: "dot" }), text),
    el("span", { class: "grow" }),
    el("span", { class: "who" }, session.name, el("span", { class: "role" }, session.role)),
    button("Sign out", signOut, { kind: "quiet icon-only", icon: "out" }),
  );
}

function banner() {
  const place = at("banner");
  const { session, reached, lostAt } = door;
  const hidden = !session || reached || !lostAt;
  if (place.hidden === hidden) return undefined;
  place.hidden = hidden;
  document.body.classList.toggle("stale", !place.hidden);
  if (place.hidden) return put(place);
  return put(
    place,
    icon("offline"),
    el("span", {}, `The door has not answered since ${asMinute(lostAt)}: what is shown may be old.`),
    button("Try now", hurry, { kind: "small" }),
  );
}

async function signOut() {
  try {
    await api.delete("session");
  } catch {
    // A session that cannot be ended now ends by its own time; the page forgets it all the same.
  }
  leave();
}

function leave() {
  clearTimeout(again);
  disconnect();
  shown?.close?.();
  shown = null;
  Object.assign(door, { session: null, state: null, lostAt: null });
  setToken(null);
  at("top").hidden = true;
  at("nav").hidden = true;
  document.body.classList.remove("signed-in");
  banner();
  document.title = "Sign in · door";
  put(at("main"), login(enter).element);
}

async function enter(session) {
  if (session.role === "kiosk") {
    location.replace("/kiosk");
    return;
  }
  clearTimeout(again);
  door.session = session;
  setToken(session.csrf);
  document.body.classList.add("signed-in");
  at("top").hidden = false;
  at("nav").hidden = false;
  connect();
  try {
    door.state = await api.get("state");
    door.present = door.state.presence ?? null;
    door.guidance = door.state.guidance ?? null;
    door.reached = true;
  } catch {
    // The stream finds it again, or says that the door is gone.
  }
  if (!door.session) return;
  top();
  show();
}

async function start() {
  clearTimeout(again);
  try {
    await enter(await api.get("session"));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 401 || error.status === 403) return leave();
    put(at("main"), el("div", { class: "login" }, failure(error), button("Try again", start, { kind: "primary" })));
    clearTimeout(again);
    again = setTimeout(start, RETRY_MS);
  }
  return undefined;
}

addEventListener("hashchange", () => {
  show();
  if (door.session) at("main").focus({ preventScroll: true });
});
document.querySelector(".skip").addEventListener("click", (event) => {
  // The address belongs to the views.
  event.preventDefault();
  at("main").focus();
});
whenSessionIsLost(() => door.session && leave());
hear(["session"], () => door.session && leave());
hear(["reached", "health"], () => {
  if (!door.session) return;
  top();
  banner();
});
start();
