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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        let minute = u16::try_from(i32::from(at.hour()) * 60 + i32::from(at.minute()));
        let (day, hours) = self.of(at.date(), holidays);
        // A minute that is none is in no span.
        let Ok(minute) = minute else { return (day, false) };
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
}

#[derive(Default)]
struct Reading {
    schedule: Schedule,
    written: BTreeSet<String>,
}

impl Reading {
    fn part(&mut self, part: &str) -> Result<(), String> {
        let (days, hours) =
            part.split_once(char::is_whitespace).ok_or_else(|| format!("'{part}' has no hours"))?;
        let hours = Hours::read(hours)?;
        for days in days.split(',') {
            for day in named(days)? {
                if !self.written.insert(day.clone()) {
                    return Err(format!("{day} is written twice"));
                }
                self.set(&day, &hours)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, day: &str, hours: &Hours) -> Result<(), String> {
        let Schedule { week, holiday, dates } = &mut self.schedule;
        if day == HOLIDAY {
            holiday.clone_from(hours);
        } else if let Some((_, of)) = WEEK.iter().zip(week).find(|(name, _)| **name == day) {
            of.clone_from(hours);
        } else {
            dates.insert(date(day)?, hours.clone());
            if dates.len() > DATES_MAX {
                return Err(format!("more than {DATES_MAX} dates have hours of their own"));
            }
        }
        Ok(())
    }
}

/// The days that a word names: a day, a range of weekdays (also over Sunday), all of them, a date.
fn named(word: &str) -> Result<Vec<String>, String> {
    let place = |day: &str| WEEK.iter().position(|known| *known == day);
    let none = || {
        format!("'{word}' is no day: mon to sun, {DAILY}, {HOLIDAY}, or a date such as 2026-12-24")
    };
    if word == DAILY {
        return Ok(WEEK.map(str::to_owned).to_vec());
    }
    if word == HOLIDAY || place(word).is_some() {
        return Ok(vec![word.to_owned()]);
    }
    if let Some((first, last)) = word.split_once('-')
        && let (Some(first), Some(last)) = (place(first), place(last))
    {
        let length = (last + WEEK.len() - first) % WEEK.len() + 1;
        let days = WEEK.iter().cycle().skip(first).take(length);
        return Ok(days.map(|day| (*day).to_owned()).collect());
    }
    date(word).map(|date| vec![date.to_string()]).map_err(|_| none())
}

fn date(text: &str) -> Result<Date, String> {
    let wanted = || format!("'{text}' is no date such as 2026-12-24");
    let read: Date = text.parse().map_err(|_| wanted())?;
    // One way of writing each date.
    if read.to_string() == text { Ok(read) } else { Err(wanted()) }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        let mut days = WEEK.iter().zip(&self.week).peekable();
        while let Some((first, hours)) = days.next() {
            let mut last = first;
            while let Some((next, _)) = days.next_if(|(_, other)| *other == hours) {
                last = next;
            }
            let range = if first == last { (*first).to_owned() } else { format!("{first}-{last}") };
            parts.push(format!("{range} {hours}"));
        }
        parts.push(format!("{HOLIDAY} {}", self.holiday));
        parts.extend(self.dates.iter().map(|(date, hours)| format!("{date} {hours}")));
        f.write_str(&parts.join("; "))
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
