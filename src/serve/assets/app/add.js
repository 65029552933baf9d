// Enrolment from picture files.
//
// In: a name, or the id of somebody who is enrolled; files by choice or by drag and drop. Out: one
// request with all of them; for each picture whether it was taken, and why not. Invariants: nothing
// is sent before the button is pressed; previews are made by the browser and leave it with the view.

import { api } from "./api.js";
import { button, el, failure, field, icon, put, toast } from "./dom.js";
import { plural } from "./format.js";
import { QUALITY, words } from "./words.js";

const PICTURES_MAX = 20;
const BYTES_MAX = 16 * 1024 * 1024;
const KINDS = ["image/jpeg", "image/png", "image/webp"];
const JUDGING_MS = 180_000;
/** The daemon tells of a file by so much of its name. */
const NAME_MAX = 100;

const REFUSALS = {
  ...QUALITY,
  unreadable: "It cannot be read",
  undecodable: "It cannot be decoded",
  no_face: "No face was found",
  several_faces: "Several faces are in it",
  poor_quality: "The face is not good enough",
  fault: "A network failed on it",
};

/**
 * A name for a file by which the answer can tell it from the `others`: files of two folders may be
 * called the same. Without what a browser writes otherwise into the request.
 */
function labelled(name, others) {
  const plain = name.replace(/["\\\r\n]/g, "_");
  const dot = plain.lastIndexOf(".");
  const [stem, end] = dot > 0 ? [plain.slice(0, dot), plain.slice(dot).slice(0, 10)] : [plain, ""];
  for (let number = 1; ; number += 1) {
    const rest = number > 1 ? ` (${number})${end}` : end;
    const label = [...stem].slice(0, NAME_MAX - rest.length).join("") + rest;
    if (!others.includes(label)) return label;
  }
}

export function add(id) {
  /** Each file with the name that it goes by, its preview and, after the answer, its verdict. */
  let pictures = [];
  let closed = false;
  let finished = null;
  const problems = el("div", {});
  const list = el("ul", { class: "pictures", "aria-label": "Pictures" });
  const result = el("div", { class: "stack" });
  const name = el("input", { name: "name", autocomplete: "off", required: true, maxlength: 100 });
  const chooser = el("input", {
    type: "file",
    accept: KINDS.join(","),
    multiple: true,
    class: "sr",
    id: "picture-files",
    onchange() {
      take(chooser.files);
      chooser.value = "";
    },
  });
  const submit = el("button", { class: "button primary", type: "submit" }, "Add");
  const over = (on) => (event) => {
    event.preventDefault();
    zone.classList.toggle("over", on);
  };
  const zone = el(
    "div",
    {
      class: "drop",
      ondragover: over(true),
      ondragleave: over(false),
      ondrop(event) {
        over(false)(event);
        take(event.dataTransfer.files);
      },
    },
    icon("files"),
    chooser,
    el("p", {}, el("label", { for: "picture-files", class: "as-link" }, "Choose pictures"), " or drop them here"),
    el("p", { class: "hint" }, `JPEG, PNG or WebP, one face in each, at most ${PICTURES_MAX}. Three to five from different days are good.`),
  );

  function refusal(file) {
    if (!KINDS.includes(file.type)) return ["not a JPEG, PNG or WebP picture", "Convert it, or choose another."];
    if (file.size > BYTES_MAX) return ["larger than 16 MiB", "Give a smaller copy."];
    return null;
  }

  function take(files) {
    put(problems);
    for (const file of files) {
      const alike = ["name", "size", "lastModified"];
      const before = pictures.find((one) => alike.every((key) => one.file[key] === file[key]));
      // One that was refused is tried again.
      if (before && before.verdict?.kind !== "refused") continue;
      if (before) drop(before);
      if (pictures.length >= PICTURES_MAX) {
        put(problems, failure({ message: `At most ${PICTURES_MAX} pictures at once; the others were left out.` }));
        break;
      }
      const why = refusal(file);
      pictures.push({
        file,
        label: labelled(file.name, pictures.map((one) => one.label)),
        url: URL.createObjectURL(file),
        verdict: why && { kind: "refused", reason: why[0], remedy: why[1], here: true },
      });
    }
    draw();
  }

  function drop(picture) {
    URL.revokeObjectURL(picture.url);
    pictures = pictures.filter((one) => one !== picture);
    draw();
  }

  function entry(picture) {
    const { file, label, url, verdict } = picture;
    return el(
      "li",
      { class: verdict?.kind ?? "waiting" },
      KINDS.includes(file.type) ? el("img", { src: url, alt: "" }) : el("span", { class: "no-preview" }, icon("files")),
      el(
        "div",
        { class: "about" },
        el("p", { class: "file" }, label),
        verdict?.kind === "accepted" && el("p", { class: "good" }, icon("check"), "Taken"),
        verdict?.kind === "refused" && el("p", { class: "bad" }, icon("cross"), verdict.text ?? words(REFUSALS, verdict.reason)),
        verdict?.remedy && el("p", { class: "hint" }, verdict.remedy),
      ),
      verdict?.kind !== "accepted" &&
        el("button", { type: "button", class: "button quiet icon-only", onclick: () => drop(picture) }, icon("cross"),
          el("span", {}, `Leave out ${label}`)),
    );
  }

  function draw() {
    put(list, pictures.map(entry));
    const count = pictures.filter(({ verdict }) => !verdict).length;
    submit.disabled = count === 0;
    put(submit, count ? `Add from ${plural(count, "picture")}` : "Add");
  }

  function judged(sent, { accepted = [], refused = [], warnings = [] }) {
    for (const picture of sent) {
      const no = refused.find(({ file }) => file === picture.label);
      if (no) picture.verdict = { kind: "refused", ...no };
      else if (accepted.some(({ file }) => file === picture.label)) picture.verdict = { kind: "accepted" };
    }
    const look = warnings.map((text) => el("div", { class: "notice warn" }, icon("warning"), el("p", {}, text)));
    put(result, look);
  }

  async function send(event) {
    event.preventDefault();
    const body = new FormData();
    if (!finished) body.append("name", name.value.trim());
    const sent = pictures.filter(({ verdict }) => !verdict);
    for (const { file, label } of sent) body.append("picture", file, label);
    submit.disabled = true;
    put(submit, "Judging …");
    put(problems);
    try {
      const target = finished ?? id;
      const done = target ? "has more references" : "was added";
      const where = target ? `subjects/${encodeURIComponent(target)}/pictures` : "subjects/pictures";
      const answer = await api.post(where, body, { patience_ms: JUDGING_MS });
      if (closed) return;
      finished = answer.subject.id;
      name.disabled = true;
      judged(sent, answer);
      result.append(
        el(
          "div",
          { class: "notice good", role: "status" },
          icon("check"),
          el(
            "div",
            {},
            el("p", { class: "strong" }, `${answer.subject.name} has ${plural(answer.accepted.length, "new reference")}.`),
            el("p", {}, el("a", { href: `#/people/${encodeURIComponent(finished)}` }, "Show the person")),
          ),
        ),
      );
      toast(`${answer.subject.name} ${done}`);
    } catch (error) {
      if (closed) return;
      judged(sent, error.rest ?? {});
      put(problems, failure(error));
    } finally {
      draw();
    }
  }

  async function who() {
    try {
      const subject = (await api.get("subjects")).find((one) => one.id === id);
      if (subject) put(title, `More references of ${subject.name}`);
    } catch (error) {
      put(problems, failure(error));
    }
  }

  const title = el("h1", {}, "Add from files");
  if (id) who();
  draw();
  const element = el(
    "div",
    { class: "page narrow" },
    el("a", { class: "back", href: id ? `#/people/${encodeURIComponent(id)}` : "#/people" }, icon("back"), id ? "Person" : "People"),
    title,
    el(
      "form",
      { class: "card stack", onsubmit: send },
      id ? null : field("Name", name, "As it is to be shown in list and log."),
      zone,
      list,
      problems,
      result,
      el("div", { class: "actions" }, submit, button("Done", () => (location.hash = finished ? `#/people/${encodeURIComponent(finished)}` : "#/people"), { kind: "quiet" })),
    ),
  );
  return {
    element,
    close() {
      closed = true;
      pictures.forEach(({ url }) => URL.revokeObjectURL(url));
    },
  };
}
