//! A schedule: which hours each day has.
//!
//! `mon-fri 08:00-18:00; sat 09:00-12:00; holiday closed; 2026-12-24 08:00-12:00` → [`Schedule`], and
//! back. A date has the hours that are written for it; otherwise a holiday those for holidays;
//! otherwise its weekday's. What is not written is closed: of a schedule that says nothing of
//! holidays, all of them. A span across midnight belongs to the day on which it begins, whatever the
//! next day is.
//!
//! Hours are those that a clock at the door shows: where the clock is put forward, an hour does not
//! come; where it is put back, one comes twice and counts twice. Deliberately absent: time zones.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::civil::{Date, DateTime};

use super::hours::Hours;
use crate::remedy::Remedied;

/// The days of a week as they are written, Monday first.
const WEEK: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const HOLIDAY: &str = "holiday";
const DAILY: &str = "daily";

/// Dates with hours of their own, at most.
const DATES_MAX: usize = 400;
/// Characters of a schedule, at most.
const TEXT_MAX: usize = 16 * 1024;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule {
    week: [Hours; 7],
    holiday: Hours,
    dates: BTreeMap<Date, Hours>,
}

/// By which of a schedule's hours a time was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Day {
    /// Those of this date.
    Date(Date),
    /// Those of holidays.
    Holiday,
    /// Those of a weekday: `mon` to `sun`.
    Weekday(&'static str),
}

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; {advice}", advice = self.advice())]
pub struct ScheduleProblem(String);

impl Remedied for ScheduleProblem {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(
            "write it such as 'mon-fri 08:00-12:00,13:00-18:00; sat 09:00-12:00; holiday closed; 2026-12-24 08:00-12:00'",
        ))
    }
}

impl Schedule {
    /// Reads a schedule as a person writes it.
    ///
    /// # Errors
    /// [`ScheduleProblem`] with the part that is wrong.
    pub fn read(text: &str) -> Result<Self, ScheduleProblem> {
        if text.len() > TEXT_MAX {
            return Err(ScheduleProblem(format!("the text is longer than {TEXT_MAX} characters")));
        }
        let mut read = Reading::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            read.part(part).map_err(ScheduleProblem)?;
        }
        if read.written.is_empty() {
            return Err(ScheduleProblem("no day is written".to_owned()));
        }
        Ok(read.schedule)
    }

    /// Whether it is open at `at`, on the clock at the door, and by which hours.
    #[must_use]
    pub fn at(&self, at: DateTime, holidays: &BTreeSet<Date>) -> (Day, bool) {
        let [hour, minute] = [at.hour(), at.minute()].map(|part| u16::from(part.unsigned_abs()));
        let minute = hour * 60 + minute;
        let (day, hours) = self.of(at.date(), holidays);
        if hours.has(minute) {
            return (day, true);
        }
        if let Ok(yesterday) = at.date().yesterday() {
            let (before, hours) = self.of(yesterday, holidays);
            if hours.reaches(minute) {
                return (before, true);
            }
        }
        (day, false)
    }

    /// The hours of `date`.
    #[must_use]
    pub fn of(&self, date: Date, holidays: &BTreeSet<Date>) -> (Day, &Hours) {
        if let Some(hours) = self.dates.get(&date) {
            return (Day::Date(date), hours);
        }
        if holidays.contains(&date) {
            return (Day::Holiday, &self.holiday);
        }
        let place = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
        match (WEEK.get(place), self.week.get(place)) {
            (Some(name), Some(hours)) => (Day::Weekday(name), hours),
            _ => (Day::Holiday, &self.holiday),
        }
    }

    /// As it is written, and of hours across midnight also when they end: for people, and not for
    /// [`Self::read`].
    #[must_use]
    pub fn in_words(&self) -> String {
        let words = |Part { days, next, hours }| match (hours.end_on_next_day(), next) {
            (None, _) => format!("{days} {hours}"),
            (Some(end), Some(next)) => format!("{days} {hours} (until {next} {end})"),
            (Some(end), None) => format!("{days} {hours} (until {end} of the next day)"),
        };
        self.parts().into_iter().map(words).collect::<Vec<_>>().join("; ")
    }

    /// All of it: neighbours of the same hours together, then holidays, then dates.
    fn parts(&self) -> Vec<Part<'_>> {
        let mut parts = Vec::new();
        let tomorrow = WEEK.iter().cycle().skip(1);
        let mut week = WEEK.iter().zip(tomorrow).zip(&self.week).peekable();
        while let Some(((first, tomorrow), hours)) = week.next() {
            let mut last = first;
            while let Some(((next, _), _)) = week.next_if(|(_, other)| *other == hours) {
                last = next;
            }
            parts.push(if first == last {
                Part { days: (*first).to_owned(), next: Some((*tomorrow).to_owned()), hours }
            } else {
                Part { days: format!("{first}-{last}"), next: None, hours }
            });
        }
        parts.push(Part { days: HOLIDAY.to_owned(), next: None, hours: &self.holiday });
        parts.extend(self.dates.iter().map(|(date, hours)| {
            let next = date.tomorrow().ok().map(|next| next.to_string());
            Part { days: date.to_string(), next, hours }
        }));
        parts
    }
}

/// Days that are written together.
struct Part<'s> {
    days: String,
    /// The day after, where that is one.
    next: Option<String>,
    hours: &'s Hours,
}

#[derive(Default)]
struct Reading {
    schedule: Schedule,
    written: BTreeSet<Day>,
}

impl Reading {
    fn part(&mut self, part: &str) -> Result<(), String> {
        let (days, hours) =
            part.split_once(char::is_whitespace).ok_or_else(|| format!("'{part}' has no hours"))?;
        let hours = Hours::read(hours)?;
        for days in days.split(',') {
            for day in named(days)? {
                if !self.written.insert(day) {
                    return Err(format!("{day} is written twice"));
                }
                self.set(day, &hours)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, day: Day, hours: &Hours) -> Result<(), String> {
        let Schedule { week, holiday, dates } = &mut self.schedule;
        match day {
            Day::Holiday => holiday.clone_from(hours),
            Day::Weekday(name) => {
                if let Some((_, of)) = WEEK.iter().zip(week).find(|(known, _)| **known == name) {
                    of.clone_from(hours);
                }
            }
            Day::Date(date) => {
                dates.insert(date, hours.clone());
                if dates.len() > DATES_MAX {
                    return Err(format!("more than {DATES_MAX} dates have hours of their own"));
                }
            }
        }
        Ok(())
    }
}

/// The days that a word names: a day, a range of weekdays (also over Sunday), all of them, a date.
fn named(word: &str) -> Result<Vec<Day>, String> {
    let place = |day: &str| WEEK.iter().position(|known| *known == day);
    let none = || {
        format!("'{word}' is no day: mon to sun, {DAILY}, {HOLIDAY}, or a date such as 2026-12-24")
    };
    if word == DAILY {
        return Ok(WEEK.map(Day::Weekday).to_vec());
    }
    if word == HOLIDAY {
        return Ok(vec![Day::Holiday]);
    }
    // One day is a range of one.
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    if let (Some(first), Some(last)) = (place(first), place(last)) {
        let length = (last + WEEK.len() - first) % WEEK.len() + 1;
        let days = WEEK.iter().copied().cycle().skip(first).take(length);
        return Ok(days.map(Day::Weekday).collect());
    }
    read_date(word).map(|date| vec![Day::Date(date)]).map_err(|_| none())
}

/// Reads a date as it is written everywhere here: each in one way.
///
/// # Errors
/// What would be one.
pub fn read_date(text: &str) -> Result<Date, String> {
    let read = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
    read.ok_or_else(|| "must be a date such as 2026-12-24".to_owned())
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Part { days, hours, .. }) in self.parts().iter().enumerate() {
            let semicolon = if place == 0 { "" } else { "; " };
            write!(f, "{semicolon}{days} {hours}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date(date) => write!(f, "{date}"),
            Self::Holiday => f.write_str(HOLIDAY),
            Self::Weekday(name) => f.write_str(name),
        }
    }
}
