//! Holidays out of a calendar file, as offices and sites offer them.
//!
//! In: the text of an iCalendar file (RFC 5545), the first and the last day that matter. Out: the days
//! of its whole-day events, and each event that was left out, with the reason. Invariant: a day is a
//! holiday only by an event that was read to its end; what is not understood is left out and named,
//! never guessed. Events repeat yearly or not at all. Pure.

use std::borrow::Cow;
use std::collections::BTreeSet;

use icalendar::parser::{Component, read_calendar, unfold};
use jiff::civil::Date;
use jiff::{Span, ToSpan as _};

use crate::remedy::Remedied;

/// Bytes of a file, at most.
pub const CALENDAR_BYTES_MAX: u64 = 1 << 20;
/// Days of one event, at most: more is a mistake, and would close a door for long.
const EVENT_DAYS_MAX: i32 = 92;
/// Characters of an event's name that are shown.
const SHOWN_MAX: usize = 60;

/// What a file says of holidays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holidays {
    /// The days, of those that matter.
    pub dates: BTreeSet<Date>,
    /// Events of which no day was taken, in the order of the file.
    pub left_out: Vec<LeftOut>,
}

/// An event that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// What the file calls it.
    pub event: String,
    /// Why.
    pub why: &'static str,
}

/// Why a text is no calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarProblem {
    /// It cannot be read as one.
    #[error("this is no iCalendar file; {advice}", advice = self.advice())]
    Unreadable,
    /// It holds no event.
    #[error("this calendar holds no event; {advice}", advice = self.advice())]
    Empty,
}

impl Remedied for CalendarProblem {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Unreadable => {
                "it must begin with BEGIN:VCALENDAR, as files that end in .ics do; or name the days with 'schedules holidays add'"
            }
            Self::Empty => "export the calendar anew with its events (VEVENT)",
        }))
    }
}

/// The holidays from `first` to `last`, both included, of the calendar in `text`.
///
/// # Errors
/// [`CalendarProblem`].
pub fn read_holidays(text: &str, first: Date, last: Date) -> Result<Holidays, CalendarProblem> {
    let text = unfold(text.trim_start_matches('\u{feff}').trim());
    if !text.starts_with("BEGIN:VCALENDAR") {
        return Err(CalendarProblem::Unreadable);
    }
    let calendar = read_calendar(&text).map_err(|_| CalendarProblem::Unreadable)?;
    let mut holidays = Holidays::default();
    let mut events =
        calendar.components.iter().filter(|one| one.name.as_str() == "VEVENT").peekable();
    if events.peek().is_none() {
        return Err(CalendarProblem::Empty);
    }
    for event in events {
        match Event::read(event) {
            Ok(event) => holidays.dates.extend(event.days(first, last)),
            Err(why) => holidays.left_out.push(LeftOut { event: shown(event), why }),
        }
    }
    Ok(holidays)
}

/// A whole-day event.
struct Event {
    start: Date,
    /// How many days each time, 1 or more.
    length: i32,
    repeats: Option<Yearly>,
    /// Days on which it does not begin.
    except: BTreeSet<Date>,
}

/// How an event repeats: every so many years, so often, until then.
struct Yearly {
    interval: i16,
    count: Option<usize>,
    until: Option<Date>,
}

impl Event {
    fn read(event: &Component<'_>) -> Result<Self, &'static str> {
        let value = |name: &str| event.find_prop(name).map(|found| found.val.as_str());
        if value("STATUS") == Some("CANCELLED") {
            return Err("it is cancelled");
        }
        if value("RECURRENCE-ID").is_some() {
            return Err("it changes one day of an event that repeats; name that day by hand");
        }
        if value("RDATE").is_some() {
            return Err("it lists further days (RDATE); name them by hand");
        }
        let start = value("DTSTART").ok_or("it says no day (DTSTART)")?;
        let start = day(start).ok_or("it has a time of day: only whole days are holidays")?;
        let length = match (value("DTEND"), value("DURATION")) {
            (Some(end), _) => {
                let end = day(end).ok_or("its end (DTEND) is no day")?;
                (end - start).get_days()
            }
            (None, Some(duration)) => {
                days_of(duration).ok_or("its DURATION is not of whole days")?
            }
            (None, None) => 1,
        };
        if !(1..=EVENT_DAYS_MAX).contains(&length) {
            return Err("it ends before it begins, or is longer than 92 days");
        }
        let repeats = value("RRULE").map(|rule| Yearly::read(rule, start)).transpose()?;
        let mut except = BTreeSet::new();
        for property in event.properties.iter().filter(|one| one.name.as_str() == "EXDATE") {
            for text in property.val.as_str().split(',') {
                except.insert(day(text).ok_or("an exception (EXDATE) is no day")?);
            }
        }
        Ok(Self { start, length, repeats, except })
    }

    /// Its days from `first` to `last`.
    fn days(&self, first: Date, last: Date) -> impl Iterator<Item = Date> {
        let starts = self.starts(last).into_iter().filter(|start| !self.except.contains(start));
        let days = starts.flat_map(|start| {
            (0..self.length).filter_map(move |days| start.checked_add(days.days()).ok())
        });
        days.filter(move |day| (first..=last).contains(day))
    }

    fn starts(&self, last: Date) -> Vec<Date> {
        let Some(Yearly { interval, count, until }) = &self.repeats else {
            return vec![self.start];
        };
        let last = until.map_or(last, |until| until.min(last));
        let years =
            (self.start.year()..=last.year()).step_by(usize::try_from(*interval).unwrap_or(1));
        // 29 February comes only in leap years, and other years do not count.
        let starts = years
            .filter_map(|year| Date::new(year, self.start.month(), self.start.day()).ok())
            .take(count.unwrap_or(usize::MAX));
        starts.filter(|start| *start <= last).collect()
    }
}

impl Yearly {
    fn read(rule: &str, start: Date) -> Result<Self, &'static str> {
        const UNREAD: &str =
            "it repeats otherwise than yearly on the same day; name its days by hand";
        let mut yearly = Self { interval: 1, count: None, until: None };
        let mut frequency = None;
        for part in rule.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or(UNREAD)?;
            match name {
                "FREQ" => frequency = Some(value),
                "INTERVAL" => {
                    yearly.interval = value.parse().ok().filter(|one| *one > 0).ok_or(UNREAD)?;
                }
                "COUNT" => yearly.count = Some(value.parse().map_err(|_| UNREAD)?),
                // A moment is of the day that it is written with.
                "UNTIL" => {
                    yearly.until = Some(day(value.get(..8).unwrap_or_default()).ok_or(UNREAD)?);
                }
                "BYMONTH" if value.parse() == Ok(start.month()) => {}
                "BYMONTHDAY" if value.parse() == Ok(start.day()) => {}
                "WKST" => {}
                _ => return Err(UNREAD),
            }
        }
        if frequency == Some("YEARLY") { Ok(yearly) } else { Err(UNREAD) }
    }
}

/// `20261225`.
fn day(text: &str) -> Option<Date> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = text.split_at(4);
    let (month, day) = rest.split_at(2);
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

/// `P1D`, `P2W`.
fn days_of(text: &str) -> Option<i32> {
    let span: Span = text.parse().ok()?;
    let days = span.get_weeks().checked_mul(7)?.checked_add(span.get_days())?;
    let whole = Span::new().try_weeks(span.get_weeks()).ok()?.try_days(span.get_days()).ok()?;
    (span.fieldwise() == whole.fieldwise()).then_some(days)
}

/// What the file calls an event, short and on one line.
fn shown(event: &Component<'_>) -> String {
    let name = ["SUMMARY", "UID", "DTSTART"].into_iter().find_map(|name| event.find_prop(name));
    let name = name.map_or("an event without a name", |found| found.val.as_str());
    name.chars().filter(|one| !one.is_control()).take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn read(events: &[&str]) -> Holidays {
        let mut text = String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y\r\n");
        for event in events {
            let lines = event.replace('\n', "\r\n");
            for part in ["BEGIN:VEVENT", &lines, "END:VEVENT"] {
                text.push_str(part);
                text.push_str("\r\n");
            }
        }
        text.push_str("END:VCALENDAR\r\n");
        read_holidays(&text, date(2026, 1, 1), date(2028, 12, 31)).unwrap()
    }

    #[test]
    fn whole_days_are_holidays_to_the_last_one() {
        for (event, days) in [
            ("DTSTART;VALUE=DATE:20261225\nSUMMARY:Christmas", vec![date(2026, 12, 25)]),
            // The end is the first day after.
            (
                "DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261227",
                vec![date(2026, 12, 25), date(2026, 12, 26)],
            ),
            ("DTSTART:20270101\nDURATION:P1D", vec![date(2027, 1, 1)]),
            // Of a week that began before the first day that matters.
            (
                "DTSTART;VALUE=DATE:20251229\nDURATION:P1W",
                vec![date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3), date(2026, 1, 4)],
            ),
            ("DTSTART;VALUE=DATE:20200101", vec![]),
        ] {
            let found = read(&[event]);
            assert_eq!(found.left_out, [], "{event}");
            assert_eq!(found.dates, days.into_iter().collect(), "{event}");
        }
    }

    #[test]
    fn what_repeats_yearly_comes_each_year() {
        let years = |event: &str| {
            let found = read(&[event]);
            assert_eq!(found.left_out, [], "{event}");
            found.dates.iter().map(|day| day.year()).collect::<Vec<_>>()
        };
        let rule = |rule: &str| format!("DTSTART;VALUE=DATE:20250501\nRRULE:{rule}");
        assert_eq!(years(&rule("FREQ=YEARLY")), [2026, 2027, 2028]);
        assert_eq!(years(&rule("FREQ=YEARLY;COUNT=2")), [2026]);
        assert_eq!(years(&rule("FREQ=YEARLY;UNTIL=20270501T000000Z")), [2026, 2027]);
        assert_eq!(years(&rule("FREQ=YEARLY;UNTIL=20270430")), [2026]);
        assert_eq!(years(&rule("FREQ=YEARLY;INTERVAL=2")), [2027]);
        assert_eq!(years(&rule("FREQ=YEARLY;BYMONTH=5;BYMONTHDAY=1;WKST=MO")), [2026, 2027, 2028]);
        let except = rule("FREQ=YEARLY") + "\nEXDATE;VALUE=DATE:20260501,20280501";
        assert_eq!(years(&except), [2027]);
        assert_eq!(years("DTSTART;VALUE=DATE:20240229\nRRULE:FREQ=YEARLY;COUNT=2"), [2028]);
    }

    #[test]
    fn what_is_not_understood_is_left_out_and_named() {
        let day = "DTSTART;VALUE=DATE:20261225";
        for event in [
            "SUMMARY:no day".to_owned(),
            "DTSTART:20261225T090000Z".to_owned(),
            "DTSTART;VALUE=DATE:20261325".to_owned(),
            format!("{day}\nSTATUS:CANCELLED"),
            format!("{day}\nRECURRENCE-ID;VALUE=DATE:20261224"),
            format!("{day}\nRDATE;VALUE=DATE:20261231"),
            format!("{day}\nDTEND;VALUE=DATE:20261224"),
            format!("{day}\nDTEND;VALUE=DATE:20271224"),
            format!("{day}\nDTEND:20261226T120000"),
            format!("{day}\nDURATION:PT4H"),
            format!("{day}\nDURATION:P1DT4H"),
            format!("{day}\nRRULE:FREQ=WEEKLY"),
            format!("{day}\nRRULE:FREQ=YEARLY;BYDAY=1MO"),
            format!("{day}\nRRULE:FREQ=YEARLY;BYMONTH=11"),
            format!("{day}\nRRULE:FREQ=YEARLY;INTERVAL=0"),
            format!("{day}\nRRULE:COUNT=3"),
            format!("{day}\nEXDATE:whenever"),
        ] {
            let found = read(&[&event, "DTSTART;VALUE=DATE:20270101\nSUMMARY:good"]);
            assert_eq!(found.dates, [date(2027, 1, 1)].into(), "{event}");
            assert_eq!(found.left_out.len(), 1, "{event}");
        }
        let folded = read(&["SUMMARY:an event whose\n  name is folded\nDTSTART:20261225T090000"]);
        assert_eq!(folded.left_out[0].event, "an event whose name is folded");
    }

    #[test]
    fn a_text_that_is_no_calendar_is_refused() {
        let read = |text: &str| read_holidays(text, date(2026, 1, 1), date(2028, 12, 31));
        for text in ["", "2026-12-25", "BEGIN:VCALENDAR\nBEGIN:VEVENT\n", "{\"a\":1}"] {
            assert_eq!(read(text), Err(CalendarProblem::Unreadable), "{text}");
        }
        assert_eq!(
            read("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n"),
            Err(CalendarProblem::Empty)
        );
        let marked =
            "\u{feff}BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261225\nEND:VEVENT\nEND:VCALENDAR";
        assert_eq!(read(marked).unwrap().dates.len(), 1);
    }
}
