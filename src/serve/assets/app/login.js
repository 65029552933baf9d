// Signing in.
//
// In: a name and a password. Out: a session, handed to `enter`. Invariants: the password stays in its
// field and in one request; what is wrong is said beside the form, and the fields keep what was typed.

import { api } from "./api.js";
import { el, failure, field, put } from "./dom.js";

export function login(enter) {
  const name = el("input", { name: "name", autocomplete: "username", required: true, autocapitalize: "none", spellcheck: "false" });
  const password = el("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  const submit = el("button", { class: "button primary wide", type: "submit" }, "Sign in");
  const problems = el("div", {});

  async function send(event) {
    event.preventDefault();
    submit.disabled = true;
    put(problems);
    try {
      await enter(await api.post("session", { name: name.value.trim(), password: password.value }));
    } catch (error) {
      put(problems, failure(error));
      password.select();
    } finally {
      submit.disabled = false;
    }
  }

  const form = el(
    "form",
    { class: "card login", onsubmit: send, "aria-labelledby": "login-title" },
    el("img", { src: "/assets/favicon.svg", alt: "", width: 48, height: 48 }),
    el("h1", { id: "login-title" }, "Sign in to the door"),
    problems,
    field("Name", name),
    field("Password", password),
    submit,
    el("p", { class: "hint" }, "Accounts are made on the door itself: ", el("code", {}, "deepid-edge accounts add")),
  );
  setTimeout(() => name.focus());
  return { element: form };
}
