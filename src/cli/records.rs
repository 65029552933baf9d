//! `records`: what the door did.
//!
//! In: the database, which the daemon may go on using, and which records are wanted. Out: a table,
//! JSON lines or CSV; one record in full. Invariants: the database is opened for reading; one page
//! of records is held at a time, however many there are; a record that cannot be read is a line of
//! its own and ends nothing.
//!
//! Names: a record carries a pseudonym. The name beside it comes from the database, for the person
//! at this terminal: `list` and `show` give it unless told `--no-names`; what `export` writes is
//! made to be carried away, and has no names unless told `--names`; nor has `attendance`.

mod attendance;
mod form;

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{BufWriter, ErrorKind as IoKind, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::moment;
use super::subjects::existing;
use crate::clock::{Clock as _, SystemClock};
use crate::compare::SubjectId;
use crate::config::Config;
use crate::store::{BROKEN_MAX, Broken, CutState, Error, Selection, Store, Verified};
use attendance::Attendance;
use form::Form;

/// Records that are held at once.
const PAGE: u32 = 256;
/// Records that `list` shows unless told otherwise.
const LISTED: u32 = 50;
/// How often `--follow` looks for new records.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What to do with records.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the newest records, oldest first; with --json one object for each line
    List(List),
    /// Show one record in full
    Show(Show),
    /// Write records as JSON lines or CSV
    Export(Export),
    /// Say who was granted on which day: first, last, how often
    Attendance(Attendance),
    /// Say whether a record was changed, taken out or moved since it was made
    Verify,
}

/// Arguments of `records list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    which: Which,
    /// Leave the names of enrolled people out
    #[arg(long)]
    no_names: bool,
}

/// Arguments of `records show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The record's number (seq)
    #[arg(value_name = "RECORD")]
    seq: u64,
    /// Leave the names of enrolled people out
    #[arg(long)]
    no_names: bool,
}

/// Arguments of `records export`.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    which: Which,
    /// The form
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Write to this new file in place of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the names of enrolled people beside their ids
    #[arg(long)]
    names: bool,
}

/// Forms of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object for each line
    Jsonl,
    /// Comma-separated values (RFC 4180) with a header
    Csv,
}

/// Which records.
#[derive(Debug, Args)]
struct Which {
    /// Made at or after: 2026-11-28, 2026-11-28T07:15:00Z, or an age such as 90m, 12h, 7d
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Made before; a date counts as a whole day. All times are UTC
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    until: Option<String>,
    /// Of this outcome; may be repeated
    #[arg(long, value_enum, value_delimiter = ',')]
    outcome: Vec<Outcome>,
    /// About this subject: id or name
    #[arg(long)]
    subject: Option<String>,
    /// Only the newest so many [default: 50 for list, all for export]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Go on with new records until interrupted
    #[arg(long, short)]
    follow: bool,
}

/// Outcomes of decisions, and what is no decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Outcome {
    Granted,
    Denied,
    Unknown,
    Ambiguous,
    /// Starts, enrolments, requests and the like
    Administrative,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
            Self::Ambiguous => "ambiguous",
            Self::Administrative => "administrative",
        }
    }
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        let store = existing(&config, Store::open_read_only)?;
        match self {
            Self::List(verb) => verb.run(context, &config, &store),
            Self::Show(verb) => verb.run(context, &store),
            Self::Export(verb) => verb.run(context, &config, &store),
            Self::Attendance(verb) => verb.run(context, &config, &store),
            Self::Verify => verify(context, &store),
        }
    }
}

impl List {
    fn run(self, context: &Context, config: &Config, store: &Store) -> Result<Kind, Failure> {
        let form = if context.json() { Form::Lines } else { Form::Table };
        let limit = Some(self.which.limit.unwrap_or(LISTED));
        let mut out = std::io::stdout().lock();
        self.which.write(config, store, limit, form, !self.no_names, &mut out)?;
        Ok(Kind::Done)
    }
}

impl Show {
    fn run(self, context: &Context, store: &Store) -> Result<Kind, Failure> {
        let found = store.stored_record(self.seq)?.ok_or_else(|| {
            Failure::new(
                Kind::Absent,
                format!("record {}: it is not kept, or was never made", self.seq),
                "'deepid-edge records list' shows the newest ones",
            )
        })?;
        let names = if self.no_names { None } else { Some(store.names()?) };
        let value = form::as_json(&found, names.as_ref());
        context.tell(form::in_full(&value), &value)?;
        Ok(Kind::Done)
    }
}

impl Export {
    fn run(self, context: &Context, config: &Config, store: &Store) -> Result<Kind, Failure> {
        let form = match self.format {
            Format::Jsonl => Form::Lines,
            Format::Csv => Form::Csv,
        };
        let limit = self.which.limit;
        let Some(path) = &self.out else {
            if form == Form::Csv {
                context.no_json("records export --format csv", "CSV")?;
            }
            let mut out = std::io::stdout().lock();
            self.which.write(config, store, limit, form, self.names, &mut out)?;
            return Ok(Kind::Done);
        };
        let mut out = BufWriter::new(new_file(path)?);
        let written = self.which.write(config, store, limit, form, self.names, &mut out)?;
        out.into_inner()
            .map_err(std::io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all())
            .map_err(|error| unwritable(&error, path))?;
        context.tell(
            format!("{} written: {written} records", path.display()),
            &json!({ "written": path, "records": written }),
        )?;
        Ok(Kind::Done)
    }
}

/// Walks through the chain of records.
fn verify(context: &Context, store: &Store) -> Result<Kind, Failure> {
    let Verified { records, heads: [head, requests_head], cut, cut_state, broken } =
        store.verify_records()?;
    let mut text = if broken.is_empty() {
        format!("{records} records, none of them changed, taken out or moved\n")
    } else {
        format!("{records} records; what does not fit:\n")
    };
    for Broken { record, what } in &broken {
        let _infallible = match record {
            Some(record) => writeln!(text, "  record {record}: {what}"),
            None => writeln!(text, "  {what}"),
        };
    }
    if broken.len() == BROKEN_MAX {
        text.push_str("  and perhaps more\n");
    }
    if let Some(cut) = cut {
        let vouched = match cut_state {
            CutState::Whole | CutState::Signed => "signed by this door's key",
            CutState::UnknownKey => "signed by a key that this door no longer knows",
            CutState::Unsigned => "not signed: the door had no key",
            CutState::Forged => "NOT what this door has signed",
        };
        let _infallible =
            writeln!(text, "records up to {cut} were erased to keep their number; {vouched}");
    }
    let heads = [("head", &head), ("head of requests", &requests_head)];
    for (name, head) in heads.into_iter().filter_map(|(name, head)| Some((name, head.as_ref()?))) {
        let _infallible = writeln!(text, "{name}: {head}");
    }
    let kind = if broken.is_empty() { Kind::Done } else { Kind::Negative };
    let value = json!({
        "whole": broken.is_empty(),
        "records": records,
        "head": head,
        "requests_head": requests_head,
        "erased_up_to": cut,
        "erased": cut_state,
        "broken": broken,
    });
    context.tell(text, &value)?;
    Ok(kind)
}

/// A file that only its owner may read; one that is there is never touched.
fn new_file(path: &Path) -> Result<std::fs::File, Failure> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| unwritable(&error, path))
}

fn unwritable(error: &std::io::Error, path: &Path) -> Failure {
    let remedy = if error.kind() == IoKind::AlreadyExists {
        "name a new file; one that is there is not touched"
    } else {
        "name a new file in a folder with room, which this user may write to"
    };
    Failure::new(Kind::Input, error.to_string(), remedy).at(path.display().to_string())
}

impl Which {
    /// Writes the newest `limit` records, or all; how many. A reader that goes away ends it.
    fn write(
        &self,
        config: &Config,
        store: &Store,
        limit: Option<u32>,
        form: Form,
        with_names: bool,
        out: &mut dyn Write,
    ) -> Result<u64, Failure> {
        let clock = SystemClock::new(config.clock.require, store.clock_floor()?);
        let selection = self.selection(store, clock.wall().unix_ms)?;
        let mut names = if with_names { Some(store.names()?) } else { None };
        let mut after = match limit {
            Some(limit) => store.before_newest(&selection, limit)?,
            None => 0,
        };
        let mut version = store.data_version()?;
        let mut written = 0;
        if !put(out, &form.head(with_names))? {
            return Ok(written);
        }
        loop {
            let page = store.records(&selection, after, PAGE)?;
            let mut text = String::new();
            for record in &page {
                form.add(&mut text, record, names.as_ref())?;
                after = record.seq();
                written += 1;
            }
            if !put(out, &text)? {
                return Ok(written);
            }
            if page.len() == PAGE as usize {
                continue;
            }
            if !self.follow {
                return Ok(written);
            }
            while store.data_version()? == version {
                clock.sleep(LOOK_EVERY);
            }
            version = store.data_version()?;
            if let Some(names) = &mut names {
                *names = store.names()?;
            }
        }
    }

    fn selection(&self, store: &Store, now_ms: i64) -> Result<Selection, Failure> {
        let moment = |flag: &str, text: &Option<String>, whole_day| {
            let Some(text) = text else { return Ok(None) };
            moment::parse(text, now_ms, whole_day).map(Some).ok_or_else(|| {
                Failure::new(
                    Kind::Usage,
                    format!("{flag} {text}: this is no time"),
                    "give a date (2026-11-28), a time in UTC (2026-11-28T07:15:00Z) or an age (90m, 12h, 7d)",
                )
            })
        };
        Ok(Selection {
            since_ms: moment("--since", &self.since, false)?,
            until_ms: moment("--until", &self.until, true)?,
            outcomes: self.outcome.iter().map(|outcome| outcome.name()).collect(),
            subject: self.subject.as_deref().map(|asked| subject(store, asked)).transpose()?,
            ..Selection::default()
        })
    }
}

/// Whom `asked` means: somebody enrolled, or the id of somebody who was removed.
fn subject(store: &Store, asked: &str) -> Result<SubjectId, Failure> {
    match store.subject(asked) {
        Ok(subject) => Ok(subject.id),
        Err(error @ Error::NoSuchSubject { .. }) => {
            SubjectId::new(asked.trim()).map_err(|_| error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes `text`; `false` when whoever read has gone away.
fn put(out: &mut dyn Write, text: &str) -> Result<bool, Failure> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == IoKind::BrokenPipe => Ok(false),
        Err(error) => {
            Err(Failure::new(Kind::Input, error.to_string(), "make room, or write elsewhere")
                .at("the output"))
        }
    }
}
