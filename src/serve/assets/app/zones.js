// Where no face is to be seen: the rectangles of `detect.ignore`, drawn on a still of the camera.
//
// In: one picture of the camera, the rectangles in force. Out: the line that the configuration file needs, to
// be copied. Invariants: the camera is asked for one picture at a time, which is kept nowhere; what is drawn
// lies in the picture, in its fractions, as the configuration wants it; nothing is changed here, because
// whoever stands in a rectangle is not seen.

import { api } from "./api.js";
import { button, card, el, failure, icon, put, svg, toast } from "./dom.js";
import { asNumber, plural } from "./format.js";
import { Picture } from "./picture.js";

/** As many as the configuration takes. */
const RECTANGLES_MAX = 16;
/** What is smaller, in fractions of the picture, was a click. */
const SMALLEST = 0.01;
const PARTS = ["Left", "Top", "Width", "Height"];

const rounded = (value) => Math.round(value * 1000) / 1000;

/** The rectangle between two corners, within the picture. */
function between([ax, ay], [bx, by]) {
  const inside = (value) => rounded(Math.min(1, Math.max(0, value)));
  const [left, right] = [inside(Math.min(ax, bx)), inside(Math.max(ax, bx))];
  const [top, bottom] = [inside(Math.min(ay, by)), inside(Math.max(ay, by))];
  return [left, top, rounded(right - left), rounded(bottom - top)];
}

function lineOf(rectangles) {
  const one = (rectangle) => `[${rectangle.map((value) => String(rounded(value))).join(", ")}]`;
  return `ignore = [${rectangles.map(one).join(", ")}]`;
}

export function zones() {
  let rectangles = [];
  let only = [];
  let begun = null;
  let closed = false;
  const still = new Picture(() => still.stop());
  const drawing = svg("svg", { class: "zones", viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" });
  const list = el("ul", { class: "rectangles", "aria-label": "Rectangles in which no face is seen" });
  const line = el("code", { class: "value" });
  const problems = el("div", {});
  const said = el("p", { class: "muted", role: "status" });

  const shape = (kind, [x, y, width, height]) => svg("rect", { class: kind, x, y, width, height, "vector-effect": "non-scaling-stroke" });

  function at(event) {
    const box = drawing.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  function show(draft) {
    put(drawing, only.map((one) => shape("only", one)), rectangles.map((one) => shape("ignore", one)), draft && shape("ignore draft", draft));
    put(line, lineOf(rectangles));
    put(said, rectangles.length ? `${plural(rectangles.length, "rectangle")}: whoever puts the face there is not seen either.` : "No rectangle: faces are seen everywhere.");
  }

  function part(index, place) {
    const control = el("input", {
      type: "number",
      min: 0,
      max: 100,
      step: 0.1,
      value: asNumber(rectangles[index][place] * 100, 1),
      "aria-label": `${PARTS[place]} of rectangle ${index + 1}, in per cent of the picture`,
      onchange() {
        const changed = [...rectangles[index]];
        changed[place] = Math.min(1, Math.max(0, Number(control.value) / 100 || 0));
        const [x, y] = changed.map((value) => Math.min(value, 1 - SMALLEST));
        const [, , width, height] = changed;
        rectangles[index] = between([x, y], [x + Math.max(width, SMALLEST), y + Math.max(height, SMALLEST)]);
        draw();
      },
    });
    return el("label", {}, el("span", {}, PARTS[place]), control);
  }

  function draw() {
    show();
    put(
      list,
      rectangles.map((_, index) =>
        el(
          "li",
          {},
          el("span", { class: "strong" }, `${index + 1}`),
          PARTS.map((__, place) => part(index, place)),
          button(`Remove rectangle ${index + 1}`, () => {
            rectangles.splice(index, 1);
            draw();
          }, { kind: "quiet icon-only", icon: "cross" }),
        ),
      ),
    );
    more.disabled = rectangles.length >= RECTANGLES_MAX;
  }

  function add(rectangle) {
    if (rectangles.length >= RECTANGLES_MAX) {
      put(problems, failure({ message: `The configuration takes ${RECTANGLES_MAX} rectangles at most.`, remedy: "Remove one, or draw one around two." }));
      return;
    }
    put(problems);
    rectangles.push(rectangle);
    draw();
  }

  const more = button("Add a rectangle", () => add([0.4, 0.4, 0.2, 0.2]));
  const copy = button("Copy the line", async () => {
    try {
      await navigator.clipboard.writeText(lineOf(rectangles));
      toast("The line was copied");
    } catch {
      // Not every browser lets a page do it: then it is selected, and the reader copies it.
      getSelection().selectAllChildren(line);
    }
  });
  drawing.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    begun = at(event);
    drawing.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  drawing.addEventListener("pointermove", (event) => begun && show(between(begun, at(event))));
  drawing.addEventListener("pointerup", (event) => {
    if (!begun) return;
    const drawn = between(begun, at(event));
    begun = null;
    if (drawn[2] >= SMALLEST && drawn[3] >= SMALLEST) add(drawn);
    else show();
  });
  drawing.addEventListener("pointercancel", () => {
    begun = null;
    show();
  });

  async function load() {
    try {
      const settings = await api.get("config");
      if (closed) return;
      const of = (name) => settings.find(({ key }) => key === name)?.value ?? [];
      rectangles = of("detect.ignore").map((one) => [...one]);
      only = of("detect.only");
      draw();
    } catch (error) {
      if (!closed) put(problems, failure(error));
    }
  }

  still.element.classList.add("still");
  still.element.append(drawing);
  draw();
  load();
  return {
    element: el(
      "div",
      { class: "page" },
      el("a", { class: "back", href: "#/door" }, icon("back"), "Door"),
      el("h1", {}, "Where no face is seen"),
      el("p", { class: "muted" }, "Draw a rectangle around a portrait, a poster or a mirror, no larger than that. A face lies in a rectangle when more than half of its box does."),
      el(
        "div",
        { class: "guide" },
        el("div", { class: "stage" }, still.element, el("div", { class: "actions" }, button("Another still", () => still.open(), { icon: "camera" }))),
        el(
          "div",
          { class: "stack" },
          card("Rectangles", list, said, problems, el("div", { class: "actions" }, more)),
          card(
            "For the configuration",
            el("p", { class: "hint" }, "Put this line under [detect] in the configuration file on the door, in place of the one that is there, and reload the daemon. Nothing is changed here."),
            line,
            el("div", { class: "actions" }, copy),
          ),
        ),
      ),
    ),
    close() {
      closed = true;
      still.close();
    },
  };
}
