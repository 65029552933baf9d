//! `policy explain`: what the rules say of somebody at a time, and which rule says it.
//!
//! In: the rules in the database, a subject, a time. Out: the ruling that the door would come to, in
//! words. Invariant: the same code judges here and at the door. Deliberately absent: faces, and what is
//! of the running door alone: a lockout, whether another client speaks as it.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::context::Context;
use super::doctor::Findings;
use super::exit::Kind;
use super::failure::Failure;
use super::moment;
use super::subjects::{Who, clock, existing};
use super::usable;
use crate::clock::{Clock as _, ClockTrust, Monotonic, WallClock, utc};
use crate::config::Config;
use crate::decide::{DeniedReason, Verdict};
use crate::policy::{Arming, Asked, Direction, Proof, Rule, RuleBook, Rules};
use crate::publish::Armed;
use crate::store::{Store, Subject};

/// What to ask the rules.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Say whether a subject may pass at a time, and by which rule
    Explain(Explain),
}

/// Arguments of `policy explain`.
#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    who: Who,
    /// When: '2026-12-24 18:30' on the clock at the door, or with a zone, 2026-12-24T17:30:00Z. Now,
    /// if it is left out
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// As if the clock could not be trusted
    #[arg(long, conflicts_with = "at")]
    without_clock: bool,
    /// As if the subject's second factor had just been shown
    #[arg(long)]
    with_factor: bool,
    /// As if this subject had just been recognised, too (id or name)
    #[arg(long, value_name = "SUBJECT")]
    with_company: Option<String>,
}

/// What beside the face is taken as shown.
struct Beside {
    factor: bool,
    company: Vec<Proof>,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let Self::Explain(verb) = self;
        let config = context.config()?;
        let store = existing(&config, Store::open_read_only)?;
        let subject = store.subject(verb.who.asked())?;
        let rules = config.rules(store.rule_book()?, None);
        let rules = match usable::face_alone(&config, Some(&store)) {
            Ok(face) => rules.with_face_alone(face),
            Err(failure) => {
                context.mention(format_args!("note: no claim can be made: {}", failure.finding()));
                rules
            }
        };
        let now = || Ok::<_, Failure>(clock(&store, &config)?.wall());
        let wall = match &verb.at {
            None if verb.without_clock => WallClock { trust: ClockTrust::Untrusted, ..now()? },
            None => now()?,
            // Whoever asks for a time means that the clock shows it.
            Some(text) => WallClock {
                unix_ms: moment::at_the_door(text, rules.zone()).ok_or_else(|| no_time(text))?,
                trust: ClockTrust::Trusted,
                synchronised: false,
            },
        };
        let company = verb.with_company.as_deref().map(|other| store.subject(other)).transpose()?;
        // Whoever is disabled is nobody's company at the door, either.
        let company = company.into_iter().filter(|other| other.enabled);
        let beside = Beside {
            factor: verb.with_factor,
            company: company
                .map(|other| Proof { subject: other.id, at: Monotonic::default() })
                .collect(),
        };
        explain(context, &rules, &subject, wall, &beside)
    }
}

fn explain(
    context: &Context,
    rules: &Rules,
    subject: &Subject,
    wall: WallClock,
    beside: &Beside,
) -> Result<Kind, Failure> {
    let Subject { id, name, enabled, .. } = subject;
    let asked = Asked {
        subject: id,
        enabled: *enabled,
        wall: Some(wall),
        locked_out: false,
        factor: beside.factor,
        before: &beside.company,
    };
    let ruling = rules.judge(&asked);
    let reason = ruling.refusal.map(|refusal| {
        Verdict::Denied { reason: DeniedReason::from(refusal), subject: None }.reason()
    });
    let at = local(wall.unix_ms, rules.zone());
    let because = in_words(rules, ruling.rule);
    let says = reason.map_or_else(
        || "may pass".to_owned(),
        |reason| format!("may not pass ('denied', '{reason}')"),
    );
    let zone = zone_name(rules.zone());
    let duress = rules.is_under_duress(id);
    let mut text = format!("{id} ({name}) at {at} ({zone}): {says}\nbecause {because}");
    if ruling.passback {
        text.push_str("\nit goes the same way a second time, and the record says so");
    }
    if duress {
        text.push_str("\nit is told as made under duress");
    }
    let value = json!({
        "subject": id,
        "at": utc(wall.unix_ms),
        "local": at,
        "time_zone": zone,
        "allowed": reason.is_none(),
        "reason": reason,
        "because": because,
        "duress": duress,
        "passback": ruling.passback,
    });
    context.tell(text, &value)?;
    Ok(if reason.is_none() { Kind::Done } else { Kind::Negative })
}

fn in_words(rules: &Rules, rule: Rule<'_>) -> String {
    let local = |moment: Timestamp| local(moment.as_millisecond(), rules.zone());
    match rule {
        Rule::Enabled => "the subject is disabled".to_owned(),
        Rule::Clock => "the clock is not trusted; 'deepid-edge clock show' says why".to_owned(),
        Rule::Armed(Arming::Until(end)) => {
            format!("the door was armed until {}", self::local(end, rules.zone()))
        }
        Rule::Armed(_) => "the door is not armed".to_owned(),
        Rule::ArmedHours { schedule, day: Some(day) } => {
            let hours = rules.book().schedules.get(schedule).map(ToString::to_string);
            let hours = hours.unwrap_or_default();
            format!(
                "the door is armed by schedule {schedule}, which is closed by its hours of {day} ({hours})"
            )
        }
        Rule::ArmedHours { schedule, day: None } => {
            format!("the door is armed by schedule {schedule}, which is not there")
        }
        Rule::From(from) => format!("the subject is valid from {} on", local(from)),
        Rule::Until(until) => format!("the subject was valid until {}", local(until)),
        Rule::Hours { group, schedule, day } => {
            let hours = rules.book().schedules.get(schedule).map(ToString::to_string);
            let hours = hours.unwrap_or_default();
            format!("group {group} follows schedule {schedule}, by its hours of {day} ({hours})")
        }
        Rule::Missing { group } => format!("group {group} or its schedule is not there"),
        Rule::AnyTime { group } => format!("group {group} follows no schedule"),
        Rule::NoGroup => "the subject is in no group".to_owned(),
        Rule::Factor { group } => {
            format!("group {group} needs a second factor beside the face, which nobody has shown")
        }
        Rule::FaceAlone(_) => rules.face_alone().words().map_or_else(String::new, |(what, _)| what),
        Rule::Company { group, company } => format!(
            "group {group} needs somebody else, of group {company}, who was recognised shortly before"
        ),
        Rule::Passback(since) => {
            let way = if rules.passback().direction == Direction::Out { "out" } else { "in" };
            format!(
                "the subject went {way} at {} and has not come back since; it is forgotten after {} hours, or by 'deepid-edge inside reset'",
                local(since),
                rules.passback().forget.as_secs() / 3600
            )
        }
        Rule::LockedOut => "the door is locked after too many failed visits".to_owned(),
    }
}

/// A moment on the clock at the door.
fn local(unix_ms: i64, zone: &TimeZone) -> String {
    let moment = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    zone.to_datetime(moment).strftime("%a %Y-%m-%d %H:%M").to_string()
}

fn zone_name(zone: &TimeZone) -> String {
    zone.iana_name().map_or_else(|| "the system's zone".to_owned(), str::to_owned)
}

fn no_time(text: &str) -> Failure {
    Failure::new(
        Kind::Usage,
        format!("'{text}' is no time"),
        "write it as '2026-12-24 18:30', on the clock at the door, or as 2026-12-24T17:30:00Z",
    )
}

/// For `doctor`: whether the rules can be read, and whether the door is armed.
pub(super) fn check(findings: &mut Findings, config: &Config, store: Option<&Store>) {
    const CHECK: &str = "policy";
    let Some(store) = store else {
        return findings.ok(CHECK, "no rules: hours keep nobody out");
    };
    let read = store.rule_book().map_err(Failure::from);
    let wall = clock(store, config).map(|clock| clock.wall());
    let (book, wall) = match (read, wall) {
        (Ok(book), Ok(wall)) => (book, wall),
        (Err(failure), _) | (_, Err(failure)) => return findings.fail(CHECK, &failure),
    };
    let rules = config.rules(book, None);
    if let Armed { reason: Some(reason), schedule, .. } = Armed::new(&rules, wall) {
        let (what, remedy) = reason.words(schedule.as_ref());
        let what = format!("the door is not armed: nobody is let in, because {what}");
        return findings.warn(CHECK, what, &remedy);
    }
    findings.ok(CHECK, summary(rules.book(), rules.zone()));
}

fn summary(book: &RuleBook, zone: &TimeZone) -> String {
    if let Some(schedule) = &book.arming_follows {
        return format!(
            "armed while schedule {schedule} is open, as it is now; {}",
            counted(book, zone)
        );
    }
    if book.schedules.is_empty() && book.subjects.is_empty() {
        return "armed; no rules: hours keep nobody out".to_owned();
    }
    format!("armed; {}", counted(book, zone))
}

fn counted(book: &RuleBook, zone: &TimeZone) -> String {
    format!(
        "{} groups, {} schedules, {} holidays, on the clocks of {}",
        book.groups.len(),
        book.schedules.len(),
        book.holidays.len(),
        zone_name(zone)
    )
}
