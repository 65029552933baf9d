//! What an administrator may ask of a door over MQTT, and what it answers.
//!
//! A signed request's content → [`Ask`]; what came of it → [`Answer`]. Plain values; pure. Invariants:
//! nothing here opens a door or shows a name; nobody is enrolled but a stranger who was just there, while
//! that was permitted; an unknown word or field is refused.
//! Who may ask is proved before (`sign::verify_request`); carrying it out is the desk's.
//! Source: `docs/wire/README.md`; the schemas beside it.

use std::borrow::Cow;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::message::{Audit, Schema};
use crate::compare::SubjectId;
use crate::policy::RuleName;

/// Entries that one answer lists at most.
pub const LISTED_MAX: usize = 20;
/// The longest time for which a door is armed: 366 days.
pub const ARMED_MAX_S: u32 = 366 * 24 * 3600;
/// The shortest.
pub const ARMED_MIN_S: u32 = 60;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Let pass whoever may, or nobody.
    Arm {
        /// Whether the door is to be armed.
        armed: bool,
        /// For how many seconds, [`ARMED_MIN_S`] to [`ARMED_MAX_S`]; absent: until told otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_s: Option<u32>,
    },
    /// Let pass whoever may only while a schedule is open.
    ArmFollow {
        /// The schedule; null: whatever the hour is. It must be said, because that lets more people pass.
        #[serde(deserialize_with = "Option::deserialize")]
        schedule: Option<RuleName>,
    },
    /// Forget the failed visits, and end a lockout.
    ResetLockout {},
    /// Let a stranger who was just there be enrolled, for a while and once.
    PermitEnroll {
        /// For how many seconds, 30 to 300.
        for_s: u32,
    },
    /// Enrol a stranger who was just there, while that is permitted.
    Enroll {
        /// The id of the decision on that visit; absent: the only stranger since it was permitted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        visit: Option<Uuid>,
        /// Somebody who is enrolled, who gets more references; absent: somebody new.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<SubjectId>,
        /// The name of somebody new, where `mqtt.names` lets it go over the broker; absent: one that is made
        /// of the record's number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// Let somebody pass again who was disabled.
    Enable {
        /// Who.
        subject: SubjectId,
    },
    /// Let somebody pass no longer.
    Disable {
        /// Who.
        subject: SubjectId,
    },
    /// Limit the time within which somebody may pass; what is absent is no limit.
    Validity {
        /// Who.
        subject: SubjectId,
        /// From when on, on the clock at the door.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<DateTime>,
        /// Until when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<DateTime>,
    },
    /// Somebody's second factor has come: it counts for the next grant of that person, soon.
    Factor {
        /// Whose.
        subject: SubjectId,
    },
    /// Erase somebody.
    Remove {
        /// Who.
        subject: SubjectId,
    },
    /// List who is enrolled, in the order of their ids.
    Subjects {
        /// Those behind this one; absent: from the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<SubjectId>,
    },
    /// Give records again, in the order of `seq`.
    Records {
        /// Those behind this one; 0: from the oldest that is kept.
        after: u64,
    },
}

impl Ask {
    /// The word in `do`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Arm { .. } => "arm",
            Self::ArmFollow { .. } => "arm_follow",
            Self::ResetLockout {} => "reset_lockout",
            Self::PermitEnroll { .. } => "permit_enroll",
            Self::Enroll { .. } => "enroll",
            Self::Enable { .. } => "enable",
            Self::Disable { .. } => "disable",
            Self::Validity { .. } => "validity",
            Self::Factor { .. } => "factor",
            Self::Remove { .. } => "remove",
            Self::Subjects { .. } => "subjects",
            Self::Records { .. } => "records",
        }
    }

    /// About whom.
    #[must_use]
    pub const fn subject(&self) -> Option<&SubjectId> {
        match self {
            Self::Enable { subject }
            | Self::Disable { subject }
            | Self::Validity { subject, .. }
            | Self::Factor { subject }
            | Self::Remove { subject } => Some(subject),
            Self::Enroll { subject, .. } => subject.as_ref(),
            Self::Arm { .. }
            | Self::ArmFollow { .. }
            | Self::PermitEnroll { .. }
            | Self::ResetLockout {}
            | Self::Subjects { .. }
            | Self::Records { .. } => None,
        }
    }

    /// Whether the door itself does it, from its memory, and the database only records it.
    #[must_use]
    pub const fn is_for_the_door(&self) -> bool {
        matches!(self, Self::ResetLockout {} | Self::Factor { .. } | Self::PermitEnroll { .. })
    }

    /// Whether it changes anything.
    #[must_use]
    pub const fn changes(&self) -> bool {
        !matches!(self, Self::Subjects { .. } | Self::Records { .. })
    }
}

/// A nonce for one signed request: the answer to `request/nonce`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NonceAnswer {
    /// `deepid-edge/nonce/1`.
    pub schema: Schema,
    /// The door's id.
    pub door: String,
    /// 22 characters of base64url.
    pub nonce: String,
    /// For how long it can be used.
    pub expires_in_s: u64,
}

/// The answer to `request/signed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// `deepid-edge/answer/1`.
    pub schema: Schema,
    /// The door's id.
    pub door: String,
    /// The word in `do`; absent where the request counted for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Cow<'static, str>>,
    /// Whether it was done.
    pub done: bool,
    /// Why not: a word of the closed list in `docs/wire/README.md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
    /// The same for a person, with what helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// What was asked for.
    #[serde(flatten)]
    pub content: Content,
}

/// What an answer holds beside its result.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Content {
    /// Who was enrolled just now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectId>,
    /// How many references that one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<u64>,
    /// Who is enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<Vec<ListedSubject>>,
    /// Records, as on `audit`, all of them `late`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<Vec<Audit>>,
    /// Whether there are more behind the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<bool>,
}

/// Somebody who is enrolled; never a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedSubject {
    /// The pseudonym.
    pub subject: SubjectId,
    /// Whether it may be granted anything.
    pub enabled: bool,
    /// How many references it has, of any model.
    pub references: u64,
}

impl NonceAnswer {
    /// `nonce` of `door`.
    #[must_use]
    pub fn new(door: &str, nonce: String) -> Self {
        Self {
            schema: Cow::Borrowed("deepid-edge/nonce/1"),
            door: door.to_owned(),
            nonce,
            expires_in_s: crate::sign::NONCE_LIFE.as_secs(),
        }
    }
}

impl Answer {
    /// What was asked was done.
    #[must_use]
    pub fn done(door: &str, ask: &Ask, content: Content) -> Self {
        Self { content, ..Self::of(door, Some(ask.name()), true) }
    }

    /// It was not, for `reason`, which `what` explains.
    #[must_use]
    pub fn refused(door: &str, ask: Option<&Ask>, reason: &'static str, what: String) -> Self {
        Self {
            reason: Some(Cow::Borrowed(reason)),
            what: Some(what),
            ..Self::of(door, ask.map(Ask::name), false)
        }
    }

    fn of(door: &str, request: Option<&'static str>, done: bool) -> Self {
        Self {
            schema: Cow::Borrowed("deepid-edge/answer/1"),
            door: door.to_owned(),
            request: request.map(Cow::Borrowed),
            done,
            reason: None,
            what: None,
            content: Content::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Ask, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn each_word_is_read_as_it_is_written() {
        let subject = SubjectId::new("s-000001").unwrap();
        let until = "2026-12-24T18:30:00".parse().unwrap();
        for (text, ask) in [
            (r#"{"do":"arm","armed":false}"#, Ask::Arm { armed: false, for_s: None }),
            (r#"{"do":"arm","armed":true,"for_s":60}"#, Ask::Arm { armed: true, for_s: Some(60) }),
            (r#"{"do":"arm_follow","schedule":null}"#, Ask::ArmFollow { schedule: None }),
            (
                r#"{"do":"arm_follow","schedule":"office"}"#,
                Ask::ArmFollow { schedule: Some(RuleName::new("office").unwrap()) },
            ),
            (r#"{"do":"reset_lockout"}"#, Ask::ResetLockout {}),
            (r#"{"do":"permit_enroll","for_s":60}"#, Ask::PermitEnroll { for_s: 60 }),
            (r#"{"do":"enroll"}"#, Ask::Enroll { visit: None, subject: None, name: None }),
            (
                r#"{"do":"enroll","visit":"0196f3c2-0a0b-7c0d-8e0f-101112131415","subject":"s-000001"}"#,
                Ask::Enroll {
                    visit: Some(Uuid::from_u128(0x0196_f3c2_0a0b_7c0d_8e0f_1011_1213_1415)),
                    subject: Some(subject.clone()),
                    name: None,
                },
            ),
            (
                r#"{"do":"enroll","name":"Ada"}"#,
                Ask::Enroll { visit: None, subject: None, name: Some("Ada".to_owned()) },
            ),
            (r#"{"do":"enable","subject":"s-000001"}"#, Ask::Enable { subject: subject.clone() }),
            (r#"{"do":"disable","subject":"s-000001"}"#, Ask::Disable { subject: subject.clone() }),
            (
                r#"{"do":"validity","subject":"s-000001","until":"2026-12-24T18:30:00"}"#,
                Ask::Validity { subject: subject.clone(), from: None, until: Some(until) },
            ),
            (r#"{"do":"factor","subject":"s-000001"}"#, Ask::Factor { subject: subject.clone() }),
            (r#"{"do":"remove","subject":"s-000001"}"#, Ask::Remove { subject }),
            (r#"{"do":"subjects"}"#, Ask::Subjects { after: None }),
            (r#"{"do":"records","after":7}"#, Ask::Records { after: 7 }),
        ] {
            assert_eq!(read(text), Ok(ask.clone()), "{text}");
            assert_eq!(serde_json::to_string(&ask).unwrap(), text);
            assert!(text.contains(&format!(r#""do":"{}""#, ask.name())));
        }
    }

    #[test]
    fn an_unknown_word_or_field_and_one_that_stands_there_twice_are_refused() {
        for text in [
            "{}",
            "[]",
            r#"{"do":"open"}"#,
            r#"{"do":"grant","subject":"s-000001"}"#,
            r#"{"do":"enrol","name":"x"}"#,
            r#"{"do":"enroll","visit":"42"}"#,
            r#"{"do":"enroll","image":"AAAA"}"#,
            r#"{"do":"permit_enroll"}"#,
            r#"{"do":"permit_enroll","for_s":60,"keep":true}"#,
            r#"{"do":"arm"}"#,
            r#"{"do":"arm","armed":"on"}"#,
            r#"{"do":"arm","armed":true,"armed":false}"#,
            r#"{"do":"arm","armed":true,"for":60}"#,
            r#"{"do":"reset_lockout","all":true}"#,
            r#"{"do":"enable","subject":"Anna"}"#,
            r#"{"do":"records","after":-1}"#,
            r#"{"do":"validity","subject":"s-000001","until":"tomorrow"}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
