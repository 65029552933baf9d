//! `ask`: asks a door for something over MQTT, signed by a key that it knows.
//!
//! In: the broker's settings, the door's id, a private key, what is asked. Out: the door's answer; a
//! refusal is an exit code. Needs no database: it runs on any machine that reaches the broker.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::civil::DateTime;
use zeroize::Zeroizing;

use super::arm::duration;
use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::moment::{first, last};
use crate::compare::SubjectId;
use crate::policy::{Permit, RuleName};
use crate::publish::ask::{Answer, Ask, ListedSubject};
use crate::publish::session;
use crate::sign::{GrantKey, sign_request};

/// Bytes of a private key's file.
const KEY_BYTES_MAX: u64 = 16 * 1024;

/// Arguments of `ask`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The private key (PEM) whose public part the door was told by 'admins add'
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(subcommand)]
    what: What,
}

/// What is asked.
#[derive(Debug, Subcommand)]
enum What {
    /// Let pass whoever may, until told otherwise or for a while
    Arm {
        /// For how long, such as 90m, 8h or 2h30m, and nobody from then on
        #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
        lasting: Option<jiff::SignedDuration>,
    },
    /// Let pass whoever may only while a schedule of the door is open
    ArmFollow {
        /// The schedule
        #[arg(value_name = "SCHEDULE", value_parser = RuleName::new, required_unless_present = "none")]
        schedule: Option<RuleName>,
        /// Follow none: let pass whoever may, whatever the hour is
        #[arg(long, conflicts_with = "schedule")]
        none: bool,
    },
    /// Let nobody pass
    Disarm,
    /// Forget the failed visits, and end a lockout
    ResetLockout,
    /// Let a stranger who was just there be enrolled, for a while and once
    PermitEnroll {
        /// For how long, 30s to 5m
        #[arg(long = "for", value_name = "DURATION", value_parser = permitted, default_value = "2m")]
        lasting: u32,
    },
    /// Enrol a stranger who was just there, while that is permitted
    Enroll {
        /// The id of the decision, as 'access' has it; without it the only stranger since it was permitted
        #[arg(long, value_name = "ID")]
        visit: Option<uuid::Uuid>,
        /// Give the references to somebody who is enrolled, by the pseudonym
        #[arg(long, value_name = "SUBJECT", value_parser = SubjectId::new)]
        add_to: Option<SubjectId>,
        /// The name of somebody new, where the door lets names go over the broker (mqtt.names)
        #[arg(long, value_name = "NAME", conflicts_with = "add_to")]
        name: Option<String>,
    },
    /// Let somebody pass again who was disabled
    Enable {
        /// Who, by the pseudonym
        #[arg(value_parser = SubjectId::new)]
        subject: SubjectId,
    },
    /// Let somebody pass no longer
    Disable {
        /// Who, by the pseudonym
        #[arg(value_parser = SubjectId::new)]
        subject: SubjectId,
    },
    /// Limit the time within which somebody may pass; without limits, lift them
    Validity {
        /// Who, by the pseudonym
        #[arg(value_parser = SubjectId::new)]
        subject: SubjectId,
        /// The first day, or a time, on the clock at the door
        #[arg(long, value_name = "TIME", value_parser = first)]
        from: Option<DateTime>,
        /// The last day, or a time
        #[arg(long, value_name = "TIME", value_parser = last)]
        until: Option<DateTime>,
    },
    /// Say that somebody's second factor has come
    Factor {
        /// Whose, by the pseudonym
        #[arg(value_parser = SubjectId::new)]
        subject: SubjectId,
    },
    /// Erase somebody
    Remove {
        /// Who, by the pseudonym
        #[arg(value_parser = SubjectId::new)]
        subject: SubjectId,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// List who is enrolled, twenty at a time
    Subjects {
        /// Those behind this one
        #[arg(long, value_name = "SUBJECT", value_parser = SubjectId::new)]
        after: Option<SubjectId>,
    },
    /// Show records, twenty at a time
    Records {
        /// Those behind this number
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: u64,
    },
}

impl What {
    fn ask(self) -> Ask {
        match self {
            Self::Arm { lasting } => Ask::Arm {
                armed: true,
                for_s: lasting.and_then(|lasting| u32::try_from(lasting.as_secs()).ok()),
            },
            Self::ArmFollow { schedule, .. } => Ask::ArmFollow { schedule },
            Self::Disarm => Ask::Arm { armed: false, for_s: None },
            Self::ResetLockout => Ask::ResetLockout {},
            Self::PermitEnroll { lasting } => Ask::PermitEnroll { for_s: lasting },
            Self::Enroll { visit, add_to, name } => Ask::Enroll { visit, subject: add_to, name },
            Self::Enable { subject } => Ask::Enable { subject },
            Self::Disable { subject } => Ask::Disable { subject },
            Self::Validity { subject, from, until } => Ask::Validity { subject, from, until },
            Self::Factor { subject } => Ask::Factor { subject },
            Self::Remove { subject, .. } => Ask::Remove { subject },
            Self::Subjects { after } => Ask::Subjects { after },
            Self::Records { after } => Ask::Records { after },
        }
    }
}

impl Arguments {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        let Some(settings) = config.session_settings() else {
            return Err(Failure::new(
                Kind::Configuration,
                "mqtt.enabled is false",
                "enable it for this command: --set mqtt.enabled=true",
            ));
        };
        let key = private_key(&self.key)?;
        if let What::Remove { subject, yes } = &self.what {
            let question =
                format!("Erase {subject} with all references at door '{}'?", config.door.id);
            context.confirm(&question, *yes)?;
        }
        let ask = self.what.ask();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::of(Kind::Fault, &error))?;
        let signed = |nonce: &str| sign_request(&key, &config.door.id, nonce, &ask);
        let answer = runtime
            .block_on(session::ask(&settings, signed))
            .map_err(|error| Failure::of(Kind::Broker, &error))?;
        let value = serde_json::to_value(&answer).unwrap_or_default();
        context.tell(in_words(&answer), &value)?;
        Ok(if answer.done { Kind::Done } else { Kind::Negative })
    }
}

/// Seconds for which an enrolment is permitted.
fn permitted(text: &str) -> Result<u32, String> {
    let range = Permit::SHORTEST.as_secs()..=Permit::LONGEST.as_secs();
    let read = text.parse::<jiff::SignedDuration>().ok();
    let seconds = read.and_then(|duration| u64::try_from(duration.as_secs()).ok());
    let seconds = seconds.filter(|seconds| range.contains(seconds));
    seconds
        .and_then(|seconds| u32::try_from(seconds).ok())
        .ok_or_else(|| "must be a duration such as 90s or 2m, from 30 s to 5 minutes".to_owned())
}

fn in_words(answer: &Answer) -> String {
    let mut lines = Vec::new();
    let door = &answer.door;
    if !answer.done {
        let reason = answer.reason.as_deref().unwrap_or("no reason given");
        let what = answer.what.as_deref().unwrap_or_default();
        lines.push(format!("refused by door '{door}' ({reason}): {what}"));
    }
    for ListedSubject { subject, enabled, references } in answer.content.subjects.iter().flatten() {
        let disabled = if *enabled { "" } else { "  disabled" };
        lines.push(format!("{subject}  references {references}{disabled}"));
    }
    if let Some(subject) = &answer.content.subject {
        let references = answer.content.references.unwrap_or_default();
        lines.push(format!("{subject}: {references} references enrolled at door '{door}'"));
    }
    for record in answer.content.records.iter().flatten() {
        lines.push(serde_json::to_string(record).unwrap_or_default());
    }
    if answer.content.more == Some(true) {
        lines.push("there are more: --after the last one".to_owned());
    }
    if lines.is_empty() {
        lines.push(format!("done by door '{door}'"));
    }
    lines.join("\n")
}

/// The key in a file that nobody but its owner may read.
fn private_key(path: &Path) -> Result<GrantKey, Failure> {
    let at = path.display().to_string();
    let failed =
        |what: String, remedy: &str| Failure::new(Kind::Input, what, remedy).at(at.clone());
    let readable = "name a file that this user can read; 'deepid-edge admins key FILE' makes one";
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string(), readable))?;
    let metadata = file.metadata().map_err(|error| failed(error.to_string(), readable))?;
    if metadata.is_file() && metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o7777;
        let what = format!("its mode is {mode:o}, so that others than its owner can reach it");
        return Err(failed(
            what,
            "'chmod 600' it, or make another with 'deepid-edge admins key FILE'",
        ));
    }
    let size = usize::try_from(KEY_BYTES_MAX).unwrap_or_default();
    let mut text = Zeroizing::new(Vec::with_capacity(size));
    file.take(KEY_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(|error| failed(error.to_string(), readable))?;
    GrantKey::from_pem(&text).map_err(|problem| {
        failed(problem.to_string(), "'deepid-edge admins key FILE' makes a key of the right kind")
    })
}
