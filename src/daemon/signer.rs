//! What signs at the desk: the door's key as it is now, and the nonces that wait for a grant.
//!
//! In: where the key lies, the database that knows its fingerprint, records, listeners' nonces. Out: a
//! signed grant for a record of one; the keys that listeners are told of; how signing is. Invariants:
//! nothing here keeps a decision from being announced; a key is made only where the database knows
//! none; what keeps it from being used is logged once, told on `health`, and tried again at each look.
//! Deliberately absent: clocks, threads, MQTT.

use std::sync::Arc;

use crate::clock::{ClockTrust, Monotonic, WallClock};
use crate::decide::Outcome;
use crate::publish::{Challenge, KeySet};
use crate::sign::{
    Claims, GrantKey, KeyPlace, KeyTrouble, Loaded, Nonces, SignSettings, SignedGrant,
    SigningState, Thumbprint,
};
use crate::store::{AuditRecord, Body, KnownKey, Store};

/// How signing is, for whoever tells the world.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SigningStatus {
    /// The word for it.
    pub state: SigningState,
    /// Why grants are not signed although they should be, with its remedy.
    pub trouble: Option<String>,
    /// The fingerprint of the key that signs.
    pub key: Option<Thumbprint>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Signer {
    place: Option<KeyPlace>,
    key: Option<Arc<GrantKey>>,
    status: SigningStatus,
    known: Vec<KnownKey>,
    nonces: Nonces,
    /// The version of the database that the key was read by.
    version: Option<i64>,
    /// What was last handed out.
    told: Option<KeySet>,
}

impl Signer {
    /// A signer by these settings, which has looked at its key. It makes one where `store` has never
    /// known any.
    #[must_use]
    pub fn new(settings: SignSettings, store: &mut Store, wall: WallClock) -> Self {
        let mut signer = Self { place: settings.place, ..Self::default() };
        signer.look(store, wall);
        signer
    }

    /// Looks whether another program has changed the keys, and whether one that could not be used can.
    pub(super) fn look(&mut self, store: &mut Store, wall: WallClock) {
        let Some(place) = &self.place else { return };
        let version = store.data_version().ok();
        if self.key.is_some() && version.is_some() && version == self.version {
            return;
        }
        let place = place.clone();
        // A database that fails is told by what it fails at, and looked at again.
        let Ok(known) = store.grant_keys() else { return };
        self.known = known;
        self.version = version;
        match self.load(&place, store, wall) {
            Ok(key) => self.take(Arc::new(key)),
            Err(trouble) => self.fail(&trouble),
        }
        store.sign_cuts_with(self.key.clone());
    }

    fn load(
        &mut self,
        place: &KeyPlace,
        store: &mut Store,
        wall: WallClock,
    ) -> Result<GrantKey, KeyTrouble> {
        let recorded = self.known.first().filter(|known| known.listed_until_ms.is_none());
        let name = recorded.map(|known| known.public.thumbprint());
        let key = if let Some(Loaded { key, beside }) = place.load(name, store.owner())? {
            if beside && let Err(error) = place.settle() {
                tracing::warn!(%error, "the new grant key is used where it lies");
            }
            key
        } else {
            let key = place.make()?;
            tracing::info!(
                fingerprint = %key.public().thumbprint(),
                path = %place.path.display(),
                "a grant key was made; 'deepid-edge keys show' tells what listeners need"
            );
            key
        };
        if recorded.is_none_or(|known| known.place != place.kind) {
            let noted = store.note_grant_key(key.public(), place.kind, wall.unix_ms);
            noted.map_err(|error| KeyTrouble::Unrecorded(error.to_string()))?;
            match store.grant_keys() {
                Ok(known) => self.known = known,
                // Looked at again: what is named must not be less than what is known.
                Err(_) => self.version = None,
            }
        }
        Ok(key)
    }

    fn take(&mut self, key: Arc<GrantKey>) {
        let name = key.public().thumbprint().clone();
        if self.status.key.as_ref() != Some(&name) {
            tracing::info!(fingerprint = %name, "grants are signed by this key");
        }
        self.status = SigningStatus { state: SigningState::Ok, trouble: None, key: Some(name) };
        self.key = Some(key);
    }

    fn fail(&mut self, trouble: &KeyTrouble) {
        let text = trouble.to_string();
        // Tried every second: a line for each try would wear out the card.
        if self.status.trouble.as_ref() != Some(&text) {
            tracing::error!(%trouble, "grants are not signed; who trusts the door alone opens nothing");
        }
        self.status = SigningStatus { state: trouble.state(), trouble: Some(text), key: None };
        self.key = None;
    }

    /// Keeps a listener's nonce for the next grant.
    pub(super) fn keep(&mut self, challenge: Challenge, now: Monotonic) {
        self.nonces.keep(challenge.listener, challenge.nonce, now);
    }

    /// The signed grant of a record that was made at `now`; `None` where it is no grant, or there is no
    /// key. Without a clock that can be believed only a nonce says that it is fresh.
    pub(super) fn sign(&mut self, record: &AuditRecord, now: Monotonic) -> Option<SignedGrant> {
        let Body::Decision(decision) = &record.body else { return None };
        let subject = decision.subject.as_ref().filter(|_| decision.outcome == Outcome::Granted)?;
        let key = self.key.as_ref()?;
        let nonces = self.nonces.take(now);
        if record.clock == ClockTrust::Untrusted && nonces.is_empty() {
            tracing::warn!(
                seq = record.seq,
                "not signed: the clock is not trusted, and no listener has sent a nonce"
            );
            return None;
        }
        let claims = Claims {
            door: &record.door,
            subject: subject.as_str(),
            id: record.id,
            issued_ms: record.issued_ms,
            seq: record.seq,
            boot: record.boot,
            nonces: &nonces,
        };
        Some(SignedGrant::sign(key, &claims))
    }

    /// The keys that listeners are told of, where they are others than at the last call.
    pub(super) fn news(&mut self, wall: WallClock) -> Option<KeySet> {
        let listed = self.known.iter().filter(|known| known.is_listed(wall.unix_ms));
        let keys = KeySet::of(listed.map(|known| &known.public));
        if self.told.as_ref() == Some(&keys) {
            return None;
        }
        self.told = Some(keys.clone());
        Some(keys)
    }

    /// How signing is.
    pub(super) const fn status(&self) -> &SigningStatus {
        &self.status
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::sign::PlaceKind;
    use crate::store::{DecisionRecord, Rotation, Signature, StoreSettings};

    const WALL: WallClock =
        WallClock { unix_ms: 1_800_000_000_000, trust: ClockTrust::Trusted, synchronised: false };

    struct Bench {
        folder: tempfile::TempDir,
        store: Store,
        place: KeyPlace,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("door.db");
            let store = Store::open(&path, StoreSettings::default()).unwrap();
            let place = KeyPlace::of(folder.path().join("grant.key"), None);
            Self { folder, store, place }
        }

        fn signer(&mut self) -> Signer {
            let settings = SignSettings { place: Some(self.place.clone()) };
            Signer::new(settings, &mut self.store, WALL)
        }

        fn rotate(&self) -> Thumbprint {
            let path = self.folder.path().join("door.db");
            let mut beside = Store::open(&path, StoreSettings::default()).unwrap();
            let key = self.place.make_beside().unwrap();
            let by = Signature {
                door: "front",
                boot: Uuid::nil(),
                now: Monotonic::default(),
                wall: WALL,
            };
            let rotation = Rotation { key: key.public(), place: PlaceKind::File, overlap_s: 60 };
            beside.rotate_grant_key(rotation, by).unwrap();
            key.public().thumbprint().clone()
        }
    }

    fn record(outcome: Outcome, clock: ClockTrust) -> AuditRecord {
        let subject = crate::compare::SubjectId::new("s-4f9a1c").unwrap();
        let frames = crate::decide::FramesCounted { agreeing: 3, considered: 3 };
        AuditRecord {
            seq: 1,
            id: Uuid::nil(),
            door: "front".to_owned(),
            boot: Uuid::nil(),
            monotonic_ms: 0,
            issued_ms: WALL.unix_ms,
            clock,
            chain: None,
            by: None,
            body: Body::Decision(DecisionRecord {
                outcome,
                reason: "matched".to_owned(),
                subject: Some(subject),
                awaited: None,
                comparison: None,
                faces: 1,
                frames,
                first_frame_us: 0,
                last_frame_us: 0,
                duress: false,
                passback: false,
                liveness: None,
            }),
        }
    }

    fn challenge() -> Challenge {
        Challenge { listener: "garage".to_owned(), nonce: "0123456789abcdef".to_owned() }
    }

    #[test]
    fn only_a_grant_is_signed_and_without_a_trusted_clock_only_with_a_nonce() {
        let mut bench = Bench::new();
        let mut signer = bench.signer();
        let now = Monotonic::from_millis(5);
        for outcome in [Outcome::Denied, Outcome::Unknown, Outcome::Ambiguous] {
            assert_eq!(signer.sign(&record(outcome, ClockTrust::Trusted), now), None);
        }
        let granted = |trust| record(Outcome::Granted, trust);
        assert!(signer.sign(&granted(ClockTrust::Trusted), now).is_some());
        assert_eq!(signer.sign(&granted(ClockTrust::Untrusted), now), None);
        signer.keep(challenge(), now);
        assert!(signer.sign(&granted(ClockTrust::Untrusted), now).is_some());
        assert_eq!(signer.sign(&granted(ClockTrust::Untrusted), now), None, "it is spent");
        assert_eq!(Signer::default().sign(&granted(ClockTrust::Trusted), now), None, "off");
        assert_eq!(Signer::default().status().state, SigningState::Off);
    }

    #[test]
    fn a_key_that_is_gone_is_named_not_replaced_and_used_when_it_is_back() {
        let mut bench = Bench::new();
        let first = bench.signer().status().key.clone();
        assert!(first.is_some());
        let away = bench.folder.path().join("away");
        std::fs::rename(&bench.place.path, &away).unwrap();
        let mut signer = bench.signer();
        assert_eq!(signer.status().state, SigningState::Missing);
        assert!(signer.status().trouble.as_ref().unwrap().contains("keys rotate"));
        assert_eq!(
            signer.sign(&record(Outcome::Granted, ClockTrust::Trusted), Monotonic::default()),
            None
        );
        assert!(!bench.place.path.exists());
        assert_eq!(signer.news(WALL).unwrap().keys.len(), 1, "it is still the door's");
        std::fs::rename(&away, &bench.place.path).unwrap();
        signer.look(&mut bench.store, WALL);
        assert_eq!(
            signer.status(),
            &SigningStatus { state: SigningState::Ok, trouble: None, key: first }
        );
    }

    #[test]
    fn a_rotation_by_another_program_is_noticed_and_both_keys_are_named_for_the_overlap() {
        let mut bench = Bench::new();
        let mut signer = bench.signer();
        let first = signer.status().key.clone().unwrap();
        let named = |keys: KeySet| keys.keys.into_iter().map(|key| key.kid).collect::<Vec<_>>();
        assert_eq!(named(signer.news(WALL).unwrap()), std::slice::from_ref(&first));
        assert!(signer.news(WALL).is_none(), "said once");
        // Broken off before the new key was in its place.
        let second = bench.rotate();
        signer.look(&mut bench.store, WALL);
        assert_eq!(signer.status().key.as_ref(), Some(&second));
        assert_eq!(named(signer.news(WALL).unwrap()), [second.clone(), first]);
        let later = WallClock { unix_ms: WALL.unix_ms + 60_000, ..WALL };
        assert_eq!(named(signer.news(later).unwrap()), std::slice::from_ref(&second));
        assert_eq!(bench.signer().status().key, Some(second), "it is in its place now");
    }
}
