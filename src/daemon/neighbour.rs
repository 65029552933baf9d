//! The other door: whoever it grants has gone the other way.
//!
//! In: the configuration; what stands on the other door's topic `grant`. Out: who was granted there.
//! Invariants: nothing counts that is not signed by a key that the owner has named, for that door, now, and
//! once; without a trusted clock nothing counts. Deliberately absent: this door's own grants, and what is made
//! of a passage (`policy`).

use deepid_grant::{Mode, PublicKey, Verifier};

use crate::clock::{ClockTrust, WallClock};
use crate::compare::SubjectId;
use crate::config::Config;
use crate::policy::{Side, Whereabouts};
use crate::sign::{InvalidKeys, PublicKey as Listed};

/// By how much the clocks of the two doors may differ, in seconds.
const TOLERANCE_S: u8 = 5;

/// See the module.
#[derive(Debug)]
pub struct Neighbour {
    verifier: Verifier,
    door: String,
    side: Side,
    /// Whether a message was refused since the last one that was right.
    refused: bool,
}

/// Why the other door cannot be listened to.
#[derive(Debug, thiserror::Error)]
pub enum NeighbourError {
    /// Its keys.
    #[error("passback.keys {0}")]
    Keys(#[from] InvalidKeys),
    /// What the verifier says.
    #[error("passback.door and passback.keys: {0}")]
    Setup(String),
}

impl Neighbour {
    /// The door that `config` names; `None` where it names none.
    ///
    /// # Errors
    /// [`NeighbourError`].
    pub fn of(config: &Config) -> Result<Option<Self>, NeighbourError> {
        let (Some(leads_to), Some(door), Some(path)) =
            (config.passback_policy().leads_to(), &config.passback.door, &config.passback.keys)
        else {
            return Ok(None);
        };
        let setup = |error: &dyn std::fmt::Display| NeighbourError::Setup(error.to_string());
        let keys = Listed::read_all(path)?;
        let keys = keys.iter().map(|key| PublicKey::from_x(&key.x()));
        let keys = keys.collect::<Result<Vec<_>, _>>().map_err(|error| setup(&error))?;
        let mode = Mode::Clock { tolerance_s: TOLERANCE_S };
        let verifier = Verifier::new(door, &keys, mode).map_err(|error| setup(&error))?;
        let side = match leads_to {
            Side::Inside => Side::Outside,
            Side::Outside => Side::Inside,
        };
        Ok(Some(Self { verifier, door: door.clone(), side, refused: false }))
    }

    /// The same, and the configuration by which rules are made beside it; what is wrong is logged, and
    /// 'deepid-edge doctor' says it: the door goes on, hears of nobody who goes the other way, and so refuses
    /// nobody who goes the same way twice.
    pub(super) fn of_or_none(config: &Config) -> (Option<Self>, Config) {
        match Self::of(config) {
            Ok(neighbour) => (neighbour, config.clone()),
            Err(error) => {
                tracing::error!(
                    %error,
                    "the other door cannot be listened to: who goes there is not known here, and whoever goes the same way twice is recorded and not refused"
                );
                (None, config.clone().hearing_nobody())
            }
        }
    }

    /// Its id.
    #[must_use]
    pub fn door(&self) -> &str {
        &self.door
    }

    /// Who was granted there, by one message; `None` where it says nothing that counts.
    pub(super) fn take(
        &mut self,
        message: &[u8],
        wall: WallClock,
    ) -> Option<(SubjectId, Whereabouts)> {
        if wall.trust != ClockTrust::Trusted {
            tracing::warn!(
                door = self.door,
                "a grant of the other door is not believed: this door's clock is not trusted"
            );
            return None;
        }
        let now = u64::try_from(wall.unix_ms / 1000).ok()?;
        match self.verifier.verify(message, Some(now)) {
            Ok(grant) => {
                self.refused = false;
                let subject = SubjectId::new(grant.subject).ok()?;
                // Neither later than it came here, nor earlier than it was signed.
                let signed_ms = i64::try_from(grant.issued.saturating_mul(1000)).ok()?;
                let since_ms = wall.unix_ms.min(signed_ms.saturating_add(999));
                Some((subject, Whereabouts { side: Some(self.side), since_ms }))
            }
            Err(refusal) => {
                let (door, why) = (&self.door, refusal.word());
                if std::mem::replace(&mut self.refused, true) {
                    tracing::debug!(door, why, "a grant of the other door is not believed");
                } else {
                    tracing::warn!(
                        door,
                        why,
                        "a grant of the other door is not believed; more are not logged until one is"
                    );
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::config::{Flag, Sources};
    use crate::sign::{Claims, GrantKey, SignedGrant};

    const NOW_MS: i64 = 1_800_000_000_500;

    fn wall(unix_ms: i64, trust: ClockTrust) -> WallClock {
        WallClock { unix_ms, trust, synchronised: false }
    }

    fn grant(seed: u8, door: &str, seq: u64) -> String {
        let claims = Claims {
            door,
            subject: "s-4f9a1c",
            id: Uuid::from_u128(seq.into()),
            issued_ms: NOW_MS,
            seq,
            boot: Uuid::nil(),
            nonces: &[],
        };
        SignedGrant::sign(&GrantKey::of_seed(&[seed; 32]), &claims).as_str().to_owned()
    }

    fn config(folder: &tempfile::TempDir, direction: &str) -> Config {
        let keys = folder.path().join("back.jwks.json");
        let key = GrantKey::of_seed(&[7; 32]);
        let set = serde_json::json!({ "keys": [key.public().jwk()] });
        std::fs::write(&keys, set.to_string()).unwrap();
        let flags = [
            ("door.direction", direction),
            ("passback.mode", "hard"),
            ("passback.door", "back"),
            ("passback.keys", keys.to_str().unwrap()),
        ];
        let flags = flags.map(|(key, value)| Flag::set(key, value)).to_vec();
        Config::load(&Sources { flags, ..Sources::default() }).unwrap()
    }

    #[test]
    fn what_the_other_door_signs_counts_once_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let mut neighbour = Neighbour::of(&config(&folder, "in")).unwrap().unwrap();
        let now = wall(NOW_MS + 1000, ClockTrust::Trusted);
        let mut take = |text: &str, wall| neighbour.take(text.as_bytes(), wall);
        let good = grant(7, "back", 3);
        for (text, wall) in [
            (grant(8, "back", 3), now),
            (grant(7, "front", 3), now),
            (good.replace('.', ""), now),
            (String::new(), now),
            (good.clone(), wall(NOW_MS + 60_000, ClockTrust::Trusted)),
            (good.clone(), wall(NOW_MS, ClockTrust::Untrusted)),
        ] {
            assert_eq!(take(&text, wall), None, "{text}");
        }
        let (subject, at) = take(&good, now).unwrap();
        assert_eq!(subject.as_str(), "s-4f9a1c");
        assert_eq!(at.side, Some(Side::Outside), "it leads the other way");
        assert!((NOW_MS..=now.unix_ms).contains(&at.since_ms), "{at:?}");
        assert_eq!(take(&good, now), None, "once");
        let mut out = Neighbour::of(&config(&folder, "out")).unwrap().unwrap();
        let (_, at) = out.take(grant(7, "back", 4).as_bytes(), now).unwrap();
        assert_eq!(at.side, Some(Side::Inside));
    }

    #[test]
    fn a_file_without_keys_is_named_and_without_a_mode_nobody_is_listened_to() {
        let folder = tempfile::tempdir().unwrap();
        let named = config(&folder, "in");
        std::fs::write(folder.path().join("back.jwks.json"), "{}").unwrap();
        let error = Neighbour::of(&named).unwrap_err().to_string();
        assert!(error.contains("passback.keys") && error.contains("back.jwks.json"), "{error}");
        assert!(named.passback_policy().refuses());
        let (neighbour, fitted) = Neighbour::of_or_none(&named);
        assert!(neighbour.is_none(), "the door goes on");
        assert!(!fitted.passback_policy().refuses(), "nobody would be known to have come out");
        assert_eq!(fitted.passback_policy().leads_to(), Some(Side::Inside), "it is told");
        let off = Config::load(&Sources::default()).unwrap();
        assert!(Neighbour::of(&off).unwrap().is_none());
    }
}
