// Times, numbers and sizes as this page writes them.
//
// In: values of the contract. Out: short texts. Times are shown in the reader's own zone. Invariant:
// what is missing or no number gives a dash, never "NaN" or "undefined".

const DASH = "–";
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const date = new Intl.DateTimeFormat(undefined, { day: "2-digit", month: "short", year: "numeric" });
const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const second = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function time(text) {
  const value = text ? new Date(text) : null;
  return value && !Number.isNaN(value.getTime()) ? value : null;
}

const by = (format) => (text) => {
  const value = time(text);
  return value ? format.format(value) : DASH;
};

export const asDay = by(day);
export const asDate = by(date);
export const asMinute = by(minute);
export const asSecond = by(second);

export function asMoment(text) {
  return time(text) ? `${asDate(text)}, ${asMinute(text)}` : DASH;
}

/** How long `text` lies back, roughly. */
export function asAgo(text, now = Date.now()) {
  const value = time(text);
  if (!value) return DASH;
  const minutes = Math.max(0, Math.round((now - value.getTime()) / 60_000));
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} days`;
}

export function asNumber(value, digits = 0) {
  return Number.isFinite(value) ? value.toFixed(digits) : DASH;
}

/** A score with three digits: beyond them it says nothing. */
export function asScore(value) {
  return asNumber(value, 3);
}

/** A rate such as a claimed FPIR: "1 in 2 000". */
export function asRate(value) {
  if (!Number.isFinite(value) || value < 0) return DASH;
  if (value === 0) return "0";
  if (value >= 0.01) return `${(value * 100).toFixed(1)} %`;
  const one = Math.round(1 / value);
  const scale = 10 ** Math.max(0, String(one).length - 2);
  return `1 in ${(Math.round(one / scale) * scale).toLocaleString("en").replaceAll(",", "\u202f")}`;
}

export function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

/** What a `datetime-local` field holds means the reader's clock: the moment, as the contract puts it. */
export function fromField(text) {
  return time(text)?.toISOString() ?? null;
}

/** A time on the door's own clock, which has no zone, for a `datetime-local` field, and back. */
export function toClockField(text) {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(text ?? "") ? text.slice(0, 16) : "";
}

export function fromClockField(text) {
  return text ? `${text}:00`.slice(0, 19) : null;
}
