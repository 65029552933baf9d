//! A request that can be trusted: signed by a key that the door was told of, for one nonce of its own.
//!
//! In: the bytes of a message, the door's id, the keys that it knows; on the asking side a key, the
//! door's nonce and what is asked. Out: what is asked and by which key, or why it counts for nothing;
//! ASCII of at most [`REQUEST_BYTES_MAX`] bytes. [`RequestNonces`] gives nonces out and takes each
//! back once. Pure: time is an argument.
//!
//! Invariants: which algorithm is decided here and never by the message; nothing of the claims is
//! read before the signature is proved; a member that is not one of those stated, or stands there
//! twice, is a reason to refuse; a nonce is of this run, lives [`NONCE_LIFE`], and is spent by the
//! first request that is signed for it. Deliberately absent: what can be asked (`publish::ask`).
//! Sources: RFC 7515 (compact serialisation), RFC 8037 (`EdDSA`), RFC 8725 (its good practice).

use std::collections::VecDeque;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{GrantKey, PublicKey, Thumbprint};
use crate::clock::Monotonic;

/// Bytes that a signed request may have.
pub const REQUEST_BYTES_MAX: usize = 1024;
/// For how long a nonce can be used.
pub const NONCE_LIFE: Duration = Duration::from_secs(30);
/// Nonces that are out at once; the oldest gives way.
const NONCES_MAX: usize = 64;
/// Random bytes of a nonce: 22 characters of base64url.
const NONCE_BYTES: usize = 16;

/// `typ` of a signed request: no grant can be taken for one.
const TYPE: &str = "deepid-request+jwt";
const ALGORITHM: &str = "EdDSA";

/// Why a message counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RequestFault {
    /// It is no compact JWS of the stated form.
    #[error("it is no signed request: three parts of base64url with the stated header and claims")]
    Malformed,
    /// The key is not one that the door was told of.
    #[error("its key is not known here; 'deepid-edge admins add' makes one known")]
    UnknownKey,
    /// The signature is not of that key over these bytes.
    #[error("its signature does not verify")]
    BadSignature,
    /// It is meant for another door.
    #[error("it is meant for another door")]
    OtherDoor,
    /// The nonce is not one that this door gave out and still waits for.
    #[error("its nonce is not one that this door still waits for; ask for a new one")]
    StaleNonce,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    typ: &'a str,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims<A> {
    aud: String,
    nonce: String,
    ask: A,
}

/// A request whose signature, door and nonce are as they must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRequest<A> {
    /// The key that signed it.
    pub key: Thumbprint,
    /// What is asked.
    pub ask: A,
}

/// What signs `ask` for `door` and its `nonce`; `None` where it would be longer than
/// [`REQUEST_BYTES_MAX`].
#[must_use]
pub fn sign_request(
    key: &GrantKey,
    door: &str,
    nonce: &str,
    ask: &impl Serialize,
) -> Option<String> {
    let kid = key.public().thumbprint().as_str();
    let header = serde_json::to_vec(&Header { alg: ALGORITHM, kid, typ: TYPE }).ok()?;
    let claims = Claims { aud: door.to_owned(), nonce: nonce.to_owned(), ask };
    let claims = serde_json::to_vec(&claims).ok()?;
    let encode = Base64UrlUnpadded::encode_string;
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = encode(&key.sign(signed.as_bytes()));
    Some(format!("{signed}.{signature}")).filter(|text| text.len() <= REQUEST_BYTES_MAX)
}

/// What `message` asks of `door`, where it is signed by one of `keys` for one of `nonces`, which is
/// spent by it.
///
/// # Errors
/// The first [`RequestFault`] in the order in which they stand there.
pub fn verify_request<A: DeserializeOwned>(
    message: &[u8],
    door: &str,
    keys: &[PublicKey],
    nonces: &mut RequestNonces,
    now: Monotonic,
) -> Result<VerifiedRequest<A>, RequestFault> {
    let malformed = RequestFault::Malformed;
    if message.len() > REQUEST_BYTES_MAX {
        return Err(malformed);
    }
    let text = std::str::from_utf8(message).map_err(|_| malformed)?;
    let mut parts = text.split('.');
    let (Some(header), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed);
    };
    let decode = |part: &str| Base64UrlUnpadded::decode_vec(part).map_err(|_| malformed);
    let signature = decode(signature)?;
    let header = decode(header)?;
    let Header { alg, kid, typ } = serde_json::from_slice(&header).map_err(|_| malformed)?;
    if alg != ALGORITHM || typ != TYPE {
        return Err(malformed);
    }
    let named = |key: &&PublicKey| key.thumbprint().as_str() == kid;
    let key = keys.iter().find(named).ok_or(RequestFault::UnknownKey)?;
    let signed = text.rsplit_once('.').map_or("", |(signed, _)| signed);
    if !key.has_signed(signed.as_bytes(), &signature) {
        return Err(RequestFault::BadSignature);
    }
    let claims: Claims<A> = serde_json::from_slice(&decode(claims)?).map_err(|_| malformed)?;
    if claims.aud != door {
        return Err(RequestFault::OtherDoor);
    }
    if !nonces.spend(&claims.nonce, now) {
        return Err(RequestFault::StaleNonce);
    }
    Ok(VerifiedRequest { key: key.thumbprint().clone(), ask: claims.ask })
}

/// Nonces that were given out and not used yet.
#[derive(Debug, Clone, Default)]
pub struct RequestNonces {
    /// Oldest first.
    out: VecDeque<(String, Monotonic)>,
}

impl RequestFault {
    /// The word for it on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::OtherDoor => "other_door",
            Self::StaleNonce => "stale_nonce",
        }
    }
}

impl RequestNonces {
    /// None is out.
    #[must_use]
    pub const fn new() -> Self {
        Self { out: VecDeque::new() }
    }

    /// A new one.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn give(&mut self, now: Monotonic) -> Result<String, getrandom::Error> {
        let mut bytes = [0; NONCE_BYTES];
        getrandom::fill(&mut bytes)?;
        self.forget(now);
        while self.out.len() >= NONCES_MAX {
            self.out.pop_front();
        }
        let nonce = Base64UrlUnpadded::encode_string(&bytes);
        self.out.push_back((nonce.clone(), now));
        Ok(nonce)
    }

    /// Whether `nonce` may be used now; it may not be used again.
    fn spend(&mut self, nonce: &str, now: Monotonic) -> bool {
        self.forget(now);
        let place = self.out.iter().position(|(held, _)| held == nonce);
        place.and_then(|place| self.out.remove(place)).is_some()
    }

    fn forget(&mut self, now: Monotonic) {
        self.out.retain(|(_, given)| now.since(*given) < NONCE_LIFE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Ring {
        bell: u32,
    }

    const DOOR: &str = "front";

    const fn at(seconds: u64) -> Monotonic {
        Monotonic::from_millis(seconds * 1000)
    }

    fn key(seed: u8) -> GrantKey {
        GrantKey::of_seed(&[seed; 32])
    }

    fn verify(
        message: &str,
        nonces: &mut RequestNonces,
        now: Monotonic,
    ) -> Result<VerifiedRequest<Ring>, RequestFault> {
        verify_request(message.as_bytes(), DOOR, &[key(1).public().clone()], nonces, now)
    }

    /// `header` and `claims` as they stand, signed by the known key.
    fn signed(header: &str, claims: &str) -> String {
        let encode = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = Base64UrlUnpadded::encode_string(&key(1).sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    #[test]
    fn a_request_is_carried_out_once_while_its_nonce_lives() {
        let mut nonces = RequestNonces::default();
        let nonce = nonces.give(at(0)).unwrap();
        let message = sign_request(&key(1), DOOR, &nonce, &Ring { bell: 2 }).unwrap();
        let verified = verify(&message, &mut nonces, at(29)).unwrap();
        assert_eq!(verified.ask, Ring { bell: 2 });
        assert_eq!(&verified.key, key(1).public().thumbprint());
        assert_eq!(verify(&message, &mut nonces, at(29)), Err(RequestFault::StaleNonce), "again");
        let late = nonces.give(at(30)).unwrap();
        let message = sign_request(&key(1), DOOR, &late, &Ring { bell: 2 }).unwrap();
        assert_eq!(verify(&message, &mut nonces, at(60)), Err(RequestFault::StaleNonce), "late");
        let own = sign_request(&key(1), DOOR, "AAAAAAAAAAAAAAAAAAAAAA", &Ring { bell: 2 }).unwrap();
        assert_eq!(verify(&own, &mut nonces, at(60)), Err(RequestFault::StaleNonce), "made up");
    }

    #[test]
    fn what_is_not_signed_for_this_door_by_a_known_key_counts_for_nothing_and_spends_no_nonce() {
        use RequestFault as F;
        let mut nonces = RequestNonces::default();
        let nonce = nonces.give(at(0)).unwrap();
        let good = sign_request(&key(1), DOOR, &nonce, &Ring { bell: 2 }).unwrap();
        let kid = key(1).public().thumbprint().clone();
        let header = format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"deepid-request+jwt"}}"#);
        let claims = format!(r#"{{"aud":"front","nonce":"{nonce}","ask":{{"bell":2}}}}"#);
        let of = |header: &str, claims: &str| signed(header, claims);
        let other = sign_request(&key(2), DOOR, &nonce, &Ring { bell: 2 }).unwrap();
        let (_, others_signature) = other.rsplit_once('.').unwrap();
        let (signed_part, signature) = good.rsplit_once('.').unwrap();
        let first = if signature.starts_with('A') { "B" } else { "A" };
        let changed = format!("{signed_part}.{first}{}", &signature[1..]);
        for (message, why) in [
            (String::new(), F::Malformed),
            ("..".to_owned(), F::Malformed),
            (format!("{good}."), F::Malformed),
            (format!("{good}="), F::Malformed),
            (format!(" {good}"), F::Malformed),
            ("A".repeat(REQUEST_BYTES_MAX + 1), F::Malformed),
            (of(&header.replace("EdDSA", "none"), &claims), F::Malformed),
            (of(&header.replace("EdDSA", "HS256"), &claims), F::Malformed),
            (of(&header.replace("deepid-request", "deepid-grant"), &claims), F::Malformed),
            (of(&header.replace('}', r#","crit":["x"]}"#), &claims), F::Malformed),
            (of(&header.replace('}', r#","alg":"EdDSA"}"#), &claims), F::Malformed),
            (of(&header.replace(kid.as_str(), &"A".repeat(43)), &claims), F::UnknownKey),
            (other.clone(), F::UnknownKey),
            (changed, F::BadSignature),
            (format!("{signed_part}.{others_signature}"), F::BadSignature),
            (of(&header, &claims.replace("front", "back")), F::OtherDoor),
            (of(&header, &claims.replace(r#""bell":2"#, r#""bell":2,"more":1"#)), F::Malformed),
            (of(&header, &claims.replace(r#""bell":2"#, r#""bell":2,"bell":3"#)), F::Malformed),
            (of(&header, &claims.replace(r#""aud""#, r#""aud":"back","aud""#)), F::Malformed),
            (of(&header, &claims.replace(r#""ask""#, r#""exp":1,"ask""#)), F::Malformed),
            (of(&header, &claims.replace(&nonce, "")), F::StaleNonce),
        ] {
            assert_eq!(verify(&message, &mut nonces, at(1)), Err(why), "{message}");
        }
        assert!(verify(&good, &mut nonces, at(1)).is_ok(), "none of them has spent the nonce");
    }

    #[test]
    fn what_would_be_too_long_is_not_signed() {
        let long = "x".repeat(REQUEST_BYTES_MAX);
        assert_eq!(sign_request(&key(1), DOOR, "n", &long), None);
    }

    #[test]
    fn few_nonces_are_out_at_once() {
        let mut nonces = RequestNonces::default();
        let first = nonces.give(at(0)).unwrap();
        for _ in 0..NONCES_MAX {
            nonces.give(at(1)).unwrap();
        }
        assert_eq!(nonces.out.len(), NONCES_MAX);
        assert!(!nonces.spend(&first, at(1)), "the oldest has given way");
    }
}
