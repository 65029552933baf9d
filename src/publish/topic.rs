//! The topics, and for each of them whether it is retained, how surely it is sent, and how long it
//! may live.
//!
//! The table is data, so that a test can say what must never be: a retained `access`. Source: the
//! table in `docs/wire/README.md`.

use std::borrow::Cow;

use serde::Serialize;

use super::message::KeySet;
use crate::sign::SignedGrant;

/// How long an `access` message may be acted upon, in milliseconds.
pub const ACCESS_EXPIRY_MS: u32 = 5_000;

/// How long the news of strangers, or of duress, waits for who is to be told, in seconds.
const ALARM_EXPIRY_S: u32 = 300;
/// How long a word of guidance stands, in seconds: it is said again while it holds.
pub const GUIDANCE_EXPIRY_S: u32 = 5;

/// What the daemon publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// `online` or `offline`, as plain text.
    Status,
    /// Who we are and what we can.
    Info,
    /// How the camera is.
    Camera,
    /// How the daemon is.
    Health,
    /// Whether anybody is there.
    Presence,
    /// What the visitor should do to be recognised.
    Guidance,
    /// A decision made now.
    Access,
    /// The same where it is a grant, signed.
    Grant,
    /// The keys by which grants are signed.
    Keys,
    /// Whether the door grants anything; a state, and never a request.
    Armed,
    /// So many strangers have come that somebody is told.
    Strangers,
    /// Whoever a decision is about acted under duress.
    Duress,
    /// Every record, in order, late if need be.
    Audit,
}

/// How a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Whether the broker keeps it for those who come later.
    pub retained: bool,
    /// Quality of service: 0 (at most once) or 1 (at least once).
    pub qos: u8,
    /// Seconds after which the broker discards it.
    pub expiry_s: Option<u32>,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Status,
        Self::Info,
        Self::Camera,
        Self::Health,
        Self::Presence,
        Self::Guidance,
        Self::Access,
        Self::Grant,
        Self::Keys,
        Self::Armed,
        Self::Strangers,
        Self::Duress,
        Self::Audit,
    ];

    /// Its last level.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Info => "info",
            Self::Camera => "camera",
            Self::Health => "health",
            Self::Presence => "presence",
            Self::Guidance => "guidance",
            Self::Access => "access",
            Self::Grant => "grant",
            Self::Keys => "keys",
            Self::Armed => "armed",
            Self::Strangers => "strangers",
            Self::Duress => "duress",
            Self::Audit => "audit",
        }
    }

    /// The `schema` that its payload names; `None` for what is no JSON.
    #[must_use]
    pub const fn schema(self) -> Option<&'static str> {
        Some(match self {
            Self::Status | Self::Grant => return None,
            Self::Info => "deepid-edge/info/1",
            Self::Camera => "deepid-edge/camera/1",
            Self::Health => "deepid-edge/health/1",
            Self::Presence => "deepid-edge/presence/1",
            Self::Guidance => "deepid-edge/guidance/1",
            Self::Access => "deepid-edge/access/1",
            Self::Keys => "deepid-edge/keys/1",
            Self::Armed => "deepid-edge/armed/1",
            Self::Strangers => "deepid-edge/strangers/1",
            Self::Duress => "deepid-edge/duress/1",
            Self::Audit => "deepid-edge/audit/1",
        })
    }

    /// How its messages travel.
    #[must_use]
    pub const fn delivery(self) -> Delivery {
        let (retained, qos, expiry_s) = match self {
            Self::Status | Self::Info | Self::Camera | Self::Keys | Self::Armed => (true, 1, None),
            Self::Health => (false, 0, Some(90)),
            Self::Presence => (false, 0, Some(10)),
            Self::Guidance => (false, 0, Some(GUIDANCE_EXPIRY_S)),
            Self::Access | Self::Grant => (false, 1, Some(ACCESS_EXPIRY_MS / 1000)),
            Self::Strangers | Self::Duress => (false, 1, Some(ALARM_EXPIRY_S)),
            Self::Audit => (false, 1, None),
        };
        Delivery { retained, qos, expiry_s }
    }
}

/// A base topic or door id that breaks the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopic {
    /// The door's id.
    #[error("door id '{0}': must be 1 to 32 characters of a-z, 0-9, '_' and '-'")]
    Door(String),
    /// The base topic.
    #[error(
        "base topic '{0}': must be 1 to 64 characters without '+', '#', spaces or control characters, and neither begin with '$' or '/' nor end with '/'"
    )]
    Base(String),
}

/// The names of this door's topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    base: String,
    door: String,
}

/// A payload with a topic of its own.
pub trait Payload: Serialize {
    /// Where it goes.
    const TOPIC: Topic;
}

/// What is handed to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The full topic.
    pub topic: String,
    /// The payload: UTF-8.
    pub payload: Vec<u8>,
    /// How it travels.
    pub delivery: Delivery,
}

/// Whether `text` may name a door or a listener: 1 to 32 of `a-z 0-9 _ -`.
pub(super) fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(plain)
}

impl Topics {
    /// Checks and takes the names.
    ///
    /// # Errors
    /// [`InvalidTopic`] with the offending text.
    pub fn new(base: &str, door: &str) -> Result<Self, InvalidTopic> {
        if !is_id(door) {
            return Err(InvalidTopic::Door(door.to_owned()));
        }
        let forbidden =
            |c: char| c == '+' || c == '#' || c.is_whitespace() || c.is_control() || c == '\0';
        if !(1..=64).contains(&base.len())
            || base.contains(forbidden)
            || base.starts_with(['$', '/'])
            || base.ends_with('/')
        {
            return Err(InvalidTopic::Base(base.to_owned()));
        }
        Ok(Self { base: base.to_owned(), door: door.to_owned() })
    }

    /// The door's id.
    #[must_use]
    pub fn door(&self) -> &str {
        &self.door
    }

    /// The base topic.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The full name of `topic`.
    #[must_use]
    pub fn of(&self, topic: Topic) -> String {
        format!("{}/{}/{}", self.base, self.door, topic.name())
    }

    /// What all requests begin with.
    #[must_use]
    pub fn request_prefix(&self) -> String {
        format!("{}/{}/request/", self.base, self.door)
    }

    /// Where listeners send their nonces.
    #[must_use]
    pub fn challenge(&self) -> String {
        format!("{}/{}/challenge", self.base, self.door)
    }

    /// Where another door of the same base says its signed grants.
    #[must_use]
    pub fn grant_of(&self, door: &str) -> String {
        format!("{}/{door}/{}", self.base, Topic::Grant.name())
    }

    /// Where the door is armed and disarmed, where the broker's word is enough for that.
    #[must_use]
    pub fn arming(&self) -> String {
        format!("{}/set", self.of(Topic::Armed))
    }

    /// Everything below the base: nobody may ask for an answer there.
    #[must_use]
    pub fn owns(&self, topic: &str) -> bool {
        topic.strip_prefix(&self.base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// `payload` as it is handed to the broker.
    #[must_use]
    pub fn message<P: Payload>(&self, payload: &P) -> Message {
        Message { topic: self.of(P::TOPIC), payload: json(payload), delivery: P::TOPIC.delivery() }
    }

    /// A signed grant as it is handed to the broker.
    #[must_use]
    pub fn grant(&self, grant: &SignedGrant) -> Message {
        Message {
            topic: self.of(Topic::Grant),
            payload: grant.as_str().as_bytes().to_vec(),
            delivery: Topic::Grant.delivery(),
        }
    }

    /// The keys by which grants are signed. Without any, an empty message takes away what was kept.
    #[must_use]
    pub fn keys(&self, keys: &KeySet) -> Message {
        let message = self.message(keys);
        if keys.keys.is_empty() { Message { payload: Vec::new(), ..message } } else { message }
    }

    /// The message that says whether we are there; also the will.
    #[must_use]
    pub fn status(&self, online: bool) -> Message {
        let text: &[u8] = if online { b"online" } else { b"offline" };
        Message {
            topic: self.of(Topic::Status),
            payload: text.to_vec(),
            delivery: Topic::Status.delivery(),
        }
    }
}

/// `value` as JSON, without secrets: a retained message is read by whoever comes later.
#[expect(clippy::expect_used, reason = "plain structs with text keys always serialise")]
pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_string(value).expect("plain structs with text keys always serialise");
    match crate::mask::json(&text) {
        Cow::Borrowed(_) => text.into_bytes(),
        Cow::Owned(masked) => masked.into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_could_open_a_door_is_retained_or_lives_long() {
        for topic in Topic::ALL {
            let delivery = topic.delivery();
            let states = [Topic::Status, Topic::Info, Topic::Camera, Topic::Keys, Topic::Armed];
            let retained = states.contains(&topic);
            assert_eq!(delivery.retained, retained, "{}", topic.name());
            assert!(delivery.qos <= 1);
        }
        for topic in [Topic::Access, Topic::Grant] {
            assert_eq!(topic.delivery().expiry_s, Some(5), "{}", topic.name());
            assert_eq!(topic.delivery().qos, 1, "{}", topic.name());
        }
        assert_eq!(crate::sign::LIFETIME_S, 5, "and what is signed lives no longer");
        assert!(!Topic::Audit.delivery().retained);
    }

    #[test]
    fn names_are_checked() {
        let topics = Topics::new("deepid-edge", "front").unwrap();
        assert_eq!(topics.of(Topic::Access), "deepid-edge/front/access");
        for door in ["", "Front", "a/b", "a b", "+", "ä", &"x".repeat(33)] {
            assert!(matches!(Topics::new("b", door), Err(InvalidTopic::Door(_))), "{door:?}");
        }
        for base in ["", "/a", "a/", "$SYS", "a/+", "a#", "a b", "a\n", &"x".repeat(65)] {
            assert!(matches!(Topics::new(base, "d"), Err(InvalidTopic::Base(_))), "{base:?}");
        }
        Topics::new("house/doors", "back_2").unwrap();
    }

    #[test]
    fn what_is_below_the_base_is_ours() {
        let topics = Topics::new("deepid-edge", "front").unwrap();
        assert!(topics.owns("deepid-edge/back/access") && topics.owns("deepid-edge"));
        assert!(!topics.owns("deepid-edge-2/x") && !topics.owns("answers/me"));
    }
}
