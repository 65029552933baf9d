// One person: name, switch, validity, group, references, removal.
//
// In: an id. Out: what is known of that person, and its changes. Invariants: a change is shown only
// after the daemon has confirmed it; removal asks first and says what is erased; a viewer changes
// nothing.

import { api } from "./api.js";
import { isAdministrator } from "./door.js";
import { ask, button, card, complain, el, failure, field, icon, put, select, terms, toast } from "./dom.js";
import { asMoment, fromClockField, plural, toClockField } from "./format.js";
import { mark, validity } from "./people.js";
import { visitsAddress } from "./visits.js";

const path = (id, ...rest) => ["subjects", encodeURIComponent(id), ...rest].join("/");

/** A form whose button sends what `change` gives; problems are shown in it. */
function form(change, text, ...content) {
  const problems = el("div", {});
  const submit = el("button", { class: "button", type: "submit" }, text);
  return el(
    "form",
    {
      class: "stack",
      async onsubmit(event) {
        event.preventDefault();
        submit.disabled = true;
        put(problems);
        try {
          await change();
        } catch (error) {
          put(problems, failure(error));
        } finally {
          submit.disabled = false;
        }
      },
    },
    ...content,
    problems,
    el("div", { class: "actions" }, submit),
  );
}

export function person(id) {
  const body = el("div", { class: "page" });
  let subject = null;
  let groups = [];
  let closed = false;

  async function load() {
    try {
      const [all, known] = await Promise.all([api.get("subjects"), api.get("groups")]);
      if (closed) return;
      groups = known;
      subject = all.find((one) => one.id === id);
      if (subject) draw();
      else missing();
    } catch (error) {
      put(body, back(), el("h1", { class: "sr" }, "Person"), failure(error));
    }
  }

  function missing() {
    put(
      body,
      back(),
      el("h1", {}, "Nobody"),
      el("p", {}, "Nobody with this id is enrolled. The person may have been removed."),
    );
  }

  async function patch(change, text) {
    subject = await api.patch(path(id), change);
    toast(text);
    draw();
  }

  function back() {
    return el("a", { class: "back", href: "#/people" }, icon("back"), "People");
  }

  function known() {
    return card(
      "Enrolment",
      terms([
        ["State", mark(subject)],
        ["Group", subject.groups?.join(", ") || "none: any hours"],
        ["Validity", validity(subject) || "no limit"],
        ["References", String(subject.references)],
        ["Enrolled", asMoment(subject.created_at)],
        ["Id", el("code", {}, subject.id)],
        ...Object.entries(subject.models ?? {}).map(([model, count]) => [`Of ${model}`, plural(count, "reference")]),
      ]),
      el("a", { class: "more", href: `#/log?subject=${encodeURIComponent(id)}` }, "What the log says", icon("chevron")),
    );
  }

  function naming() {
    const name = el("input", { value: subject.name, required: true, maxlength: 100 });
    return card("Name", form(() => patch({ name: name.value.trim() }, "The name was changed"), "Rename", field("Name", name)));
  }

  function passing() {
    const from = el("input", { type: "datetime-local", value: toClockField(subject.valid_from) });
    const until = el("input", { type: "datetime-local", value: toClockField(subject.valid_until) });
    const flip = button(subject.enabled ? "Switch off" : "Switch on", async () => {
      flip.disabled = true;
      try {
        await patch({ enabled: !subject.enabled }, subject.enabled ? "Switched off" : "Switched on");
      } catch (error) {
        complain(error);
        flip.disabled = false;
      }
    });
    return card(
      "May pass",
      el(
        "div",
        { class: "row" },
        el("p", {}, subject.enabled ? "This person may be granted." : "This person is recognised, and always denied."),
        flip,
      ),
      form(
        () => patch({ valid_from: fromClockField(from.value), valid_until: fromClockField(until.value) }, "The validity was changed"),
        "Set validity",
        el("div", { class: "pair" }, field("From", from), field("Until", until)),
        el("p", { class: "hint" }, "By the clock at the door. Empty: no limit."),
      ),
    );
  }

  function grouping() {
    if (!groups.length) {
      return card("Group", el("p", { class: "muted" }, "There are no groups. 'deepid-edge groups' on the door makes them."));
    }
    const present = subject.groups?.[0] ?? "";
    const choice = select([["", "No group: any hours"], ...groups.map(({ name }) => [name, name])], present);
    const chosen = groups.find(({ name }) => name === present);
    return card(
      "Group",
      form(
        async () => {
          const group = choice.value;
          const to = encodeURIComponent(group || present);
          if (group) await api.put(path(id, "groups", to));
          else if (present) await api.delete(path(id, "groups", to));
          toast("The group was changed");
          await load();
        },
        "Set group",
        field("Group", choice, "A person is in one group at most, and passes by its hours."),
        chosen?.schedules?.length ? el("p", { class: "muted" }, `Hours: ${chosen.schedules.join(", ")}`) : null,
      ),
    );
  }

  function more() {
    const target = encodeURIComponent(id);
    return card(
      "More references",
      el("p", { class: "muted" }, "More pictures, in other light or with glasses, make it surer that the person is recognised."),
      el(
        "div",
        { class: "actions" },
        el("a", { class: "button", href: `#/people/add/${target}` }, icon("files"), el("span", {}, "From files")),
        el("a", { class: "button", href: `#/people/enrol/${target}` }, icon("camera"), el("span", {}, "At the door")),
        el("a", { class: "button", href: visitsAddress({ subject: id }) }, icon("log"), el("span", {}, "From a recent visit")),
      ),
    );
  }

  function removal() {
    const remove = button(
      "Remove …",
      async () => {
        const sure = await ask(
          `Remove ${subject.name}?`,
          [
            el(
              "p",
              {},
              "This erases from the door's database: the name, ",
              plural(subject.references, "reference"),
              " (the numbers that describe the face), group and validity. It cannot be undone.",
            ),
            el("p", {}, "Records of past decisions stay, with the id and without the name. Backups that were made before still hold the person."),
          ],
          "Remove and erase",
        );
        if (!sure) return;
        try {
          await api.delete(path(id));
          toast(`${subject.name} was removed`);
          location.hash = "#/people";
        } catch (error) {
          complain(error);
        }
      },
      { kind: "danger" },
    );
    return card("Remove", el("div", { class: "row" }, el("p", {}, "Erases name and references for good."), remove));
  }

  function draw() {
    if (closed) return;
    put(
      body,
      back(),
      el("div", { class: "head" }, el("h1", {}, subject.name), mark(subject)),
      el(
        "div",
        { class: "flow" },
        isAdministrator()
          ? [known(), naming(), passing(), grouping(), more(), removal()]
          : known(),
      ),
    );
  }

  put(body, el("h1", { class: "sr" }, "Person"), el("p", { class: "muted" }, "Loading …"));
  load();
  return {
    element: body,
    close() {
      closed = true;
    },
  };
}
