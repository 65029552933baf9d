//! Public keys of another door in a file: PEM, a JWK, or a set of them, as `keys export` writes.
//!
//! In: a file. Out: its keys, in their order; or why it has none that can be trusted. Invariants: a key of
//! another kind, and one whose name is not its own, refuses the whole file. Source: RFC 7517, RFC 8037.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Jwk, KeyProblem, PublicKey};

/// Bytes of a file with public keys.
const BYTES_MAX: u64 = 16 * 1024;

/// Why a file has no keys that can be trusted.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}", path = .path.display())]
pub struct InvalidKeys {
    path: PathBuf,
    what: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Listed {
    Set { keys: Vec<Jwk> },
    One(Jwk),
}

impl PublicKey {
    /// The keys in the file at `path`; at least one.
    ///
    /// # Errors
    /// [`InvalidKeys`].
    pub fn read_all(path: &Path) -> Result<Vec<Self>, InvalidKeys> {
        let wrong = |what: String| InvalidKeys { path: path.to_owned(), what };
        let mut text = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(BYTES_MAX).read_to_end(&mut text))
            .map_err(|error| wrong(error.to_string()))?;
        Self::all_in(&text).map_err(wrong)
    }

    fn all_in(text: &[u8]) -> Result<Vec<Self>, String> {
        let none = || {
            "it is neither a public key in PEM nor a JWK or a set of them, as 'deepid-edge keys export' writes".to_owned()
        };
        if !text.trim_ascii_start().starts_with(b"{") {
            return Ok(vec![Self::from_pem(text).map_err(|_| none())?]);
        }
        let listed: Listed = serde_json::from_slice(text).map_err(|_| none())?;
        let keys = match listed {
            Listed::Set { keys } => keys,
            Listed::One(key) => vec![key],
        };
        if keys.is_empty() {
            return Err("there is no key in it".to_owned());
        }
        keys.iter().map(Self::of_jwk).collect()
    }

    fn of_jwk(jwk: &Jwk) -> Result<Self, String> {
        let wrong = |problem: KeyProblem| format!("the key {}: {problem}", jwk.kid);
        if (jwk.kty.as_str(), jwk.crv.as_str()) != ("OKP", "Ed25519") {
            return Err(wrong(KeyProblem::OtherKind));
        }
        let key = Self::from_x(&jwk.x).map_err(wrong)?;
        if *key.thumbprint() == jwk.kid {
            Ok(key)
        } else {
            Err(format!("the key {}: its fingerprint is {}", jwk.kid, key.thumbprint()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> PublicKey {
        super::super::GrantKey::of_seed(&[seed; 32]).public().clone()
    }

    #[test]
    fn keys_are_read_as_they_are_exported_and_a_false_name_refuses_them_all() {
        let (one, other) = (key(1), key(2));
        let json = |value: &serde_json::Value| PublicKey::all_in(value.to_string().as_bytes());
        let alone = std::slice::from_ref(&one);
        assert_eq!(PublicKey::all_in(one.to_pem().as_bytes()).unwrap(), alone);
        assert_eq!(json(&serde_json::to_value(one.jwk()).unwrap()).unwrap(), alone);
        let set = serde_json::json!({ "keys": [one.jwk(), other.jwk()] });
        assert_eq!(json(&set).unwrap(), [one.clone(), other.clone()]);
        let false_name = Jwk { kid: other.jwk().kid, ..one.jwk() };
        for wrong in [
            serde_json::json!({ "keys": [] }),
            serde_json::json!({ "keys": [other.jwk(), false_name] }),
            serde_json::json!({ "keys": [Jwk { crv: "X25519".to_owned(), ..one.jwk() }] }),
            serde_json::json!({}),
        ] {
            assert!(json(&wrong).is_err(), "{wrong}");
        }
        assert!(PublicKey::all_in(b"").is_err() && PublicKey::all_in(b"\xff{").is_err());
    }
}
