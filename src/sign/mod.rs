//! The door's own key, and what is said with it: a grant that can be trusted wherever it is read; and
//! what others say to the door with theirs.
//!
//! In: a key file that nobody else may read, facts of a recorded grant, nonces of listeners; a signed
//! request, and the public keys of those who may make one. Out: a [`SignedGrant`], the public part of
//! the key in the forms that others read, and for a key that cannot be used a [`KeyTrouble`] with its
//! remedy; what is asked, and by whose key.
//!
//! Invariants: a key is made where there was none, and never in the place of one that is missing or
//! spoiled; nothing of a private key is in an error, a log or a `Debug`; a nonce goes into one grant.
//! Deliberately absent: MQTT, the database, and verifying grants, which is the listener's.
//!
//! Sources: RFC 8032 (Ed25519), 8037 (its JWK and JWS), 7515 (JWS), 7638 (thumbprint), 8410 (PKCS#8).

mod file;
mod grant;
pub mod guarded;
mod key;
mod listed;
mod nonces;
mod request;

pub use file::{CREDENTIAL, KeyPlace, KeyTrouble, Loaded, PlaceKind};
pub use grant::{Claims, GRANT_BYTES_MAX, LIFETIME_S, SignedGrant, has_form_of_grant};
pub use key::{GrantKey, InvalidThumbprint, Jwk, KeyProblem, PublicKey, Thumbprint};
pub use listed::InvalidKeys;
pub use nonces::{LISTENERS_MAX, Nonces};
pub use request::{
    NONCE_LIFE, REQUEST_BYTES_MAX, RequestFault, RequestNonces, VerifiedRequest, sign_request,
    verify_request,
};

/// Whether the door signs its grants, and by which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignSettings {
    /// Where the key lies; `None`: grants are not signed.
    pub place: Option<KeyPlace>,
}

/// How signing is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum SigningState {
    /// Grants are not to be signed (`sign.grants`).
    #[default]
    Off,
    /// Grants are signed.
    Ok,
    /// The key by which this door has signed is not there.
    Missing,
    /// Another key is in its place.
    Other,
    /// The key cannot be used: exposed, damaged, unreadable, or it cannot be made.
    Unusable,
}

impl SigningState {
    /// The word for it on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Other => "other",
            Self::Unusable => "unusable",
        }
    }
}
