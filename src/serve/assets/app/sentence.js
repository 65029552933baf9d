// What a record says, as one sentence.
//
// In: a record of the contract, or the state. Out: what happened and why, in words. Invariant: a kind or a reason that is not
// known here is told in the daemon's own words, and never as nothing.

import { asMoment } from "./format.js";
import { OUTCOMES, REASONS, words } from "./words.js";

/** Of a subject that is known by its id alone, where the name is erased. */
const called = ({ subject }) => subject?.name ?? subject?.id;

const DECISIONS = {
  granted: (who) => `${who ?? "Somebody"} was granted`,
  denied: (who) => `${who ?? "Somebody"} was denied`,
  unknown: () => "Somebody unknown was there",
  ambiguous: (who) => `No statement about ${who ?? "somebody"}`,
};

const listed = (keys) => (keys?.length ? `: ${keys.join(", ")}` : "");

/** What an administrator, the door or a client did, by its event. */
const EVENTS = {
  started: (_, { version, recording }) => `The daemon started, version ${version}${recording ? ", before a recording" : ""}`,
  stopped: () => "The daemon ended",
  subject_enrolled: (who, { references, replaced }) => `${who} has ${references} new ${references === 1 ? "reference" : "references"}${replaced ? `, in place of ${replaced}` : ""}`,
  subject_renamed: (who) => `${who} has another name`,
  subject_enabled: (who) => `${who} was switched on`,
  subject_disabled: (who) => `${who} was switched off`,
  subject_removed: (who) => `${who} was removed: name and references are erased`,
  pin_set: (who) => `${who} has a PIN`,
  pin_removed: (who) => `${who} has no PIN any more`,
  pin_entered: (who, { right }) => `A ${right ? "right" : "wrong"} PIN was typed for ${who}`,
  subject_assigned: (who, { group }) => (group ? `${who} is in the group ${group}` : `${who} is in no group`),
  validity_set: (who, { from, until }) => `${who} is valid${from ? ` from ${from}` : ""}${until ? ` until ${until}` : ""}${from || until ? "" : " without limit"}`,
  group_added: (_, { group }) => `The group ${group} was made`,
  group_scheduled: (_, { group, schedule }) => `The group ${group} ${schedule ? `follows ${schedule}` : "may pass at any time"}`,
  group_removed: (_, { group }) => `The group ${group} was removed`,
  schedule_set: (_, { schedule }) => `The schedule ${schedule} was set`,
  schedule_removed: (_, { schedule }) => `The schedule ${schedule} was removed`,
  holidays_changed: (_, { added, removed }) => `Holidays: ${added} added, ${removed} removed`,
  arming_changed: (_, { armed, until }) => (armed ? `The door was armed${until ? ` until ${until}` : ""}` : "The door was disarmed: nobody is granted"),
  arming_scheduled: (_, { schedule }) => (schedule ? `The door is armed only while the schedule ${schedule} is open` : "The door's arming follows no schedule"),
  administrator_added: (_, { administrator }) => `The key of ${administrator} may ask for changes`,
  administrator_removed: (_, { administrator }) => `The key of ${administrator} may ask for nothing any more`,
  asked: (who, { administrator, request, done }) => `${administrator} asked for ${words({}, request)}${who ? ` of ${who}` : ""}: ${done ? "done" : "not done"}`,
  strangers_noticed: (_, { visits, within_s: within }) => `${visits} visits of strangers within ${Math.round(within / 60)} minutes`,
  configuration_reloaded: (_, { changed, restart }) => `The configuration was read again${listed(changed)}${restart?.length ? `; a restart is needed for ${restart.join(", ")}` : ""}`,
  configuration_refused: (_, { reason, keys }) => `Another configuration was refused (${words({}, reason)})${listed(keys)}`,
  door_contested: () => "Another device speaks as this door",
  account_added: (_, { account, role }) => `The account ${account} was made: ${role}`,
  account_removed: (_, { account }) => `The account ${account} was removed`,
  account_password_set: (_, { account }) => `The account ${account} has another password`,
  account_token_made: (_, { account }) => `The account ${account} has a further token`,
  account_token_removed: (_, { account }) => `A token of the account ${account} was taken away`,
  account_tokens_removed: (_, { account }) => `The tokens of the account ${account} were taken away`,
  live_view_watched: () => "Somebody began to watch the camera's picture",
  enrolment_begun: () => "An enrolment at the camera began: nobody is granted meanwhile",
};

/** Whether the door lets anybody in, of the state's `armed`. */
export function armedText({ armed, reason, until, schedule }) {
  if (!armed) return `no: nobody is let in, ${words({ ...UNARMED, schedule: `the schedule ${schedule} is closed` }, reason ?? "disarmed")}`;
  return `yes${until ? `, until ${asMoment(until)}` : ""}${schedule ? `, by the schedule ${schedule}` : ""}`;
}

const UNARMED = {
  disarmed: "it was disarmed",
  over: "the time is over for which it was armed",
  clock: "it hangs on the time and the clock is not trusted",
};

/** What happened and why. */
export function sentenceOf(record) {
  const { kind, outcome, reason, by, sentence, details = {} } = record;
  const who = called(record);
  const decided = outcome && DECISIONS[outcome];
  if (decided) return `${decided(who)}: ${words(REASONS, reason)}.`;
  if (outcome) return `${who ?? "Somebody"}: ${words(OUTCOMES, outcome)}, ${words(REASONS, reason)}.`;
  const event = Object.hasOwn(EVENTS, kind) ? EVENTS[kind](who ?? "Somebody", details) : null;
  if (!event) return sentence;
  return `${event}${by ? ` (by ${by})` : ""}.`;
}
