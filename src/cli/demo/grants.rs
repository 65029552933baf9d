//! Signed grants, checked as whatever opens something in a household checks them.
//!
//! In: the public key, copied from the door itself; messages on `access` and `grant`. Out: a line for
//! each grant, how many were right, why the others were not; and what a man in the middle makes of the
//! first one. The time is that of the decision on `access`: a recording that is replayed faster than it
//! was made has a time of its own.

use deepid_grant::{Mode, PublicKey, Refusal, Verifier};
use uuid::Uuid;

use super::DOOR;
use crate::clock::WallClock;
use crate::sign::{Claims, GrantKey, SignedGrant};

const DAY_S: u64 = 24 * 3600;

/// What an opener must refuse of a man in the middle, in the order in which it comes.
pub(super) const REFUSED: [Refusal; 3] = [Refusal::Replayed, Refusal::Expired, Refusal::UnknownKey];

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Grants {
    verifier: Option<Verifier>,
    /// An opener that begins on the next day, and remembers nothing.
    tomorrow: Option<Verifier>,
    issued_s: Option<u64>,
    /// The first one that was right, and how often it came since.
    first: Option<(Vec<u8>, u32)>,
    /// How many were right.
    pub verified: usize,
    /// Why the others were not.
    pub refused: Vec<Refusal>,
}

impl Grants {
    /// Trusts the key whose JWK has this `x`; nothing is right where it is none.
    pub(super) fn trusting(x: &str) -> Self {
        let verifier = || {
            let key = PublicKey::from_x(x).ok()?;
            Verifier::new(DOOR, &[key], Mode::Clock { tolerance_s: 2 }).ok()
        };
        Self { verifier: verifier(), tomorrow: verifier(), ..Self::default() }
    }

    /// Takes the time of a decision, as `access` says it.
    pub(super) fn issued(&mut self, issued: &str) {
        let moment: Option<jiff::Timestamp> = issued.parse().ok();
        self.issued_s = moment.and_then(|moment| u64::try_from(moment.as_second()).ok());
    }

    /// What an opener does with a grant. The second copy of the first one comes on the day after.
    pub(super) fn check(&mut self, message: &[u8]) -> String {
        let copy = self.first.as_mut().filter(|(first, _)| first == message);
        let copies = copy.map_or(0, |(_, copies)| {
            *copies += 1;
            *copies
        });
        let (verifier, now) = match copies {
            2 => (&mut self.tomorrow, self.issued_s.map(|issued| issued + DAY_S)),
            _ => (&mut self.verifier, self.issued_s),
        };
        let Some(verifier) = verifier else {
            return "         opener     stays shut: it has no key to check a grant by".to_owned();
        };
        match verifier.verify(message, now) {
            Ok(grant) => {
                self.verified += 1;
                self.first.get_or_insert_with(|| (message.to_vec(), 0));
                format!(
                    "         opener     opens: signed by the door, for {}, record {}",
                    grant.subject, grant.seq
                )
            }
            Err(refusal) => {
                self.refused.push(refusal);
                let why = match refusal {
                    Refusal::Replayed => "a copy of one that it has taken",
                    Refusal::Expired => "a copy from the day before",
                    Refusal::UnknownKey => "signed by a key that is not the door's",
                    _ => "it is no grant of this door",
                };
                format!("         opener     stays SHUT: {} ({why})", refusal.word())
            }
        }
    }
}

/// What a man in the middle sends when a grant has come: copies of it, and one of his own.
pub(super) fn attacks(grant: &[u8], now: WallClock) -> [Vec<u8>; 3] {
    let stranger = GrantKey::of_seed(&[0x5a; 32]);
    let claims = Claims {
        door: DOOR,
        subject: "s-000bad",
        id: Uuid::now_v7(),
        issued_ms: now.unix_ms,
        seq: 1_000_000,
        boot: Uuid::now_v7(),
        nonces: &[],
    };
    let forged = SignedGrant::sign(&stranger, &claims);
    [grant.to_vec(), grant.to_vec(), forged.as_str().as_bytes().to_vec()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ClockTrust;

    #[test]
    fn a_grant_is_right_once_and_by_the_doors_own_key() {
        let key = GrantKey::of_seed(&[7; 32]);
        let id = Uuid::from_u128(1);
        let claims = Claims {
            door: DOOR,
            subject: "s-4f9a1c",
            id,
            issued_ms: 1_777_619_702_123,
            seq: 42,
            boot: id,
            nonces: &[],
        };
        let grant = SignedGrant::sign(&key, &claims);
        let mut grants = Grants::trusting(&key.public().x());
        grants.issued("2026-05-01T07:15:02.123Z");
        assert!(
            grants
                .check(grant.as_str().as_bytes())
                .contains("signed by the door, for s-4f9a1c, record 42")
        );
        let wall = WallClock { unix_ms: 0, trust: ClockTrust::Trusted, synchronised: false };
        for (attack, word) in attacks(grant.as_str().as_bytes(), wall).iter().zip(REFUSED) {
            let said = grants.check(attack);
            assert!(said.contains(&format!("SHUT: {}", word.word())), "{said}");
        }
        assert_eq!((grants.verified, grants.refused.as_slice()), (1, REFUSED.as_slice()));
        assert!(Grants::trusting("").check(grant.as_str().as_bytes()).contains("no key"));
    }
}
