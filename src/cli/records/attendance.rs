//! `records attendance`: who came on which day: first, last, how often.
//!
//! In: the records, and which days are wanted. Out: a row for each day and subject, as a table, as JSON
//! lines or as CSV. A day is one on the clock at the door (`policy.time_zone`), so that one on which the
//! clock is changed has 23 or 25 hours. Only grants count, each of them: whoever is granted twice within a
//! minute counts twice, and nobody is known to have gone in. Somebody who was removed since keeps their id, and has no name.
//!
//! A verb of its own and no form of `export`: its rows are no records, so that outcomes, a limit and
//! `--follow` mean nothing to them, and whoever reads `export` by its columns finds them unchanged.
//!
//! Invariants: as in `records`; nothing says who acted under duress.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::json;

use super::{PAGE, new_file, put, subject, unwritable};
use crate::cli::context::Context;
use crate::cli::exit::Kind;
use crate::cli::failure::Failure;
use crate::clock::rfc3339;
use crate::compare::SubjectId;
use crate::config::Config;
use crate::decide::Outcome;
use crate::policy::read_date;
use crate::store::{Body, Names, Selection, Store, StoredRecord, csv_row};

/// Arguments of `records attendance`.
#[derive(Debug, Args)]
pub struct Attendance {
    /// From this day on: 2026-11-01, on the clock at the door
    #[arg(long, value_name = "DATE", value_parser = read_date)]
    since: Option<Date>,
    /// To this day, which counts as well
    #[arg(long, value_name = "DATE", value_parser = read_date)]
    until: Option<Date>,
    /// Of this subject alone: id or name
    #[arg(long)]
    subject: Option<String>,
    /// The form; with --json one object for each line
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write to this new file in place of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the names of enrolled people beside their ids
    #[arg(long)]
    names: bool,
}

/// Forms of attendance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person
    Table,
    /// One JSON object for each line
    Jsonl,
    /// Comma-separated values (RFC 4180) with a header
    Csv,
}

/// The columns of CSV; `name` comes last, where names are wanted.
const COLUMNS: [&str; 7] =
    ["date", "subject", "first", "last", "count", "first_issued", "last_issued"];

impl Attendance {
    pub(super) fn run(
        self,
        context: &Context,
        config: &Config,
        store: &Store,
    ) -> Result<Kind, Failure> {
        let subject = self.subject.as_deref().map(|asked| subject(store, asked)).transpose()?;
        let (since, until) = (self.since, self.until);
        let wanted = Wanted { since, until, subject, zone: config.time_zone() };
        let format = match (self.format, &self.out) {
            (Format::Csv, None) => {
                context.no_json("records attendance --format csv", "CSV")?;
                Format::Csv
            }
            (Format::Table, None) if context.json() => Format::Jsonl,
            (format, _) => format,
        };
        let sheet = Sheet::read(store, wanted)?;
        let names = if self.names { Some(store.names()?) } else { None };
        let text = sheet.text(format, names.as_ref())?;
        if sheet.unreadable > 0 {
            context.mention(format!(
                "note: {} records cannot be read, and do not count",
                sheet.unreadable
            ));
        }
        let Some(path) = &self.out else {
            put(&mut std::io::stdout().lock(), &text)?;
            return Ok(Kind::Done);
        };
        let mut out = BufWriter::new(new_file(path)?);
        out.write_all(text.as_bytes())
            .and_then(|()| out.into_inner().map_err(std::io::IntoInnerError::into_error))
            .and_then(|file| file.sync_all())
            .map_err(|error| unwritable(&error, path))?;
        let rows = sheet.days.len();
        context.tell(
            format!("{} written: {rows} rows", path.display()),
            &json!({ "written": path, "rows": rows }),
        )?;
        Ok(Kind::Done)
    }
}

/// What is wanted, and whose clock says which day it is.
#[derive(Debug, Clone)]
struct Wanted {
    since: Option<Date>,
    until: Option<Date>,
    subject: Option<SubjectId>,
    zone: TimeZone,
}

/// How somebody came on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Came {
    /// The first grant, milliseconds since 1970.
    first_ms: i64,
    /// The last.
    last_ms: i64,
    /// How many there were.
    count: u64,
}

/// Who came when.
#[derive(Debug)]
struct Sheet {
    wanted: Wanted,
    days: BTreeMap<(Date, SubjectId), Came>,
    /// Records that cannot be read.
    unreadable: u64,
}

impl Sheet {
    const fn new(wanted: Wanted) -> Self {
        Self { wanted, days: BTreeMap::new(), unreadable: 0 }
    }

    fn read(store: &Store, wanted: Wanted) -> Result<Self, Failure> {
        let selection = wanted.selection();
        let (mut sheet, mut after) = (Self::new(wanted), 0);
        loop {
            let page = store.records(&selection, after, PAGE)?;
            for record in &page {
                after = record.seq();
                sheet.add(record);
            }
            if page.len() < PAGE as usize {
                return Ok(sheet);
            }
        }
    }

    fn add(&mut self, stored: &StoredRecord) {
        let Ok(record) = &stored.record else {
            self.unreadable += 1;
            return;
        };
        let Body::Decision(decision) = &record.body else { return };
        if let (Outcome::Granted, Some(subject)) = (decision.outcome, &decision.subject) {
            self.note(subject, record.issued_ms);
        }
    }

    /// Counts a grant.
    fn note(&mut self, subject: &SubjectId, issued_ms: i64) {
        let Wanted { since, until, subject: whom, zone } = &self.wanted;
        let Some(at) = local(issued_ms, zone) else { return };
        let day = at.date();
        if whom.as_ref().is_some_and(|whom| whom != subject)
            || since.is_some_and(|since| day < since)
            || until.is_some_and(|until| day > until)
        {
            return;
        }
        let new = Came { first_ms: issued_ms, last_ms: issued_ms, count: 0 };
        let came = self.days.entry((day, subject.clone())).or_insert(new);
        // A clock that was set back gives a later record an earlier time.
        came.first_ms = came.first_ms.min(issued_ms);
        came.last_ms = came.last_ms.max(issued_ms);
        came.count += 1;
    }

    fn text(&self, format: Format, names: Option<&Names>) -> Result<String, Failure> {
        let mut text = match format {
            Format::Table => line(["date", "first", "last", "count", "subject", "name"]),
            Format::Jsonl => String::new(),
            Format::Csv => csv(COLUMNS.into_iter().chain(names.map(|_| "name")))?,
        };
        for ((day, subject), came) in &self.days {
            let name = names.and_then(|names| names.get(subject)).map(String::as_str);
            let clock = |unix_ms| {
                let at = local(unix_ms, &self.wanted.zone);
                at.map_or_else(String::new, |at| at.strftime("%H:%M:%S").to_string())
            };
            let (first, last, count) = (clock(came.first_ms), clock(came.last_ms), came.count);
            let (first_issued, last_issued) = (rfc3339(came.first_ms), rfc3339(came.last_ms));
            let day = day.to_string();
            match format {
                Format::Table => text.push_str(&line([
                    &day,
                    &first,
                    &last,
                    &count.to_string(),
                    subject.as_str(),
                    name.unwrap_or_default(),
                ])),
                Format::Jsonl => {
                    let mut value = json!({
                        "date": day,
                        "subject": subject,
                        "first": first,
                        "last": last,
                        "count": count,
                        "first_issued": first_issued,
                        "last_issued": last_issued,
                    });
                    if let (Some(name), Some(fields)) = (name, value.as_object_mut()) {
                        fields.insert("name".to_owned(), name.into());
                    }
                    let _infallible = writeln!(text, "{value}");
                }
                Format::Csv => {
                    let count = count.to_string();
                    let subject = subject.as_str();
                    let cells = [&day, subject, &first, &last, &count, &first_issued, &last_issued];
                    let name = names.map(|_| name.unwrap_or_default());
                    text.push_str(&csv(cells.into_iter().chain(name))?);
                }
            }
        }
        Ok(text)
    }
}

impl Wanted {
    /// Records among which all that are wanted are: a day of room on either side, whatever the clock at the
    /// door does about midnight.
    fn selection(&self) -> Selection {
        let about = |day: Option<Date>, days: i64| {
            let day = day?.checked_add(days.days()).ok()?;
            Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
        };
        Selection {
            since_ms: about(self.since, -2),
            until_ms: about(self.until, 3),
            ..Selection::default()
        }
    }
}

/// What the clock at the door shows.
fn local(unix_ms: i64, zone: &TimeZone) -> Option<DateTime> {
    Some(zone.to_datetime(Timestamp::from_millisecond(unix_ms).ok()?))
}

fn line([date, first, last, count, subject, name]: [&str; 6]) -> String {
    let line = format!("{date:<10}  {first:<8}  {last:<8}  {count:>5}  {subject:<18}  {name}");
    format!("{}\n", line.trim_end())
}

fn csv<'a>(cells: impl IntoIterator<Item = &'a str>) -> Result<String, Failure> {
    csv_row(cells).map_err(|what| {
        Failure::new(Kind::Fault, format!("a day has no form in CSV: {what}"), "please report it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(zone: &str, since: Option<&str>, until: Option<&str>) -> Sheet {
        let day = |text: Option<&str>| text.map(|text| read_date(text).unwrap());
        let (since, until) = (day(since), day(until));
        Sheet::new(Wanted { since, until, subject: None, zone: TimeZone::get(zone).unwrap() })
    }

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn who(number: u32) -> SubjectId {
        SubjectId::new(&format!("s-{number:06x}")).unwrap()
    }

    /// The last moment of a day, and the first of the next, on days on which the clock changes, too: in
    /// Cairo at midnight, which does not come; in Havana to midnight, which comes twice.
    #[test]
    fn a_day_ends_when_the_clock_at_the_door_says_so() {
        for (zone, last, day) in [
            ("UTC", "2026-03-28T23:59:59.999Z", "2026-03-28"),
            ("Europe/Berlin", "2026-03-28T22:59:59.999Z", "2026-03-28"),
            ("Europe/Berlin", "2026-03-29T21:59:59.999Z", "2026-03-29"),
            ("Europe/Berlin", "2026-10-24T21:59:59.999Z", "2026-10-24"),
            ("Europe/Berlin", "2026-10-25T22:59:59.999Z", "2026-10-25"),
            ("Africa/Cairo", "2026-04-23T21:59:59.999Z", "2026-04-23"),
            ("America/Havana", "2026-11-01T03:59:59.999Z", "2026-10-31"),
            ("America/Havana", "2026-11-02T04:59:59.999Z", "2026-11-01"),
            ("Pacific/Kiritimati", "2026-01-01T09:59:59.999Z", "2026-01-01"),
        ] {
            let today = read_date(day).unwrap();
            let mut days = sheet(zone, None, None);
            days.note(&who(1), ms(last));
            days.note(&who(1), ms(last) + 1);
            let found: Vec<_> = days.days.keys().map(|(day, _)| *day).collect();
            assert_eq!(found, [today, today.tomorrow().unwrap()], "{zone} {last}");
            for (since, until, kept) in [(None, Some(day), ms(last)), (Some(day), None, ms(last))] {
                let mut days = sheet(zone, since, until);
                days.note(&who(1), kept);
                assert_eq!(days.days.len(), 1, "{zone} {last}");
                let selection = days.wanted.selection();
                assert!(selection.since_ms.is_none_or(|since| since <= kept), "{zone} {last}");
                assert!(selection.until_ms.is_none_or(|until| kept < until), "{zone} {last}");
            }
            let mut days = sheet(zone, None, Some(day));
            days.note(&who(1), ms(last) + 1);
            assert!(days.days.is_empty(), "{zone} {last}");
        }
    }

    /// An hour that comes twice: the second time is later, whatever the clock shows.
    #[test]
    fn first_last_and_count_are_of_a_day_and_a_subject_in_whatever_order_records_come() {
        let mut days = sheet("Europe/Berlin", None, None);
        for (number, at) in [
            (1, "2026-10-25T01:10:00Z"),
            (2, "2026-10-25T08:00:00Z"),
            (1, "2026-10-25T00:50:00Z"),
            (1, "2026-10-24T21:00:00Z"),
            (1, "2026-10-25T01:05:00Z"),
        ] {
            days.note(&who(number), ms(at));
        }
        let names = Names::from([(who(1), "Ada, \"Countess\"".to_owned())]);
        let table = days.text(Format::Table, Some(&names)).unwrap();
        assert_eq!(
            table,
            "date        first     last      count  subject             name\n\
             2026-10-24  23:00:00  23:00:00      1  s-000001            Ada, \"Countess\"\n\
             2026-10-25  02:50:00  02:10:00      3  s-000001            Ada, \"Countess\"\n\
             2026-10-25  09:00:00  09:00:00      1  s-000002\n"
        );
        let csv = days.text(Format::Csv, Some(&names)).unwrap();
        assert_eq!(
            csv.lines().nth(2).unwrap(),
            "2026-10-25,s-000001,02:50:00,02:10:00,3,2026-10-25T00:50:00.000Z,2026-10-25T01:10:00.000Z,\"Ada, \"\"Countess\"\"\""
        );
        assert!(csv.ends_with("2026-10-25T08:00:00.000Z,\r\n"), "whoever has no name: {csv}");
        let lines = days.text(Format::Jsonl, None).unwrap();
        assert!(!lines.contains("name") && lines.lines().count() == 3, "{lines}");
    }
}
