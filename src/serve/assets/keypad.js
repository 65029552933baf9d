// The keypad of the screen at the door: the PIN of whoever's second factor is waited for.
//
// In: taps and digits of a keyboard, words, who sends a PIN. Out: elements; a PIN, once, to whoever sends
// it. Invariants: digits are shown as dots alone, in no attribute and in no field that a browser keeps;
// they are forgotten when they are sent, when the keypad closes, and when nobody has typed for a while.

import { el, put } from "./app/dom.js";

const DIGITS_MAX = 10;
const DIGITS_MIN = 4;
const IDLE_MS = 10_000;
/** What is said of an answer, by its status. */
const SAID = { 204: "pin_taken", 422: "pin_wrong", 429: "pin_wait" };

export class Keypad {
  #digits = "";
  #sending = false;
  #idle;
  #dots = el("p", { class: "dots", "aria-hidden": "true" });
  #said = el("p", { class: "small", role: "status" });

  /** `say` gives a word, `send` sends a PIN and gives the status of the answer. */
  constructor({ say, send }) {
    this.say = say;
    this.send = send;
  }

  /** The keypad, of which there is one at a time. */
  element() {
    this.close();
    const key = (label, onclick, more) => el("button", { type: "button", class: "key", onclick, ...more }, label);
    const digits = [..."123456789"].map((digit) => key(digit, () => this.type(digit)));
    const keys = [
      ...digits,
      key("⌫", () => this.erase(), { "aria-label": this.say("pin_erase") }),
      key("0", () => this.type("0")),
      key("✓", () => this.enter(), { class: "key enter", "aria-label": this.say("pin_enter") }),
    ];
    this.#draw("");
    return el("div", { class: "keypad", role: "group", "aria-label": this.say("pin") }, this.#dots, el("div", { class: "keys" }, keys), this.#said);
  }

  /** A key of a keyboard. */
  press(name) {
    if (/^[0-9]$/.test(name)) this.type(name);
    else if (name === "Backspace") this.erase();
    else if (name === "Enter") this.enter();
  }

  type(digit) {
    if (this.#sending || this.#digits.length >= DIGITS_MAX) return;
    this.#digits += digit;
    this.#draw("");
    this.#wait();
  }

  erase() {
    this.#digits = this.#digits.slice(0, -1);
    this.#draw("");
    this.#wait();
  }

  async enter() {
    if (this.#sending || this.#digits.length < DIGITS_MIN) return;
    const pin = this.#digits;
    this.close();
    this.#sending = true;
    this.#draw("pin_sent");
    const status = await this.send(pin);
    this.#sending = false;
    this.#draw(SAID[status] ?? "pin_failed");
  }

  /** Forgets what was typed. */
  close() {
    clearTimeout(this.#idle);
    this.#digits = "";
  }

  #wait() {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      this.close();
      this.#draw("");
    }, IDLE_MS);
  }

  #draw(said) {
    put(this.#dots, "•".repeat(this.#digits.length) || "\u00a0");
    put(this.#said, said ? this.say(said) : "\u00a0");
  }
}
