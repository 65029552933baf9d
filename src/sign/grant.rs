//! A grant as a compact JWS.
//!
//! In: the facts of a recorded grant, the listeners' nonces, the key. Out: [`SignedGrant`], ASCII of
//! at most [`GRANT_BYTES_MAX`] bytes. Pure. Invariants: header and claims are those of
//! `docs/wire/grant.md` and no others; a grant lives [`LIFETIME_S`] seconds; of nonces that find no
//! room the last are left out, never the signature's truth.
//! Sources: RFC 7515 (compact serialisation), RFC 8037 (`EdDSA`), RFC 7519 (registered claims).

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::Serialize;
use uuid::Uuid;

use super::GrantKey;

/// Bytes that a grant may have.
pub const GRANT_BYTES_MAX: usize = 1024;
/// Seconds after which nothing may be opened by it any more.
pub const LIFETIME_S: u64 = 5;

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims<'a> {
    /// The door's id.
    pub door: &'a str,
    /// Who was granted, by pseudonym.
    pub subject: &'a str,
    /// The record's id.
    pub id: Uuid,
    /// When it was made, by the wall clock, milliseconds since 1970.
    pub issued_ms: i64,
    /// The record's number.
    pub seq: u64,
    /// The run of the program.
    pub boot: Uuid,
    /// What listeners asked to be repeated.
    pub nonces: &'a [String],
}

/// A signed grant: three parts in base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedGrant(String);

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
    typ: &'static str,
}

#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    sub: &'a str,
    jti: Uuid,
    iat: u64,
    exp: u64,
    seq: u64,
    boot: Uuid,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    nonce: &'a [String],
}

impl SignedGrant {
    /// Signs `claims`; a time before 1970 counts as 1970.
    #[must_use]
    pub fn sign(key: &GrantKey, claims: &Claims<'_>) -> Self {
        let mut nonces = claims.nonces;
        loop {
            let grant = sign(key, claims, nonces);
            match nonces.split_last() {
                Some((_, fewer)) if grant.len() > GRANT_BYTES_MAX => nonces = fewer,
                _ => return Self(grant),
            }
        }
    }

    /// The grant as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn sign(key: &GrantKey, claims: &Claims<'_>, nonces: &[String]) -> String {
    let header =
        Header { alg: "EdDSA", kid: key.public().thumbprint().as_str(), typ: "deepid-grant+jwt" };
    let iat = u64::try_from(claims.issued_ms.div_euclid(1000)).unwrap_or(0);
    let payload = Payload {
        iss: claims.door,
        sub: claims.subject,
        jti: claims.id,
        iat,
        exp: iat.saturating_add(LIFETIME_S),
        seq: claims.seq,
        boot: claims.boot,
        nonce: nonces,
    };
    let mut grant = format!("{}.{}", encoded(&header), encoded(&payload));
    let signature = Base64UrlUnpadded::encode_string(&key.sign(grant.as_bytes()));
    grant.push('.');
    grant.push_str(&signature);
    grant
}

/// Whether `message` has the form of a grant: its length, its parts, the header, the length of a signature.
/// It says nothing of who has made it, and costs less than to verify it.
#[must_use]
pub fn has_form_of_grant(message: &[u8]) -> bool {
    let Some(text) = std::str::from_utf8(message).ok().filter(|text| text.len() <= GRANT_BYTES_MAX)
    else {
        return false;
    };
    let mut parts = text.split('.').map(|part| Base64UrlUnpadded::decode_vec(part).ok());
    let (Some(Some(header)), Some(Some(_)), Some(Some(signature)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap_or_default();
    let says = |name: &str| header.get(name).and_then(serde_json::Value::as_str);
    signature.len() == 64
        && says("alg") == Some("EdDSA")
        && says("typ") == Some("deepid-grant+jwt")
        && says("kid").is_some()
}

fn encoded(value: &impl Serialize) -> String {
    // Plain structs with text keys always serialise; nothing would be refused by every verifier.
    let json = serde_json::to_vec(value).unwrap_or_default();
    Base64UrlUnpadded::encode_string(&json)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signature, VerifyingKey};
    use serde_json::{Value, json};

    use super::super::key::tests::rfc_8037;
    use super::*;

    fn claims(nonces: &[String]) -> Claims<'_> {
        Claims {
            door: "front",
            subject: "s-4f9a1c",
            id: Uuid::from_u128(1),
            issued_ms: 1_777_619_702_999,
            seq: 42,
            boot: Uuid::from_u128(2),
            nonces,
        }
    }

    fn parts(grant: &SignedGrant) -> (Value, Value, Vec<u8>) {
        let parts: Vec<Vec<u8>> = grant
            .as_str()
            .split('.')
            .map(|part| Base64UrlUnpadded::decode_vec(part).unwrap())
            .collect();
        let [header, payload, signature] = parts.try_into().unwrap();
        (
            serde_json::from_slice(&header).unwrap(),
            serde_json::from_slice(&payload).unwrap(),
            signature,
        )
    }

    #[test]
    fn a_grant_says_what_was_agreed_and_is_signed() {
        let key = rfc_8037();
        let grant = SignedGrant::sign(&key, &claims(&[]));
        let (header, payload, signature) = parts(&grant);
        let kid = key.public().thumbprint().as_str();
        assert_eq!(header, json!({"alg": "EdDSA", "kid": kid, "typ": "deepid-grant+jwt"}));
        assert_eq!(
            payload,
            json!({
                "iss": "front", "sub": "s-4f9a1c",
                "jti": "00000000-0000-0000-0000-000000000001",
                "iat": 1_777_619_702, "exp": 1_777_619_707, "seq": 42,
                "boot": "00000000-0000-0000-0000-000000000002",
            })
        );
        let (signed, _) = grant.as_str().rsplit_once('.').unwrap();
        let public = Base64UrlUnpadded::decode_vec(&key.public().x()).unwrap();
        let public = VerifyingKey::from_bytes(&public.try_into().unwrap()).unwrap();
        let signature = Signature::from_slice(&signature).unwrap();
        public.verify_strict(signed.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn a_nonce_is_an_array_also_alone_and_a_time_before_1970_is_1970() {
        let nonces = ["0123456789abcdef".to_owned()];
        let grant = SignedGrant::sign(&rfc_8037(), &Claims { issued_ms: -1, ..claims(&nonces) });
        let (_, payload, _) = parts(&grant);
        assert_eq!(payload["nonce"], json!(["0123456789abcdef"]));
        assert_eq!((&payload["iat"], &payload["exp"]), (&json!(0), &json!(5)));
    }

    #[test]
    fn no_grant_is_larger_than_a_listener_takes() {
        let nonces: Vec<String> = (0..8).map(|n| n.to_string().repeat(43)).collect();
        let key = rfc_8037();
        let (_, all, _) = parts(&SignedGrant::sign(&key, &claims(&nonces)));
        assert_eq!(
            all["nonce"].as_array().unwrap().len(),
            8,
            "there is room for as many as may be"
        );
        let (door, subject) = ("d".repeat(32), format!("s-{}", "f".repeat(16)));
        let longest = Claims {
            door: &door,
            subject: &subject,
            issued_ms: i64::MAX,
            seq: u64::MAX,
            ..claims(&nonces)
        };
        let grant = SignedGrant::sign(&key, &longest);
        assert!(grant.as_str().len() <= GRANT_BYTES_MAX && grant.as_str().is_ascii());
        let (_, payload, _) = parts(&grant);
        assert!(payload["nonce"].as_array().unwrap().len() >= 7, "{payload}");
    }

    #[test]
    fn what_has_not_the_form_of_a_grant_is_told_without_a_key() {
        let good = SignedGrant::sign(&rfc_8037(), &claims(&[])).as_str().to_owned();
        assert!(has_form_of_grant(good.as_bytes()));
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let other = Base64UrlUnpadded::encode_string(br#"{"alg":"none","typ":"deepid-grant+jwt"}"#);
        for wrong in [
            String::new(),
            "{}".to_owned(),
            "..".to_owned(),
            signed.to_owned(),
            format!("{signed}."),
            format!("{good}A"),
            format!("{good}.{signature}"),
            format!("{good}="),
            format!("{other}.e30.{signature}"),
            "A".repeat(GRANT_BYTES_MAX + 1),
        ] {
            assert!(!has_form_of_grant(wrong.as_bytes()), "{wrong}");
        }
        assert!(!has_form_of_grant(&[0xff; 90]));
    }
}
