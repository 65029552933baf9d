//! `subjects`: who is enrolled, and what may be changed about it.
//!
//! In: the database, a subject's id or name. Out: the list, or what was changed; every change is one
//! transaction with its administrative record in the audit, by pseudonym. Invariant: names are shown to the
//! person at this terminal and go nowhere else; removal asks first.
//! Deliberately absent: adding pictures; that is `enroll`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use clap::{Args, Subcommand};
use jiff::civil::{DateTime, Time};
use serde_json::json;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::moment;
use super::usable::{self, AS_THE_SERVICE, Idle, is_there};
use crate::clock::{Clock as _, Floor, SystemClock, utc};
use crate::config::Config;
use crate::durable::folder_of;
use crate::equip::Cards;
use crate::inference::{ModelId, ModelKey};
use crate::policy::Terms;
use crate::store::{
    AccountProblem, Administrative, AdministratorProblem, AuditRecord, BackupProblem, Change, Done,
    Error, HeldReferences, LookAlike, RuleChange, Signature, Store, Subject, Usable,
};

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
    /// Limit the time in which a subject may pass
    Validity(Validity),
    /// Tell what is decided about a subject as made under duress; the door opens as for anybody
    Duress {
        #[command(flatten)]
        who: Who,
        /// No longer
        #[arg(long)]
        off: bool,
    },
    /// Remove a subject with all its references, for good
    Remove {
        #[command(flatten)]
        who: Who,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Vouch that references of an unknown file were made by the model that is installed
    Adopt(Adopt),
}

/// Arguments of `subjects adopt`.
#[derive(Debug, Args)]
pub struct Adopt {
    /// The model whose references are of an unknown file, such as deepid2
    #[arg(long, value_name = "MODEL", value_parser = ModelId::new)]
    model: ModelId,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Arguments of `subjects validity`.
#[derive(Debug, Args)]
pub struct Validity {
    #[command(flatten)]
    who: Who,
    /// From when on: a date, or '2026-12-24 18:30', on the clock at the door
    #[arg(long, value_name = "TIME", value_parser = moment::first, required_unless_present_any = ["until", "always"])]
    from: Option<DateTime>,
    /// Until when: the last day, or the time from which on no longer
    #[arg(long, value_name = "TIME", value_parser = moment::last)]
    until: Option<DateTime>,
    /// Without beginning and end
    #[arg(long, conflicts_with_all = ["from", "until"])]
    always: bool,
}

/// Which subject.
#[derive(Debug, Args)]
pub struct Who {
    /// Id, such as s-4f9a1c, or name
    #[arg(value_name = "SUBJECT")]
    asked: String,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        if matches!(self, Self::List) {
            return list(context, &config, &existing(&config, Store::open_read_only)?);
        }
        let mut store = existing(&config, Store::open)?;
        match self {
            Self::List => Ok(Kind::Done),
            Self::Rename { who, name } => {
                let subject = store.subject(&who.asked)?;
                let change = Change::Rename { subject: &subject.id, name: &name };
                let mut alike = store.look_alikes(&name)?;
                alike.retain(|alike| alike.subject != subject.id);
                administer(&mut store, &config, change)?;
                for one in &alike {
                    context.mention(alike_in_words(one));
                }
                let subject = store.subject(subject.id.as_str())?;
                let warnings: Vec<_> = alike.iter().map(alike_json).collect();
                context.tell(
                    format!("{} ({}) renamed", subject.id, subject.name),
                    &json!({ "done": "renamed", "subject": as_json(&subject), "warnings": warnings }),
                )?;
                Ok(Kind::Done)
            }
            Self::Disable(who) => switch(context, &config, store, &who, false),
            Self::Enable(who) => switch(context, &config, store, &who, true),
            Self::Remove { who, yes } => {
                let subject = store.subject(&who.asked)?;
                let question = format!(
                    "Remove {} ({}) and all its references ({}) for good?",
                    subject.name, subject.id, subject.references
                );
                context.confirm(&question, yes)?;
                let change = Change::Remove { subject: &subject.id };
                let done = administer(&mut store, &config, change)?;
                mention_left_in_log(context, &done);
                tell(context, &subject, "removed")
            }
            Self::Duress { who, off } => {
                let subject = store.subject(&who.asked)?;
                let change = RuleChange::Mark { subject: &subject.id, duress: !off };
                change_rules(&mut store, &config, change)?;
                tell(context, &subject, if off { "no longer marked" } else { "marked" })
            }
            Self::Validity(validity) => validity.run(context, &config, &mut store),
            Self::Adopt(adopt) => adopt.run(context, &config, &mut store),
        }
    }
}

impl Who {
    /// What was typed.
    pub(super) fn asked(&self) -> &str {
        &self.asked
    }
}

impl Validity {
    fn run(self, context: &Context, config: &Config, store: &mut Store) -> Result<Kind, Failure> {
        let subject = store.subject(&self.who.asked)?;
        let terms = store.rule_book()?.subjects.remove(&subject.id).unwrap_or_default();
        let before = if self.always { Terms::default() } else { terms };
        // What is not named stays.
        let (from, until) = (self.from.or(before.from), self.until.or(before.until));
        change_rules(store, config, RuleChange::Validity { subject: &subject.id, from, until })?;
        let (from, end) = (from.map(minute), until.map(end_in_words));
        let limits = match (&from, end) {
            (None, None) => "valid without limit".to_owned(),
            (Some(from), None) => format!("valid from {from} on"),
            (None, Some(end)) => format!("valid {end}"),
            (Some(from), Some(end)) => format!("valid from {from} {end}"),
        };
        let until = until.map(minute);
        let value =
            json!({ "done": "limited", "subject": subject.id, "from": from, "until": until });
        context.tell(format!("{} ({}) {limits}", subject.id, subject.name), &value)?;
        Ok(Kind::Done)
    }
}

fn minute(time: DateTime) -> String {
    time.strftime("%F %H:%M").to_string()
}

/// Until when: of an end at midnight the last day, as it is typed.
fn end_in_words(until: DateTime) -> String {
    let last = until.date().yesterday().ok().filter(|_| until.time() == Time::midnight());
    last.map_or_else(|| format!("until {}", minute(until)), |last| format!("through {last}"))
}

impl Adopt {
    fn run(self, context: &Context, config: &Config, store: &mut Store) -> Result<Kind, Failure> {
        let Self { model, yes } = self;
        let of_model =
            |entry: &&HeldReferences| entry.procedure.is_none() && entry.model == model.as_str();
        let held = store.held()?;
        let (references, subjects) =
            held.iter().filter(of_model).fold((0, 0), |(references, subjects), entry| {
                (references + entry.references, subjects + 1)
            });
        if references == 0 {
            let unknown = Usable::of(&held, &[]).unknown;
            let others: Vec<&str> = unknown.iter().map(|entry| entry.model.as_str()).collect();
            let of = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
            let text = format!(
                "no reference of {model} is of an unknown file; nothing was changed (of an unknown file: {of})"
            );
            let value = json!({ "done": "nothing", "model": model, "references": 0 });
            context.tell(text, &value)?;
            return Ok(Kind::Done);
        }
        let cards = Cards::open(config)?;
        let card = cards.with_its_files(&model)?;
        let key = cards.key(config, &model)?;
        context.confirm(
            &format!(
                "Were all {references} references of an unknown file of {model} ({subjects} people) made by {} with its present card and recognise.mirrored = {}? If not, those people are not recognised, or taken for others.",
                card.file, config.recognise.mirrored
            ),
            yes,
        )?;
        let length = card.features.as_ref().map_or(0, |facts| facts.length);
        let done = administer(store, config, Change::Adopt { key: &key, length })?;
        context.tell(
            format!("{} references of {subjects} people adopted as of {key}", done.references),
            &json!({
                "done": "adopted",
                "model": model,
                "procedure": key.procedure,
                "references": done.references,
                "subjects": subjects,
            }),
        )?;
        Ok(Kind::Done)
    }
}

fn switch(
    context: &Context,
    config: &Config,
    mut store: Store,
    who: &Who,
    enabled: bool,
) -> Result<Kind, Failure> {
    let subject = store.subject(&who.asked)?;
    administer(&mut store, config, Change::Enable { subject: &subject.id, enabled })?;
    let done = if enabled { "enabled" } else { "disabled" };
    tell(context, &Subject { enabled, ..subject }, done)
}

fn list(context: &Context, config: &Config, store: &Store) -> Result<Kind, Failure> {
    let (subjects, held) = (store.subjects()?, store.held()?);
    let cards = Cards::open(config);
    let keys = cards.as_ref().ok().and_then(|cards| cards.keys_in_use(config).ok());
    let mut text = if subjects.is_empty() {
        "nobody is enrolled; 'deepid-edge enroll NAME --image FILE' begins".to_owned()
    } else {
        format!(
            "{:<18} {:<9} {:>10} {:>9}  {:<20} name\n",
            "id", "state", "references", "compared", "enrolled"
        )
    };
    let mut values = Vec::new();
    for subject in &subjects {
        let state = if subject.enabled { "enabled" } else { "disabled" };
        let when = utc(subject.created_ms);
        let compared = keys.as_deref().map(|keys| compared(&held, keys, subject));
        let shown = compared.map_or_else(|| "?".to_owned(), |count| count.to_string());
        let line = format!(
            "{:<18} {state:<9} {:>10} {shown:>9}  {when:<20} {}\n",
            subject.id.to_string(),
            subject.references,
            subject.name
        );
        text.push_str(&line);
        let mut value = as_json(subject);
        if let serde_json::Value::Object(fields) = &mut value {
            fields.insert("references_compared".to_owned(), json!(compared));
        }
        values.push(value);
    }
    let usable = usable::usable(&held, keys.as_deref().unwrap_or_default());
    let mut idle = match &keys {
        Some(_) => usable::idle(&usable, cards.as_ref().ok(), config),
        // Without cards nothing is known but what does not say its file.
        None => usable.unknown.iter().map(usable::of_unknown_file).collect(),
    };
    idle.extend(unreadable(store)?);
    for Idle { what, remedy } in &idle {
        let _infallible = writeln!(text, "note: {what}\n  try: {remedy}");
    }
    let never_compared: Vec<_> =
        idle.iter().map(|one| json!({ "what": one.what, "remedy": one.remedy })).collect();
    context.tell(text, &json!({ "subjects": values, "never_compared": never_compared }))?;
    Ok(Kind::Done)
}

/// Why names are not shown, or references not compared, although they are there.
fn unreadable(store: &Store) -> Result<Option<Idle>, Failure> {
    if let Some(error) = store.sealed() {
        let failure = Failure::from(error);
        let remedy = failure.remedy().unwrap_or_default().to_owned();
        return Ok(Some(Idle { what: failure.finding(), remedy }));
    }
    let unreadable = store.unreadable_references()?;
    let subjects: BTreeSet<&str> = unreadable.iter().map(|one| one.subject.as_str()).collect();
    Ok((!unreadable.is_empty()).then(|| Idle {
        what: format!(
            "{} references do not open and are never compared; they are of {}",
            unreadable.len(),
            subjects.into_iter().collect::<Vec<_>>().join(", ")
        ),
        remedy: "enrol those people again with 'deepid-edge enroll NAME --replace'; where the name does not open, give it again with 'deepid-edge subjects rename' first".to_owned(),
    }))
}

/// How many references of `subject` are of the procedures in use.
fn compared(held: &[HeldReferences], keys: &[ModelKey], subject: &Subject) -> u64 {
    let own: Vec<HeldReferences> =
        held.iter().filter(|entry| entry.subject == subject.id).cloned().collect();
    usable::usable(&own, keys).compared
}

fn tell(context: &Context, subject: &Subject, done: &str) -> Result<Kind, Failure> {
    let text = format!("{} ({}) {done}", subject.id, subject.name);
    context.tell(text, &json!({ "done": done, "subject": as_json(subject) }))?;
    Ok(Kind::Done)
}

/// A warning of a name that looks like the new one.
pub(super) fn alike_in_words(alike: &LookAlike) -> String {
    let LookAlike { subject, name, by } = alike;
    format!(
        "warning: the name looks like that of {subject} ({name}) and differs only in {by}; 'deepid-edge subjects rename' gives one of them a name that nobody confuses"
    )
}

/// The same for a machine.
pub(super) fn alike_json(alike: &LookAlike) -> serde_json::Value {
    json!({ "warning": "name_alike", "subject": alike.subject, "name": alike.name, "differs_in": alike.by })
}

fn as_json(subject: &Subject) -> serde_json::Value {
    json!({
        "id": subject.id,
        "name": subject.name,
        "enabled": subject.enabled,
        "enrolled": utc(subject.created_ms),
        "references": subject.references,
    })
}

/// Opens the database, which must exist: a verb that looks at it never makes an empty one.
pub(super) fn existing(
    config: &Config,
    open: fn(&Path, crate::store::StoreSettings) -> Result<Store, Error>,
) -> Result<Store, Failure> {
    let path = &config.store.path;
    if !is_there(config)? {
        return Err(Failure::new(
            Kind::Store,
            "there is no database yet",
            "enrol somebody first: 'deepid-edge enroll NAME --image FILE'; or name the right file with --database",
        )
        .at(path.display().to_string()));
    }
    Ok(open(path, config.store_settings())?)
}

/// Changes something and records it at once.
pub(super) fn administer(
    store: &mut Store,
    config: &Config,
    change: Change<'_>,
) -> Result<Done, Failure> {
    Ok(store.administer(change, signature(store, config)?)?)
}

/// Changes a rule and records it at once.
pub(super) fn change_rules(
    store: &mut Store,
    config: &Config,
    change: RuleChange<'_>,
) -> Result<AuditRecord, Failure> {
    Ok(store.change_rules(change, signature(store, config)?)?)
}

/// Who does something by a command, and when. A command is its own boot: its monotonic times compare
/// with nothing else.
pub(super) fn signature<'a>(store: &Store, config: &'a Config) -> Result<Signature<'a>, Failure> {
    let clock = clock(store, config)?;
    let boot = uuid::Uuid::new_v4();
    Ok(Signature { door: &config.door.id, boot, now: clock.now(), wall: clock.wall() })
}

/// Warns of what was erased and still lies in the log beside the database.
pub(super) fn mention_left_in_log(context: &Context, done: &Done) {
    if let Some(error) = &done.left_in_log {
        context.mention(format_args!(
            "warning: it is done and recorded, but what was erased is still in the log beside the database ({error})\n  try: wait for a backup that is being made, then 'systemctl restart deepid-edge', which cuts the log"
        ));
    }
}

/// Leaves an administrative record of something that changes nothing itself.
pub(super) fn record(
    store: &mut Store,
    config: &Config,
    event: Administrative,
) -> Result<(), Failure> {
    let Signature { door, boot, now, wall } = signature(store, config)?;
    store.record_admin(event, door, boot, now, wall)?;
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
            Error::NoSuchSubject { .. } | Error::Administrator(AdministratorProblem::NoSuch(_)) => {
                Kind::Absent
            }
            Error::Accounts(AccountProblem::None(_)) => Kind::Absent,
            Error::Rules(problem) if problem.is_absence() => Kind::Absent,
            Error::NameTaken { .. }
            | Error::AmbiguousName { .. }
            | Error::SameKey { .. }
            | Error::Rules(_)
            | Error::Administrator(_)
            | Error::Accounts(_)
            | Error::BadName { .. } => Kind::Usage,
            Error::Backup { problem, .. } => of_backup(problem),
            Error::Older { .. } => Kind::Older,
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

/// How to come to a database that this user may use.
fn elsewhere(path: &Path) -> String {
    let another = "take another file with '--database FILE' (or '--set store.path=FILE')";
    let folder = folder_of(path);
    match folder.try_exists() {
        Ok(false) => format!(
            "{another}, or make the folder: 'sudo install -d -m 750 -o USER {}', USER being who runs deepid-edge",
            folder.display()
        ),
        _ => format!("{AS_THE_SERVICE}; or {another}"),
    }
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
