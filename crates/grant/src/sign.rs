//! Makes grants, for tests and tools: the counterpart of the verifier.
//!
//! In: a seed of 32 bytes, and claims as JSON. Out: the compact form, signed.
//! Deliberately absent: any care for the secret key (where it lies, who may read it, wiping it): the
//! daemon signs with code of its own. Nothing here checks what it signs, so that tests can sign wrong
//! claims.

use alloc::format;
use alloc::string::String;

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::{Signer as _, SigningKey};

use crate::header::{ALGORITHM, TYPE};
use crate::{KeyError, PublicKey};

/// A key that signs.
pub struct Signer {
    key: SigningKey,
    public: PublicKey,
}

impl Signer {
    /// The key that follows from 32 bytes (RFC 8032, section 5.1.5).
    ///
    /// # Errors
    /// None for any seed that exists: a secret key has no public one of small order.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::from_bytes(seed);
        let public = PublicKey::from_bytes(key.verifying_key().as_bytes())?;
        Ok(Self { key, public })
    }

    /// What a listener must be told to trust.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The header of every grant by this key.
    #[must_use]
    pub fn header(&self) -> String {
        let kid = self.public.id();
        format!(r#"{{"alg":"{ALGORITHM}","kid":"{kid}","typ":"{TYPE}"}}"#)
    }

    /// A grant with these claims, a JSON object.
    #[must_use]
    pub fn grant(&self, claims: &str) -> String {
        self.sign(self.header().as_bytes(), claims.as_bytes())
    }

    /// Any header over any payload, signed.
    #[must_use]
    pub fn sign(&self, header: &[u8], payload: &[u8]) -> String {
        let mut message = Base64UrlUnpadded::encode_string(header);
        message.push('.');
        message += &Base64UrlUnpadded::encode_string(payload);
        let signature = self.sign_bytes(message.as_bytes());
        message.push('.');
        message + &Base64UrlUnpadded::encode_string(&signature)
    }

    /// The signature over bytes as they stand.
    #[must_use]
    pub fn sign_bytes(&self, bytes: &[u8]) -> [u8; 64] {
        self.key.sign(bytes).to_bytes()
    }
}
