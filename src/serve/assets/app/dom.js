// Elements built in script: the only way in which this page makes markup.
//
// In: a tag, properties, children. Out: elements. Invariants: text becomes a text node and nothing
// else, so a name with markup in it is shown as it is written; no innerHTML, no style attribute, no
// handler as text. Deliberately absent: templates, and updates of what was built before; a view
// builds its parts again and puts them in place.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "value") element.value = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  put(element, ...children);
  return element;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false && child !== "");
}

/** An HTML element: `el("p", {class: "note"}, "text", otherElement)`. */
export function el(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** An SVG element, by the same rules. */
export function svg(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/** Replaces what `element` holds. */
export function put(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

/** Brings icons.svg into the document, once: what is drawn later needs no daemon that answers. */
async function bringIcons() {
  const text = await (await fetch("/assets/icons.svg")).text();
  const sprite = document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);
  for (const symbol of sprite.querySelectorAll("symbol")) symbol.id = `icon-${symbol.id}`;
  sprite.setAttribute("class", "sprite");
  sprite.setAttribute("aria-hidden", "true");
  document.body.append(sprite);
}
bringIcons().catch(() => {});

/** An icon from icons.svg; it says nothing to a screen reader, the text beside it does. */
export function icon(name, extra) {
  return svg(
    "svg",
    { class: extra ? `icon ${extra}` : "icon", "aria-hidden": "true", focusable: "false" },
    svg("use", { href: `#icon-${name}` }),
  );
}

/** A button with its icon and its text; `kind` is "primary", "danger", "quiet" or nothing. */
export function button(text, onclick, { kind, icon: name, ...more } = {}) {
  const look = kind ? `button ${kind}` : "button";
  return el("button", { type: "button", class: look, onclick, ...more }, name && icon(name), el("span", {}, text));
}

let fields = 0;

/** A labelled control: the label is tied to the control, the hint described by it. */
export function field(label, control, hint) {
  fields += 1;
  control.id = control.id || `field-${fields}`;
  const describes = hint && `${control.id}-hint`;
  if (describes) control.setAttribute("aria-describedby", describes);
  return el(
    "div",
    { class: "field" },
    el("label", { for: control.id }, label),
    control,
    hint && el("p", { class: "hint", id: describes }, hint),
  );
}

/** A select of `[value, text]` pairs. */
export function select(pairs, value, onchange) {
  const options = pairs.map(([key, text]) => el("option", { value: key }, text));
  const control = el("select", { onchange }, options);
  // What is not there yet cannot be chosen: only now.
  control.value = value;
  return control;
}

/** A region with a heading. `level` is that of the heading. */
export function card(title, ...children) {
  fields += 1;
  const id = `card-${fields}`;
  return el("section", { class: "card", "aria-labelledby": id }, el("h2", { id }, title), ...children);
}

/** A list of terms and their values; pairs without a value are left out. */
export function terms(pairs) {
  const known = pairs.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return el(
    "dl",
    { class: "terms" },
    known.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value))),
  );
}

/** What went wrong, with what helps against it. */
export function failure(error) {
  return el(
    "div",
    { class: "notice bad", role: "alert" },
    icon("warning"),
    el(
      "div",
      {},
      el("p", { class: "strong" }, error.detail ?? error.message),
      error.remedy && el("p", {}, error.remedy),
    ),
  );
}

/** The same for what has no place of its own on the page: a message that goes away by itself. */
export function complain(error) {
  const { detail = error.message, remedy } = error;
  const end = /[.!?]$/.test(detail) ? "" : ".";
  toast(remedy ? `${detail}${end} ${remedy[0].toUpperCase()}${remedy.slice(1)}` : detail, true);
}

/** A short message that goes away by itself. */
export function toast(text, bad = false) {
  const message = el("p", { class: bad ? "toast bad" : "toast" }, icon(bad ? "warning" : "check"), text);
  const place = document.getElementById("toasts");
  place.append(message);
  while (place.children.length > 3) place.firstChild.remove();
  setTimeout(() => message.remove(), bad ? 9000 : 4500);
}

/**
 * Asks before something that cannot be undone. `confirm` names the act. Gives true only when the
 * act's own button was pressed; Escape, the other button and a closed dialog all mean no.
 */
export function ask(title, paragraphs, confirm) {
  return new Promise((resolve) => {
    const dialog = el("dialog", { class: "dialog", "aria-labelledby": "dialog-title" });
    const answer = (value) => () => dialog.close(value);
    put(
      dialog,
      el("h2", { id: "dialog-title" }, title),
      paragraphs.map((paragraph) => (typeof paragraph === "string" ? el("p", {}, paragraph) : paragraph)),
      el(
        "div",
        { class: "actions end" },
        button("Cancel", answer("no"), { autofocus: true }),
        button(confirm, answer("yes"), { kind: "danger" }),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
