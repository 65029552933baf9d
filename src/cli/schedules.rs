//! `schedules`: the hours that groups follow, and which days are holidays.
//!
//! In: the database, names, hours and dates as a person writes them. Out: what is written, or what was
//! changed; every change is one transaction with its record. Invariant: a schedule that a group follows
//! is not removed. Of a calendar file only days are taken, never what an event is called.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::json;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::subjects::{change_rules, clock, existing};
use crate::clock::{Clock as _, ClockTrust};
use crate::config::Config;
use crate::policy::{
    CALENDAR_BYTES_MAX, LeftOut, RuleBook, RuleName, Schedule, read_date, read_holidays,
};
use crate::store::{RuleChange, RuleProblem, Store};

/// What to do with schedules.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write the hours of a schedule, in place of those that it has
    Set {
        /// Its name, such as office-hours
        #[arg(value_name = "SCHEDULE", value_parser = RuleName::new)]
        schedule: RuleName,
        /// Days and their hours, such as 'mon-fri 08:00-12:00,13:00-18:00' 'holiday closed'
        /// '2026-12-24 08:00-12:00'; what is not written is closed
        #[arg(value_name = "DAYS HOURS", required = true)]
        hours: Vec<String>,
    },
    /// Show a schedule, or all of them and the holidays
    Show {
        /// The schedule
        #[arg(value_name = "SCHEDULE", value_parser = RuleName::new)]
        schedule: Option<RuleName>,
    },
    /// Remove a schedule that no group follows
    Remove {
        /// The schedule
        #[arg(value_name = "SCHEDULE", value_parser = RuleName::new)]
        schedule: RuleName,
    },
    /// Say which days are holidays: schedules have hours of their own for them, mostly none
    #[command(subcommand)]
    Holidays(Holidays),
}

/// What to do with holidays.
#[derive(Debug, Subcommand)]
pub enum Holidays {
    /// List all holidays
    List,
    /// These days are holidays, too
    Add {
        /// Dates such as 2026-12-25
        #[arg(value_name = "DATE", required = true, value_parser = read_date)]
        dates: Vec<Date>,
    },
    /// The whole days of a calendar file (iCalendar, .ics) are holidays, too: once, or yearly
    Import {
        /// The file, as an office or a site exports it; '-' for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The last day that is taken; without it the end of the fifth year from now
        #[arg(long, value_name = "DATE", value_parser = read_date)]
        until: Option<Date>,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// These days are no holidays
    Remove {
        /// Dates such as 2026-12-25
        #[arg(value_name = "DATE", required = true, value_parser = read_date)]
        dates: Vec<Date>,
    },
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        match self {
            Self::Set { schedule, hours } => set(context, &config, &schedule, &hours.join("; ")),
            Self::Show { schedule } => show(context, &config, schedule.as_ref()),
            Self::Remove { schedule } => {
                let change = RuleChange::RemoveSchedule { schedule: &schedule };
                change_rules(&mut existing(&config, Store::open)?, &config, change)?;
                let value = json!({ "done": "removed", "schedule": schedule });
                context.tell(format!("schedule {schedule} removed"), &value)?;
                Ok(Kind::Done)
            }
            Self::Holidays(Holidays::List) => {
                let book = existing(&config, Store::open_read_only)?.rule_book()?;
                context.tell(lines(&book), &json!({ "holidays": book.holidays }))?;
                Ok(Kind::Done)
            }
            Self::Holidays(Holidays::Add { dates }) => holidays(context, &config, &dates, true),
            Self::Holidays(Holidays::Import { file, until, dry_run }) => {
                import(context, &config, &file, until, dry_run)
            }
            Self::Holidays(Holidays::Remove { dates }) => holidays(context, &config, &dates, false),
        }
    }
}

fn lines(book: &RuleBook) -> String {
    let mut text = String::new();
    for date in &book.holidays {
        let _infallible = writeln!(text, "{date}");
    }
    if text.is_empty() {
        text.push_str("no day is a holiday\n");
    }
    text
}

fn set(
    context: &Context,
    config: &Config,
    schedule: &RuleName,
    text: &str,
) -> Result<Kind, Failure> {
    let hours = Schedule::read(text).map_err(|problem| Failure::of(Kind::Usage, &problem))?;
    let mut store = existing(config, Store::open)?;
    change_rules(&mut store, config, RuleChange::SetSchedule { schedule, hours: &hours })?;
    let book = store.rule_book()?;
    let during = book.demands.values().filter_map(|demand| demand.during.as_ref());
    let mut named = book.groups.values().flatten().chain(&book.arming_follows).chain(during);
    let followed = named.any(|name| name == schedule);
    let mut text = format!("{schedule}: {}", hours.in_words());
    if !followed {
        text.push_str("\nnothing follows it yet; 'deepid-edge groups add' makes a group that does");
    }
    let value = json!({ "done": "set", "schedule": schedule, "hours": hours.to_string() });
    context.tell(text, &value)?;
    Ok(Kind::Done)
}

fn show(context: &Context, config: &Config, schedule: Option<&RuleName>) -> Result<Kind, Failure> {
    let book = existing(config, Store::open_read_only)?.rule_book()?;
    if let Some(name) = schedule {
        let hours = book
            .schedules
            .get(name)
            .ok_or_else(|| crate::store::Error::from(RuleProblem::NoSuchSchedule(name.clone())))?;
        context.tell(hours.in_words(), &json!({ "schedule": name, "hours": hours.to_string() }))?;
        return Ok(Kind::Done);
    }
    let mut text = String::new();
    let mut values = Vec::new();
    for (name, hours) in &book.schedules {
        let _infallible = writeln!(text, "{name}: {}", hours.in_words());
        values.push(json!({ "schedule": name, "hours": hours.to_string() }));
    }
    if values.is_empty() {
        text.push_str("there is no schedule; hours keep nobody out\n");
    }
    if !book.holidays.is_empty() {
        let _infallible = write!(text, "holidays:\n{}", lines(&book));
    }
    context.tell(text, &json!({ "schedules": values, "holidays": book.holidays }))?;
    Ok(Kind::Done)
}

fn import(
    context: &Context,
    config: &Config,
    file: &Path,
    until: Option<Date>,
    dry_run: bool,
) -> Result<Kind, Failure> {
    let text = calendar_text(file).map_err(|what| {
        let remedy = "name a file that ends in .ics and that this user may read";
        Failure::new(Kind::Input, what, remedy).at(file.display().to_string())
    })?;
    let mut store = existing(config, Store::open)?;
    let now = clock(&store, config)?.wall();
    if now.trust != ClockTrust::Trusted {
        return Err(Failure::new(
            Kind::Negative,
            "the clock is not trusted, so that nobody knows which holidays are still to come",
            "'deepid-edge clock show' says why; 'schedules holidays add' needs no clock",
        ));
    }
    let now = Timestamp::from_millisecond(now.unix_ms).unwrap_or_default();
    let today = now.to_zoned(config.time_zone()).date();
    let last = until.or_else(|| Date::new(today.year().saturating_add(5), 12, 31).ok());
    let found = read_holidays(&text, today, last.unwrap_or(Date::MAX))
        .map_err(|problem| Failure::of(Kind::Input, &problem).at(file.display().to_string()))?;
    let known = store.rule_book()?.holidays;
    let new: Vec<Date> = found.dates.iter().filter(|day| !known.contains(day)).copied().collect();
    if !dry_run && !new.is_empty() {
        change_rules(&mut store, config, RuleChange::Holidays { dates: &new, are: true })?;
    }
    let are = if dry_run { "would be" } else { "are" };
    let mut text = format!(
        "{} days {are} holidays that were none; {} were already\n",
        new.len(),
        found.dates.len() - new.len()
    );
    for day in &new {
        let _infallible = writeln!(text, "  {day}");
    }
    for LeftOut { event, why } in &found.left_out {
        let _infallible = writeln!(text, "left out: '{event}': {why}");
    }
    let left_out: Vec<_> = found
        .left_out
        .iter()
        .map(|LeftOut { event, why }| json!({ "event": event, "why": why }))
        .collect();
    let done = if dry_run || new.is_empty() { "nothing" } else { "changed" };
    let value = json!({ "done": done, "new": new, "left_out": left_out });
    context.tell(text, &value)?;
    Ok(Kind::Done)
}

/// What stands in a calendar file, of which no more is read than one may hold.
fn calendar_text(file: &Path) -> Result<String, String> {
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(file).map_err(|error| error.to_string())?)
    };
    let mut bytes = Vec::new();
    let mut source = source.take(CALENDAR_BYTES_MAX + 1);
    source.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > CALENDAR_BYTES_MAX {
        return Err("larger than 1 MiB: no calendar of holidays is".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "this is no text in UTF-8".to_owned())
}

fn holidays(
    context: &Context,
    config: &Config,
    dates: &[Date],
    are: bool,
) -> Result<Kind, Failure> {
    let mut store = existing(config, Store::open)?;
    change_rules(&mut store, config, RuleChange::Holidays { dates, are })?;
    let book = store.rule_book()?;
    context.tell(lines(&book), &json!({ "done": "changed", "holidays": book.holidays }))?;
    Ok(Kind::Done)
}
