// The screen at the door: what to do, and what was decided.
//
// In: the daemon's events, its kiosk settings, the texts of one language. Out: one state at a time:
// idle (time and name of the door), guidance, decision, out of order, no connection. Invariants: a
// decision is shown the moment its event comes, and for a bounded time; a name only where the door
// says so; while the daemon is not heard nothing of it is shown as if it were; the page signs in
// once, by a form, and no secret stands in an address; the keypad is there while a second factor is
// waited for and somebody has a PIN, and a little longer, because whoever types looks away.
// Deliberately absent: pictures of the camera, and every control but sound and the keypad.

import { api, address, setToken } from "./app/api.js";
import { el, failure, field, icon, put } from "./app/dom.js";
import { Keypad } from "./keypad.js";
import { Stream } from "./app/stream.js";

const LANGUAGES = ["en", "de", "fr", "es", "nl"];
const SHOWN_MS = { granted: 4_000, denied: 5_000, unknown: 4_000, ambiguous: 4_000 };
const SIGNS = { granted: "check", denied: "cross", unknown: "unknown", ambiguous: "ambiguous" };
/** Reasons that a visitor is told; every other one is the outcome's own word. */
const TOLD = ["outside_schedule", "several_faces", "locked_out", "anti_passback", "not_armed", "poor_quality", "not_live", "liveness_undecided"];
const RETRY_MS = 5_000;
/** How long the keypad stays where something else is to be done meanwhile, such as to look here. */
const KEYPAD_STAYS_MS = 6_000;

const at = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search);
let words = {};
let settings = { door: "", sound: false, names: false, keypad: false };
let stream = null;
let audio = null;
let sound = false;
let clock;
/** The next try to begin, of which there is one at most. */
let again;

const known = { reached: false, fault: false, present: false, guidance: null, factor: false, decision: null };
let shown = "";
let ending;
let staying;

function language() {
  const wanted = [asked.get("lang"), settings.language, ...(navigator.languages ?? [])];
  const codes = wanted.filter(Boolean).map((code) => code.toLowerCase().split("-")[0]);
  return codes.find((code) => LANGUAGES.includes(code)) ?? "en";
}

/** Brings the texts of the door's language; whether they are others than before. */
async function speak() {
  const code = language();
  if (document.documentElement.lang === code && words.idle) return false;
  const response = await fetch(`/assets/i18n/${code}.json`);
  if (!response.ok) throw new Error(`the texts of '${code}' are not there`);
  words = await response.json();
  document.documentElement.lang = code;
  return true;
}

/** As [`speak`]; where they do not come the screen goes on in the language that it has. */
async function translate() {
  try {
    if (!(await speak()) || shown === "login") return;
  } catch {
    // Asked for again as soon as the daemon is heard again.
    return;
  }
  shown = "";
  soundButton();
  draw();
}

const say = (key) => words[key] ?? key;

const keypad = new Keypad({ say, send: sendPin });

async function sendPin(pin) {
  try {
    await api.post("pin", { pin });
    return 204;
  } catch (error) {
    return error.status;
  }
}

/** The time at the door, in its own zone. */
function time() {
  const place = { timeZone: settings.time_zone };
  const format = (options) => {
    try {
      return new Intl.DateTimeFormat(document.documentElement.lang, { ...options, ...place });
    } catch {
      // A zone that this browser does not know: its own.
      return new Intl.DateTimeFormat(document.documentElement.lang, options);
    }
  };
  const now = new Date();
  return {
    clock: format({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(now),
    day: format({ weekday: "long", day: "numeric", month: "long" }).format(now),
  };
}

function tick() {
  clearTimeout(clock);
  const { clock: hour, day } = time();
  const big = at("clock");
  if (big) {
    put(big, hour);
    put(at("day"), day);
  }
  const small = shown === "idle" || shown === "login" ? "" : hour;
  const head = at("head");
  if (head.textContent !== settings.door + small) {
    put(head, settings.door && el("h1", { class: "door" }, settings.door), small && el("span", { class: "hour" }, small));
  }
  clock = setTimeout(tick, 1000 - (Date.now() % 1000));
}

/** A short rise for a grant, one low tone for everything else. */
function sing(outcome) {
  const notes = outcome === "granted" ? [[660, 0], [880, 0.12]] : [[220, 0]];
  for (const [frequency, delay_s] of notes) {
    const begin = audio.currentTime + delay_s;
    const oscillator = new OscillatorNode(audio, { type: "sine", frequency });
    const gain = new GainNode(audio, { gain: 0 });
    gain.gain.setValueAtTime(0, begin);
    gain.gain.linearRampToValueAtTime(0.25, begin + 0.02);
    gain.gain.exponentialRampToValueAtTime(0.001, begin + 0.3);
    oscillator.connect(gain).connect(audio.destination);
    oscillator.start(begin);
    oscillator.stop(begin + 0.32);
  }
}

function tone(outcome) {
  if (!sound || !audio) return;
  try {
    sing(outcome);
  } catch {
    // A device without sound shows what it has to show all the same.
  }
}

function screen(state, ...content) {
  if (shown === state) return;
  if (state !== "pin") keypad.close();
  shown = state;
  document.body.className = state.split(":")[0];
  document.body.dataset.state = state;
  put(at("stage"), ...content);
  tick();
}

/** What is to be seen now: the most urgent thing that is known. */
function draw() {
  const { reached, fault, decision, guidance, present } = known;
  if (!reached) {
    return screen("gone", icon("offline", "sign"), el("p", { class: "large" }, say("gone")), el("p", { class: "small" }, say("gone_hint")));
  }
  if (decision) {
    const { outcome, reason, subject, seq } = decision;
    const name = settings.names && subject?.name;
    return screen(
      `${outcome}:${seq}`,
      icon(SIGNS[outcome] ?? "unknown", "sign"),
      el("p", { class: "large" }, say(outcome)),
      name && el("p", { class: "name" }, name),
      outcome !== "granted" && TOLD.includes(reason) && el("p", { class: "small" }, say(reason)),
    );
  }
  if (fault) return screen("fault", icon("warning", "sign"), el("p", { class: "large" }, say("fault")), el("p", { class: "small" }, say("fault_hint")));
  if (known.factor && settings.keypad) {
    if (shown !== "pin") screen("pin", el("p", { class: "large" }, say("second_factor")), keypad.element());
    return undefined;
  }
  if (guidance) return screen(`guide:${guidance}`, icon(guidance, `sign ${guidance}`), el("p", { class: "large" }, say(guidance)));
  if (present) return screen("present", icon("face", "sign"), el("p", { class: "large" }, say("present")));
  return screen("idle", el("p", { id: "clock", class: "clock" }), el("p", { id: "day", class: "day" }), el("p", { class: "small" }, say("idle")));
}

/** Takes in what the visitor should do, and whether a second factor is waited for. */
function guide(guidance) {
  known.guidance = guidance;
  if (guidance === "second_factor") {
    clearTimeout(staying);
    staying = undefined;
    if (!known.factor) refresh();
    known.factor = true;
  } else if (known.factor && staying === undefined) {
    staying = setTimeout(forgetFactor, KEYPAD_STAYS_MS);
  }
}

function forgetFactor() {
  clearTimeout(staying);
  staying = undefined;
  known.factor = false;
  draw();
}

/** Whether somebody has a PIN may have changed since the page was opened. */
async function refresh() {
  try {
    settings = await api.get("kiosk");
    draw();
  } catch {
    // As it was known before.
  }
}

function decide(decision) {
  clearTimeout(ending);
  forgetFactor();
  known.decision = decision;
  draw();
  ending = setTimeout(() => {
    known.decision = null;
    draw();
  }, SHOWN_MS[decision.outcome] ?? SHOWN_MS.unknown);
  tone(decision.outcome);
}

function onEvent(name, data) {
  if (name === "decision") decide(data);
  else if (name === "presence") known.present = data.present;
  else if (name === "guidance") guide(data.say ?? null);
  else if (name === "health") {
    known.fault = data.status === "fault";
    if (typeof data.presence === "boolean") known.present = data.presence;
    if ("guidance" in data) guide(data.guidance);
  }
  if (known.factor && !known.present) forgetFactor();
  if (name !== "decision") draw();
}

function onState({ open, status }) {
  if (status === 401 || status === 403) return login();
  if (!open) {
    Object.assign(known, { present: false, guidance: null, factor: false, decision: null });
    clearTimeout(ending);
    clearTimeout(staying);
    staying = undefined;
  }
  known.reached = open;
  if (open) translate();
  return draw();
}

function soundButton() {
  if (!settings.sound && asked.get("sound") !== "1") return put(at("foot"));
  const flip = el(
    "button",
    {
      type: "button",
      "aria-pressed": String(sound),
      async onclick() {
        sound = !sound;
        await wake();
        soundButton();
      },
    },
    icon(sound ? "sound" : "mute"),
    el("span", {}, say(sound ? "sound_on" : "sound_off")),
  );
  return put(at("foot"), flip);
}

async function wake() {
  try {
    audio ??= new AudioContext();
    if (audio.state === "suspended") await audio.resume();
  } catch {
    sound = false;
  }
}

function login() {
  clearTimeout(again);
  stream?.close();
  stream = null;
  const name = el("input", { name: "name", autocomplete: "username", required: true, autocapitalize: "none", spellcheck: "false" });
  const password = el("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  const problems = el("div", {});
  const send = async (event) => {
    event.preventDefault();
    put(problems);
    try {
      setToken((await api.post("session", { name: name.value.trim(), password: password.value })).csrf);
      await begin();
    } catch (error) {
      put(problems, failure(error));
    }
  };
  put(at("foot"));
  screen(
    "login",
    el(
      "form",
      { onsubmit: send, "aria-labelledby": "login-title" },
      el("h1", { id: "login-title" }, say("login")),
      el("p", { class: "hint" }, say("login_hint")),
      problems,
      field(say("login_name"), name),
      field(say("login_password"), password),
      el("button", { type: "submit" }, say("login_send")),
    ),
  );
  name.focus();
}

async function begin() {
  clearTimeout(again);
  try {
    // Asked for each time: the daemon's answer prolongs the cookie by which the screen is signed in.
    setToken((await api.get("session")).csrf);
    settings = await api.get("kiosk");
  } catch (error) {
    if (error.status === 401 || error.status === 403) return login();
    draw();
    clearTimeout(again);
    again = setTimeout(begin, RETRY_MS);
    return undefined;
  }
  await translate();
  document.title = settings.door;
  sound = settings.sound || asked.get("sound") === "1";
  if (sound) wake().then(soundButton);
  soundButton();
  shown = "";
  stream?.close();
  stream = new Stream(address("events"), { onEvent, onState });
  return undefined;
}

async function start() {
  try {
    await speak();
  } catch {
    // Without its texts the page has nothing to say. Not loaded again: a page that cannot be loaded
    // would leave an error of the browser on the screen, for good.
    setTimeout(start, RETRY_MS);
    return;
  }
  await begin();
}

addEventListener("keydown", (event) => {
  // A key that has the focus is pressed by the browser.
  if (shown === "pin" && !(event.key === "Enter" && event.target instanceof HTMLButtonElement)) keypad.press(event.key);
});
addEventListener("online", () => stream?.hurry());
addEventListener("contextmenu", (event) => event.preventDefault());
start();
