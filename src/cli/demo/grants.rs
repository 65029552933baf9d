//! Signed grants, checked as whatever opens something in a household checks them.
//!
//! In: the public key, copied from the door itself; messages on `access` and `grant`. Out: a line for
//! each grant, and how many were right. The time is that of the decision on `access`: a recording that
//! is replayed faster than it was made has a time of its own.

use deepid_grant::{Mode, PublicKey, Verifier};

use super::DOOR;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Grants {
    verifier: Option<Verifier>,
    issued_s: Option<u64>,
    /// How many were right.
    pub verified: usize,
}

impl Grants {
    /// Trusts the key whose JWK has this `x`; nothing is right where it is none.
    pub(super) fn trusting(x: &str) -> Self {
        let mode = Mode::Clock { tolerance_s: 2 };
        let key = PublicKey::from_x(x).ok();
        let verifier = key.and_then(|key| Verifier::new(DOOR, &[key], mode).ok());
        Self { verifier, ..Self::default() }
    }

    /// Takes the time of a decision, as `access` says it.
    pub(super) fn issued(&mut self, issued: &str) {
        let moment: Option<jiff::Timestamp> = issued.parse().ok();
        self.issued_s = moment.and_then(|moment| u64::try_from(moment.as_second()).ok());
    }

    /// What a listener says of a grant.
    pub(super) fn check(&mut self, message: &[u8]) -> String {
        let Some(verifier) = &mut self.verifier else {
            return "         grant      no key to check it by".to_owned();
        };
        match verifier.verify(message, self.issued_s) {
            Ok(grant) => {
                self.verified += 1;
                format!(
                    "         grant      signed and verified: {}, record {}",
                    grant.subject, grant.seq
                )
            }
            Err(refusal) => format!("         grant      REFUSED: {}", refusal.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::{Claims, GrantKey, SignedGrant};

    #[test]
    fn a_grant_is_right_once_and_by_the_doors_own_key() {
        let key = GrantKey::of_seed(&[7; 32]);
        let id = uuid::Uuid::from_u128(1);
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
        assert!(grants.check(grant.as_str().as_bytes()).contains("verified: s-4f9a1c, record 42"));
        assert!(grants.check(grant.as_str().as_bytes()).contains("REFUSED: replayed"));
        assert_eq!(grants.verified, 1);
        assert!(Grants::trusting("").check(grant.as_str().as_bytes()).contains("no key"));
    }
}
