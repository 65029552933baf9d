//! `subjects`: who is enrolled, and what may be changed about it.
//!
//! In: the database, a subject's id or name. Out: the list, or what was changed; every change
//! leaves an administrative record in the audit, by pseudonym. Invariant: names are shown to the
//! person at this terminal and go nowhere else; removal asks first.
//! Deliberately absent: adding pictures; that is `enroll`.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

use super::exit::Kind;
use super::failure::Failure;
use super::session::Session;
use crate::clock::{Clock as _, Floor, SystemClock};
use crate::config::Config;
use crate::store::{Administrative, BackupProblem, Error, Store, Subject};

/// What to do with subjects.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List everybody who is enrolled
    List,
    /// Give a subject another name
    Rename {
        #[command(flatten)]
        who: Who,
        /// The new name
        name: String,
    },
    /// Recognise and deny a subject from now on
    Disable(Who),
    /// Let a disabled subject in again
    Enable(Who),
    /// Remove a subject with all its references, for good
    Remove {
        #[command(flatten)]
        who: Who,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Which subject.
#[derive(Debug, Args)]
pub struct Who {
    /// Id, such as s-4f9a1c, or name
    #[arg(value_name = "SUBJECT")]
    asked: String,
}

impl Verb {
    pub(super) fn run(self, session: &Session) -> Result<Kind, Failure> {
        let config = session.config()?;
        if matches!(self, Self::List) {
            return list(session, &existing(&config, Store::open_read_only)?);
        }
        let mut store = existing(&config, Store::open)?;
        match self {
            Self::List => Ok(Kind::Done),
            Self::Rename { who, name } => {
                let subject = store.subject(&who.asked)?;
                store.rename_subject(&subject.id, &name)?;
                let event = Administrative::SubjectRenamed { subject: subject.id.clone() };
                record(&mut store, &config, event)?;
                tell(session, &store.subject(subject.id.as_str())?, "renamed")
            }
            Self::Disable(who) => switch(session, &config, store, &who, false),
            Self::Enable(who) => switch(session, &config, store, &who, true),
            Self::Remove { who, yes } => {
                let subject = store.subject(&who.asked)?;
                let question = format!(
                    "Remove {} ({}) and all its references ({}) for good?",
                    subject.name, subject.id, subject.references
                );
                session.confirm(&question, yes)?;
                store.remove_subject(&subject.id)?;
                let event = Administrative::SubjectRemoved { subject: subject.id.clone() };
                record(&mut store, &config, event)?;
                tell(session, &subject, "removed")
            }
        }
    }
}

fn switch(
    session: &Session,
    config: &Config,
    mut store: Store,
    who: &Who,
    enabled: bool,
) -> Result<Kind, Failure> {
    let subject = store.subject(&who.asked)?;
    store.enable_subject(&subject.id, enabled)?;
    let id = subject.id.clone();
    let (event, done) = if enabled {
        (Administrative::SubjectEnabled { subject: id }, "enabled")
    } else {
        (Administrative::SubjectDisabled { subject: id }, "disabled")
    };
    record(&mut store, config, event)?;
    tell(session, &Subject { enabled, ..subject }, done)
}

fn list(session: &Session, store: &Store) -> Result<Kind, Failure> {
    let subjects = store.subjects()?;
    let mut text = if subjects.is_empty() {
        "nobody is enrolled; 'deepid-edge enroll NAME --image FILE' begins".to_owned()
    } else {
        format!("{:<18} {:<9} {:>10}  {:<20} name\n", "id", "state", "references", "enrolled")
    };
    for subject in &subjects {
        let state = if subject.enabled { "enabled" } else { "disabled" };
        let when = timestamp(subject.created_ms);
        let line = format!(
            "{:<18} {state:<9} {:>10}  {when:<20} {}\n",
            subject.id.to_string(),
            subject.references,
            subject.name
        );
        text.push_str(&line);
    }
    let values: Vec<_> = subjects.iter().map(as_json).collect();
    session.tell(text, &json!({ "subjects": values }))?;
    Ok(Kind::Done)
}

fn tell(session: &Session, subject: &Subject, done: &str) -> Result<Kind, Failure> {
    let text = format!("{} ({}) {done}", subject.id, subject.name);
    session.tell(text, &json!({ "done": done, "subject": as_json(subject) }))?;
    Ok(Kind::Done)
}

fn as_json(subject: &Subject) -> serde_json::Value {
    json!({
        "id": subject.id,
        "name": subject.name,
        "enabled": subject.enabled,
        "enrolled": timestamp(subject.created_ms),
        "references": subject.references,
    })
}

pub(super) fn timestamp(unix_ms: i64) -> String {
    crate::clock::utc(unix_ms)
}

/// Opens the database, which must exist: a verb that looks at it never makes an empty one.
pub(super) fn existing(
    config: &Config,
    open: fn(&Path, crate::store::StoreSettings) -> Result<Store, Error>,
) -> Result<Store, Failure> {
    let path = &config.store.path;
    if !path.exists() {
        return Err(Failure::new(
            Kind::Store,
            "there is no database yet",
            "enrol somebody first: 'deepid-edge enroll NAME --image FILE'; or name the right file with --database",
        )
        .at(path.display().to_string()));
    }
    Ok(open(path, config.store_settings())?)
}

/// Leaves an administrative record. A command is its own boot: its monotonic times compare with
/// nothing else.
pub(super) fn record(
    store: &mut Store,
    config: &Config,
    event: Administrative,
) -> Result<(), Failure> {
    let clock = clock(store, config)?;
    let boot = uuid::Uuid::new_v4();
    store.record_admin(event, &config.door.id, boot, clock.now(), clock.wall())?;
    Ok(())
}

/// The machine's clocks, doubted as the configuration asks.
pub(super) fn clock(store: &Store, config: &Config) -> Result<SystemClock, Failure> {
    Ok(SystemClock::new(config.clock.require, store.clock_floor()?))
}

/// Leaves a record after which no earlier one holds the clock, and judges the clock by itself in it;
/// its number, or nothing where no record held the clock.
pub(super) fn settle_clock(store: &mut Store, config: &Config) -> Result<Option<u64>, Failure> {
    let clock = SystemClock::new(config.clock.require, Floor::default());
    let boot = uuid::Uuid::new_v4();
    let settled = store.settle_clock(&config.door.id, boot, clock.now(), clock.wall())?;
    Ok(settled.map(|record| record.seq))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::NoSuchSubject { .. } => Kind::Absent,
            Error::NameTaken { .. } | Error::BadName { .. } => Kind::Usage,
            Error::Backup { problem, .. } => of_backup(problem),
            error if error.may_pass() => Kind::StoreUnavailable,
            _ => Kind::Store,
        };
        let failure = Self::of(kind, &error);
        match &error {
            Error::CannotOpen { path, .. } | Error::ReadOnly { path, .. } => {
                failure.with_remedy(elsewhere(path))
            }
            _ => failure,
        }
    }
}

/// How to come to a database that this user may write.
fn elsewhere(path: &Path) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| ".".to_owned(), |folder| folder.display().to_string());
    format!(
        "take another file with '--database FILE' (or '--set store.path=FILE'), or make the folder: 'sudo install -d -m 750 -o USER {folder}', USER being who runs deepid-edge"
    )
}

const fn of_backup(problem: &BackupProblem) -> Kind {
    use BackupProblem as P;
    match problem {
        P::WrongPassphrase => Kind::Passphrase,
        P::GalleryThere => Kind::Declined,
        P::NewerSchema { .. }
        | P::Unsound { .. }
        | P::InUse
        | P::UnderWay { .. }
        | P::HalfDone { .. }
        | P::Unplaced { .. } => Kind::Store,
        _ => Kind::Input,
    }
}
