//! What the opener says of itself, retained, on `BASE/DOOR/opener/LISTENER/state`.
//!
//! In: a [`Report`]. Out: JSON that holds to `docs/wire/opener.schema.json`.
//! Always: nothing in it opens anything, names anybody, or helps to forge: retaining it is safe.

use deepid_grant::Refusal;
use serde::Serialize;

/// Names the contract.
const SCHEMA: &str = "deepid-edge/opener/1";

/// How the opener stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Locked; it listens.
    Ready,
    /// The line is unlocked, or the contact says that the door stands open.
    Open,
    /// The door has stood open for longer than it may.
    HeldOpen,
    /// It hears nothing: the broker says so in its place.
    BrokerLost,
    /// It was ended.
    Stopped,
}

/// What the contact says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Contact {
    /// The door stands open.
    Open,
    /// It is closed.
    Closed,
}

/// The state with what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// How the opener stands.
    pub state: State,
    /// What the contact says, where there is one.
    pub contact: Option<Contact>,
    /// Why the last message was refused, unless a grant was taken since.
    pub last_refusal: Option<Refusal>,
}

#[derive(Serialize)]
struct Message<'a> {
    schema: &'static str,
    listener: &'a str,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<Contact>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_refusal: Option<&'static str>,
}

impl Report {
    /// A state without more.
    #[must_use]
    pub const fn only(state: State) -> Self {
        Self { state, contact: None, last_refusal: None }
    }

    /// The message of `listener`.
    #[must_use]
    pub fn to_json(&self, listener: &str) -> String {
        let Self { state, contact, last_refusal } = *self;
        let last_refusal = last_refusal.map(Refusal::word);
        let message = Message { schema: SCHEMA, listener, state, contact, last_refusal };
        // Texts and words alone: nothing in it can fail to be written.
        serde_json::to_string(&message).unwrap_or_default()
    }
}

/// The message on `challenge`.
#[must_use]
pub fn challenge(listener: &str, nonce: &str) -> String {
    #[derive(Serialize)]
    struct Challenge<'a> {
        schema: &'static str,
        listener: &'a str,
        nonce: &'a str,
    }
    let message = Challenge { schema: "deepid-edge/challenge/1", listener, nonce };
    serde_json::to_string(&message).unwrap_or_default()
}
