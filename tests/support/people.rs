//! Enrolling and administering in a test, one change at a time, as an administrator would.
//!
//! Every change goes through [`Store::administer`], so that each leaves a record, signed by door
//! `front` at the wall time that is given.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    dead_code,
    reason = "each test takes what it needs, and stops at the first surprise"
)]

use deepid_edge::clock::{ClockTrust, Monotonic, WallClock};
use deepid_edge::compare::SubjectId;
use deepid_edge::embed::FeatureVector;
use deepid_edge::inference::{ModelCard, ModelId, ModelKey, Procedure, ProcedureHash};
use deepid_edge::store::{
    Change, Done, Enrolee, Error, NewReference, ReferenceSource, Signature, Store,
};

/// A key of a made-up procedure, the same for the same `name`.
pub fn key(name: &str) -> ModelKey {
    key_by(name, 7)
}

/// A key of the made-up procedure number `number`.
pub fn key_by(name: &str, number: u8) -> ModelKey {
    ModelKey { id: ModelId::new(name).unwrap(), procedure: ProcedureHash::of_bytes([number; 32]) }
}

/// The key of a shipped embedder with its shipped card, averaged as by default.
pub fn shipped_key(name: &str) -> ModelKey {
    let path = format!("{}/models/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let card = ModelCard::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    Procedure { embedder: &card, landmarker: None, mirrored: true }.key()
}

pub fn signed(wall: WallClock) -> Signature<'static> {
    Signature { door: "front", boot: uuid::Uuid::nil(), now: Monotonic::default(), wall }
}

const WALL: WallClock = WallClock { unix_ms: 0, trust: ClockTrust::Trusted, synchronised: false };

/// Single changes, each with its record.
pub trait People {
    fn change(&mut self, change: Change<'_>) -> Result<Done, Error>;
    fn add_subject(&mut self, name: &str, wall: WallClock) -> Result<SubjectId, Error>;
    fn add_reference(
        &mut self,
        subject: &SubjectId,
        vector: &FeatureVector,
        quality: f32,
        source: ReferenceSource,
        wall: WallClock,
    ) -> Result<(), Error>;

    fn rename_subject(&mut self, subject: &SubjectId, name: &str) -> Result<(), Error> {
        self.change(Change::Rename { subject, name }).map(drop)
    }

    fn enable_subject(&mut self, subject: &SubjectId, enabled: bool) -> Result<(), Error> {
        self.change(Change::Enable { subject, enabled }).map(drop)
    }

    fn remove_subject(&mut self, subject: &SubjectId) -> Result<Done, Error> {
        self.change(Change::Remove { subject })
    }
}

impl People for Store {
    fn change(&mut self, change: Change<'_>) -> Result<Done, Error> {
        self.administer(change, signed(WALL))
    }

    fn add_subject(&mut self, name: &str, wall: WallClock) -> Result<SubjectId, Error> {
        let change = Change::Enrol {
            who: Enrolee::New(name),
            references: &[],
            source: ReferenceSource::Image,
            model: &ModelId::new("none").unwrap(),
        };
        Ok(self.administer(change, signed(wall))?.subject.expect("a subject was added"))
    }

    fn add_reference(
        &mut self,
        subject: &SubjectId,
        vector: &FeatureVector,
        quality: f32,
        source: ReferenceSource,
        wall: WallClock,
    ) -> Result<(), Error> {
        let change = Change::Enrol {
            who: Enrolee::Also(subject),
            references: &[NewReference { vector, quality }],
            source,
            model: vector.model(),
        };
        self.administer(change, signed(wall)).map(drop)
    }
}
