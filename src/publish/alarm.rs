//! What somebody is told at once, because it is more than one decision says.
//!
//! Records → serde values; pure. In: a record. Out: the payload of `strangers` or `duress`, where the
//! record is of that. Invariants: as in `message`; neither can open anything, and neither is retained.
//! Source: `docs/wire/README.md`; the JSON Schemas beside it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::message::{Schema, payload};
use super::topic::{Payload, Topic};
use crate::clock::{ClockTrust, rfc3339};
use crate::compare::SubjectId;
use crate::decide::Outcome;
use crate::store::{Administrative, AuditRecord, Body};

/// So many visits of strangers have come that somebody is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrangersMessage {
    /// `deepid-edge/strangers/1`.
    pub schema: Schema,
    /// The door's id.
    pub door: String,
    /// Always `strangers`: what Home Assistant tells events by.
    pub event_type: Cow<'static, str>,
    /// How many.
    pub visits: u32,
    /// Within how many seconds.
    pub within_s: u64,
    /// The run of the daemon.
    pub boot: Uuid,
    /// The number of its record.
    pub seq: u64,
    /// When: RFC 3339, UTC, milliseconds.
    pub issued: String,
    /// Whether that clock can be trusted.
    pub clock: ClockTrust,
}

/// Whoever a decision is about acted under duress, or the PIN for it was typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DuressMessage {
    /// `deepid-edge/duress/1`.
    pub schema: Schema,
    /// The door's id.
    pub door: String,
    /// Always `duress`: what Home Assistant tells events by.
    pub event_type: Cow<'static, str>,
    /// `UUIDv7` of the record.
    pub id: Uuid,
    /// What was decided; `None` where the PIN itself tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Who was recognised; never a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectId>,
    /// The run of the daemon.
    pub boot: Uuid,
    /// The number of the record.
    pub seq: u64,
    /// When: RFC 3339, UTC, milliseconds.
    pub issued: String,
    /// Whether that clock can be trusted.
    pub clock: ClockTrust,
}

impl StrangersMessage {
    /// What `record` says, where it is of that.
    #[must_use]
    pub fn of(record: &AuditRecord) -> Option<Self> {
        let Body::Administrative(Administrative::StrangersNoticed { visits, within_s }) =
            record.body
        else {
            return None;
        };
        Some(Self {
            schema: Self::schema(),
            door: record.door.clone(),
            event_type: Cow::Borrowed("strangers"),
            visits,
            within_s,
            boot: record.boot,
            seq: record.seq,
            issued: rfc3339(record.issued_ms),
            clock: record.clock,
        })
    }
}

impl DuressMessage {
    /// What `record` says, where it is of that.
    #[must_use]
    pub fn of(record: &AuditRecord) -> Option<Self> {
        let (outcome, subject) = match &record.body {
            Body::Decision(decision) if decision.duress => {
                (Some(decision.outcome), decision.subject.clone())
            }
            Body::Administrative(Administrative::PinEntered { subject, duress: true, .. }) => {
                (None, Some(subject.clone()))
            }
            _ => return None,
        };
        Some(Self {
            schema: Self::schema(),
            door: record.door.clone(),
            event_type: Cow::Borrowed("duress"),
            id: record.id,
            outcome,
            subject,
            boot: record.boot,
            seq: record.seq,
            issued: rfc3339(record.issued_ms),
            clock: record.clock,
        })
    }
}

payload!(StrangersMessage => Strangers, DuressMessage => Duress);
