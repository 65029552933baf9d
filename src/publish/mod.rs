//! What was decided and how we are, said to the world over MQTT 5.
//!
//! Decisions, records and states → messages on topics; what the broker says → events for the
//! daemon and requests to the desk. [`message`], [`topic`] and [`discovery`] are the contract and pure; [`session`] is the
//! one place that talks to a broker.
//!
//! Invariants: nothing that could open a door is ever retained, queued or sent late; a decision
//! reaches `access` within its expiry or not at all; no name and no picture has a field to be in;
//! every failure to connect has a remedy in its text. Deliberately absent: the database (the
//! desk owns it and hands records over) and any command that opens a door.
//!
//! Source: the contract in `docs/wire/README.md`; OASIS MQTT 5.0.

mod alarm;
mod armed;
pub mod ask;
mod bucket;
pub mod challenge;
pub mod diagnosis;
pub mod discovery;
pub mod message;
pub mod request;
pub mod session;
pub mod tls;
pub mod topic;
pub mod twin;

pub use alarm::{DuressMessage, StrangersMessage};
pub use armed::{Armed, Unarmed};
pub use challenge::{Challenge, ChallengeRefusal};
pub use diagnosis::BrokerError;
pub use message::{
    Access, Audit, Camera, CameraState, GuidanceMessage, Health, Info, KeySet, Presence,
};
pub use session::{
    Answered, AskDesk, AskError, BrokerFacts, Credentials, DeskRequest, HomeAssistantSettings,
    Outgoing, Reply, Session, SessionEvent, SessionSettings, forget, probe,
};
pub use tls::{CertificateTrouble, TlsSettings, TlsTrouble};
pub use topic::{Delivery, InvalidTopic, Message, Topic, Topics};
pub use twin::Contest;
