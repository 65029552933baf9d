//! What a listener sends so that the next grant is for it: a nonce.
//!
//! A message on `challenge` → a [`Challenge`], or why it is none. Pure, time is an argument.
//! Invariants: what is retained is refused (it may be of any time); no more than some bytes are read;
//! however many come, few are passed on, and none of them leaves a record: a challenge changes
//! nothing but what the next grant repeats. Source: `docs/wire/README.md`.

use serde::Deserialize;

use super::bucket::Bucket;
use super::topic::is_id;
use crate::clock::Monotonic;
use crate::sign::LISTENERS_MAX;

/// Bytes that a challenge may have.
pub const CHALLENGE_BYTES_MAX: usize = 256;
/// The schema that it names.
pub const CHALLENGE_SCHEMA: &str = "deepid-edge/challenge/1";
/// Challenges that may come at once: after a grant each listener sends another.
const BURST: u32 = 2 * LISTENERS_MAX as u32;

/// A listener's nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Which listener.
    pub listener: String,
    /// What the next grant shall repeat.
    pub nonce: String,
}

/// Why a message is no challenge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeRefusal {
    /// It was kept by the broker, or published to be.
    #[error("it is retained; a listener publishes its nonce now, and not for later")]
    Retained,
    /// Too large.
    #[error("it has more than {CHALLENGE_BYTES_MAX} bytes")]
    TooLarge,
    /// Too many.
    #[error("there are too many; a listener sends one in half a minute and one after each grant")]
    TooMany,
    /// Not as agreed.
    #[error("it is not as docs/wire/challenge.schema.json says: {0}")]
    Malformed(String),
}

/// Judges challenges one after the other.
#[derive(Debug, Clone)]
pub struct Challenges {
    bucket: Bucket,
}

#[derive(Deserialize)]
struct Payload {
    schema: String,
    listener: String,
    nonce: String,
}

impl Challenges {
    /// A judge that has heard nothing by `now`.
    #[must_use]
    pub const fn new(now: Monotonic) -> Self {
        Self { bucket: Bucket::new(BURST, now) }
    }

    /// The challenge in `payload`.
    ///
    /// # Errors
    /// [`ChallengeRefusal`]: it is none, or may not come now.
    pub fn judge(
        &mut self,
        retained: bool,
        payload: &[u8],
        now: Monotonic,
    ) -> Result<Challenge, ChallengeRefusal> {
        if retained {
            return Err(ChallengeRefusal::Retained);
        }
        if !self.bucket.take(now) {
            return Err(ChallengeRefusal::TooMany);
        }
        if payload.len() > CHALLENGE_BYTES_MAX {
            return Err(ChallengeRefusal::TooLarge);
        }
        let malformed = |what: &str| ChallengeRefusal::Malformed(what.to_owned());
        let Payload { schema, listener, nonce } =
            serde_json::from_slice(payload).map_err(|error| malformed(&error.to_string()))?;
        if schema != CHALLENGE_SCHEMA {
            return Err(malformed("another schema"));
        }
        if !is_id(&listener) {
            return Err(malformed(
                "'listener' must be 1 to 32 characters of a-z, 0-9, '_' and '-'",
            ));
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if !(16..=43).contains(&nonce.len()) || !nonce.bytes().all(plain) {
            return Err(malformed("'nonce' must be 16 to 43 characters of base64url"));
        }
        Ok(Challenge { listener, nonce })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#"{"schema":"deepid-edge/challenge/1","listener":"garage","nonce":"0123456789abcdef"}"#;

    const fn at(millis: u64) -> Monotonic {
        Monotonic::from_millis(millis)
    }

    fn judge(payload: &str) -> Result<Challenge, ChallengeRefusal> {
        Challenges::new(at(0)).judge(false, payload.as_bytes(), at(0))
    }

    #[test]
    fn each_rule_refuses_what_it_is_for() {
        let good = judge(GOOD).unwrap();
        assert_eq!((good.listener.as_str(), good.nonce.as_str()), ("garage", "0123456789abcdef"));
        let retained = Challenges::new(at(0)).judge(true, GOOD.as_bytes(), at(0));
        assert_eq!(retained, Err(ChallengeRefusal::Retained));
        let padded = |bytes: usize| format!("{GOOD}{}", " ".repeat(bytes - GOOD.len()));
        assert!(judge(&padded(256)).is_ok());
        assert_eq!(judge(&padded(257)), Err(ChallengeRefusal::TooLarge));
        let later = GOOD.replace('}', r#","more":1}"#);
        assert!(judge(&later).is_ok(), "fields may be added");
        for bad in [
            "",
            "[]",
            "null",
            "0123456789abcdef",
            &GOOD.replace("challenge/1", "challenge/2"),
            &GOOD.replace("garage", ""),
            &GOOD.replace("garage", "Garage"),
            &GOOD.replace("garage", "a/b"),
            &GOOD.replace("garage", &"g".repeat(33)),
            &GOOD.replace("0123456789abcdef", "0123456789abcde"),
            &GOOD.replace("0123456789abcdef", &"n".repeat(44)),
            &GOOD.replace("0123456789abcdef", "0123456789abcde="),
            &GOOD.replace('}', r#","nonce":"0123456789abcdef"}"#),
            &GOOD.replace(r#""0123456789abcdef""#, "7"),
        ] {
            assert!(matches!(judge(bad), Err(ChallengeRefusal::Malformed(_))), "{bad}");
        }
    }

    #[test]
    fn who_sends_too_many_is_not_heard() {
        let mut challenges = Challenges::new(at(0));
        let mut heard = |millis| challenges.judge(false, GOOD.as_bytes(), at(millis)).is_ok();
        assert!((0..16).all(|_| heard(1)), "each of eight listeners twice");
        assert!(!heard(1) && !heard(999));
        assert!(heard(1001) && !heard(1001), "one more in a second");
    }
}
