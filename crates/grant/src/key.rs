//! A public key of a door, and the name under which grants mention it.
//!
//! In: 32 bytes, or the `x` of its JWK (RFC 8037), as an administrator copies them from the door.
//! Out: a key that can verify, with its thumbprint (RFC 7638, SHA-256), which is the `kid`.
//! Always: a key of small order is refused: under one, a signature could fit any message; so is a key
//! whose writing is not canonical, which would have two names.
//! Deliberately absent: keys that come over the network: what a topic says is no reason to trust it.

use core::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

/// Characters of a key's id, and of its `x`.
pub const KEY_ID_CHARS: usize = 43;

/// A public key with its id.
#[derive(Clone)]
pub struct PublicKey {
    key: VerifyingKey,
    id: [u8; KEY_ID_CHARS],
}

/// Why bytes are no key to trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// Not 43 characters of canonical base64url.
    Encoding,
    /// Not the canonical writing of a point of the curve.
    Point,
    /// Of small order: anybody could sign for it.
    SmallOrder,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encoding => "a key is 43 characters of base64url, as 'x' of its JWK",
            Self::Point => "these 32 bytes are no Ed25519 key: copy it again",
            Self::SmallOrder => "a key of small order, for which anybody can sign",
        })
    }
}

impl core::error::Error for KeyError {}

impl PublicKey {
    /// The key that 32 bytes stand for.
    ///
    /// # Errors
    /// [`KeyError::Point`], [`KeyError::SmallOrder`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Point)?;
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::Point);
        }
        if key.is_weak() {
            return Err(KeyError::SmallOrder);
        }
        Ok(Self { key, id: thumbprint(bytes) })
    }

    /// The key whose JWK has this `x`.
    ///
    /// # Errors
    /// [`KeyError::Encoding`], [`KeyError::Point`], [`KeyError::SmallOrder`].
    pub fn from_x(x: &str) -> Result<Self, KeyError> {
        let mut bytes = [0_u8; 32];
        let read = Base64UrlUnpadded::decode(x, &mut bytes).map_err(|_| KeyError::Encoding)?;
        if read.len() != bytes.len() {
            return Err(KeyError::Encoding);
        }
        Self::from_bytes(&bytes)
    }

    /// Its id: the thumbprint of its JWK, 43 characters of base64url.
    #[must_use]
    pub fn id(&self) -> &str {
        // Base64 is ASCII.
        core::str::from_utf8(&self.id).unwrap_or_default()
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether `signature` is this key's over `message`, strictly (RFC 8032, section 5.1.7, without the
    /// cofactor, and neither the key nor R of small order).
    pub(crate) fn signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// SHA-256 over the JWK's required members, in the order of their names, without space (RFC 7638).
fn thumbprint(bytes: &[u8; 32]) -> [u8; KEY_ID_CHARS] {
    let mut text = [0_u8; KEY_ID_CHARS];
    let mut hash = Sha256::new();
    hash.update(br#"{"crv":"Ed25519","kty":"OKP","x":""#);
    hash.update(base64(bytes, &mut text));
    hash.update(br#""}"#);
    base64(&hash.finalize().into(), &mut text);
    text
}

fn base64<'t>(bytes: &[u8; 32], text: &'t mut [u8; KEY_ID_CHARS]) -> &'t [u8] {
    // 32 bytes are 43 characters: there is always room.
    Base64UrlUnpadded::encode(bytes, text).map(str::as_bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        // RFC 8037, appendices A.2 and A.3.
        let key = PublicKey::from_x("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(key.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let refused = |x: &str| PublicKey::from_x(x).unwrap_err();
        assert_eq!(refused(""), KeyError::Encoding);
        assert_eq!(refused("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="), KeyError::Encoding);
        assert_eq!(refused("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp"), KeyError::Encoding);
        // The identity: of small order. 2^255 - 18 is its other writing.
        let mut identity = [0_u8; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(&identity).unwrap_err(), KeyError::SmallOrder);
        let mut other = [0xff_u8; 32];
        other[0] = 0xee;
        other[31] = 0x7f;
        assert_eq!(PublicKey::from_bytes(&other).unwrap_err(), KeyError::Point);
        assert_eq!(PublicKey::from_bytes(&[2; 32]).unwrap_err(), KeyError::Point);
    }
}
