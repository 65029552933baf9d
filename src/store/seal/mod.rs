//! Names and references as they lie on the disk: sealed, each for the one row that it belongs to.
//!
//! ```text
//! store key (a file, a credential) ── wraps ── data key of each subject ─┬─ name
//!                                                                        ├─ PINs, as argon2id made them
//!                                                                        └─ each reference
//! ```
//!
//! In: plain values with what they belong to. Out: sealed bytes, and back; what was altered, or stands in
//! another row than its own, does not open. Invariants: what is sealed is bound to its purpose, subject
//! and row, a reference also to its model, procedure and quality; a data key is never stored but wrapped;
//! keys are wiped from memory when they are dropped, and stand in no error, log or `Debug`.
//! Deliberately absent: who may pass, and records, which are not sealed.
//!
//! Sources: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha, RFC 8439), as the `chacha20poly1305` crate has
//! it; its nonces are long enough to be drawn at random.

mod place;
mod plain;
mod remains;
mod rotate;
mod vault;

use std::fmt;

use chacha20poly1305::aead::AeadInPlace as _;
use chacha20poly1305::{Key, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use crate::compare::SubjectId;
pub use place::{Found, SEAL_CREDENTIAL, SealPlace, SealTrouble};
pub(super) use plain::Plain;
pub use remains::{Remains, SHORTEST_NAME};
pub(super) use vault::Vault;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// What sealing adds.
pub(super) const ADDED_BYTES: usize = NONCE_BYTES + TAG_BYTES;
/// A name has up to 64 characters of up to four bytes. All are sealed at this length, and so are two PHC
/// strings of PINs.
const NAME_BYTES: usize = 256;
/// What the store key's name has of its hash.
const NAME_OF_KEY_BYTES: usize = 16;

/// What is sealed does not open: another key, another row, or other bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not open: altered, from another row, or sealed by another key")]
pub(super) struct DoesNotOpen;

/// Why something was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum NotSealed {
    /// The system gives no random numbers.
    #[error("the system gives no random numbers ({0})")]
    NoRandomness(getrandom::Error),
    /// It is longer than the cipher takes.
    #[error("it is too long to be sealed")]
    TooLong,
}

/// The key by which a database's data keys are wrapped.
#[derive(Clone)]
pub struct StoreKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    name: SealName,
}

/// A store key's name: the beginning of a hash of it, from which it cannot be known.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SealName(String);

/// The key of one subject.
pub(super) struct DataKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    cipher: XChaCha20Poly1305,
}

/// The row of a reference: what its numbers are bound to.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReferenceRow<'a> {
    pub id: i64,
    pub subject: &'a str,
    pub model: &'a str,
    pub procedure: Option<&'a str>,
    pub quality: f64,
    pub source: &'a str,
    pub created_ms: i64,
}

impl StoreKey {
    /// A new key, of the system's randomness.
    ///
    /// # Errors
    /// The system has none.
    pub fn generate() -> Result<Self, NotSealed> {
        Ok(Self::of(random()?))
    }

    fn of(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"deepid-edge/store-key-name/1");
        hash.update(bytes.as_slice());
        let digest = hash.finalize();
        let name = hex(digest.iter().take(NAME_OF_KEY_BYTES).copied());
        Self { bytes, name: SealName(name) }
    }

    /// The key in a file's bytes: 64 hexadecimal digits, with or without blanks around them.
    #[must_use]
    pub fn from_text(text: &[u8]) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        let text = text.trim_ascii();
        if text.len() != 2 * KEY_BYTES {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
            *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
        }
        Some(Self::of(bytes))
    }

    /// The key as its file holds it.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES + 1));
        for byte in self.bytes.iter() {
            text.push(digit(byte >> 4));
            text.push(digit(byte & 15));
        }
        text.push('\n');
        text
    }

    /// Its name, by which a database says what it was sealed by.
    #[must_use]
    pub const fn name(&self) -> &SealName {
        &self.name
    }

    /// A new data key, and how it lies in the row of `subject`.
    pub(super) fn new_data_key(
        &self,
        subject: &SubjectId,
    ) -> Result<(DataKey, Vec<u8>), NotSealed> {
        let key = DataKey::of(random()?);
        let wrapped = self.wrap(subject.as_str(), &key)?;
        Ok((key, wrapped))
    }

    /// The index of the references of `of`, sealed.
    pub(super) fn seal_index(&self, of: &str, bytes: &[u8]) -> Result<Vec<u8>, NotSealed> {
        seal(&cipher(&self.bytes), bytes, &bound("index", &[of.as_bytes()]))
    }

    pub(super) fn open_index(&self, of: &str, sealed: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        let mut plain = open(&cipher(&self.bytes), sealed, &bound("index", &[of.as_bytes()]))?;
        Ok(std::mem::take(&mut plain))
    }

    pub(super) fn wrap(&self, subject: &str, key: &DataKey) -> Result<Vec<u8>, NotSealed> {
        seal(&cipher(&self.bytes), key.bytes.as_ref(), &bound("data key", &[subject.as_bytes()]))
    }

    pub(super) fn unwrap(&self, subject: &str, wrapped: &[u8]) -> Result<DataKey, DoesNotOpen> {
        let to = bound("data key", &[subject.as_bytes()]);
        let opened = open(&cipher(&self.bytes), wrapped, &to)?;
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        if opened.len() != KEY_BYTES {
            return Err(DoesNotOpen);
        }
        bytes.copy_from_slice(&opened);
        Ok(DataKey::of(bytes))
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKey({})", self.name)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

impl SealName {
    /// It, as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SealName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for SealName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if digits && text.len() == 2 * NAME_OF_KEY_BYTES {
            Ok(Self(text))
        } else {
            Err("32 hexadecimal digits are the name of a store key")
        }
    }
}

impl From<SealName> for String {
    fn from(name: SealName) -> Self {
        name.0
    }
}

impl DataKey {
    fn of(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let cipher = cipher(&bytes);
        Self { bytes, cipher }
    }

    /// The name of `subject`, sealed. All names have one length.
    pub(super) fn seal_name(&self, subject: &str, name: &str) -> Result<Vec<u8>, NotSealed> {
        self.seal_text("name", subject, name)
    }

    pub(super) fn open_name(&self, subject: &str, sealed: &[u8]) -> Result<String, DoesNotOpen> {
        self.open_text("name", subject, sealed)
    }

    /// What was made of the PINs of `subject`, sealed. All have one length, too.
    pub(super) fn seal_pins(&self, subject: &str, pins: &str) -> Result<Vec<u8>, NotSealed> {
        self.seal_text("pins", subject, pins)
    }

    pub(super) fn open_pins(
        &self,
        subject: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<String>, DoesNotOpen> {
        self.open_text("pins", subject, sealed).map(Zeroizing::new)
    }

    fn seal_text(&self, purpose: &str, subject: &str, text: &str) -> Result<Vec<u8>, NotSealed> {
        if text.len() > NAME_BYTES {
            return Err(NotSealed::TooLong);
        }
        let mut padded = Zeroizing::new([0; 2 + NAME_BYTES]);
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes();
        for (into, from) in padded.iter_mut().zip(length.iter().chain(text.as_bytes())) {
            *into = *from;
        }
        seal(&self.cipher, padded.as_ref(), &bound(purpose, &[subject.as_bytes()]))
    }

    fn open_text(
        &self,
        purpose: &str,
        subject: &str,
        sealed: &[u8],
    ) -> Result<String, DoesNotOpen> {
        let opened = open(&self.cipher, sealed, &bound(purpose, &[subject.as_bytes()]))?;
        let (length, rest) = opened.split_first_chunk().ok_or(DoesNotOpen)?;
        let text = rest.get(..usize::from(u16::from_le_bytes(*length))).ok_or(DoesNotOpen)?;
        std::str::from_utf8(text).map(str::to_owned).map_err(|_| DoesNotOpen)
    }

    /// Numbers, as they lie in `row`.
    pub(super) fn seal_numbers(
        &self,
        row: &ReferenceRow<'_>,
        bytes: &[u8],
    ) -> Result<Vec<u8>, NotSealed> {
        seal(&self.cipher, bytes, &row.bound())
    }

    pub(super) fn open_numbers(
        &self,
        row: &ReferenceRow<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        open(&self.cipher, sealed, &row.bound())
    }
}

impl ReferenceRow<'_> {
    fn bound(&self) -> Vec<u8> {
        // SQLite has no negative zero.
        let quality = self.quality + 0.0;
        let parts: [&[u8]; 7] = [
            self.subject.as_bytes(),
            &self.id.to_le_bytes(),
            self.model.as_bytes(),
            self.procedure.unwrap_or_default().as_bytes(),
            &quality.to_le_bytes(),
            self.source.as_bytes(),
            &self.created_ms.to_le_bytes(),
        ];
        bound("reference", &parts)
    }
}

/// What something sealed is bound to: each part behind its length, so that no two lists are the same.
fn bound(purpose: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"deepid-edge/1".to_vec();
    for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

fn cipher(bytes: &[u8; KEY_BYTES]) -> XChaCha20Poly1305 {
    let mut key = Key::from(*bytes);
    let cipher = XChaCha20Poly1305::new(&key);
    key.as_mut_slice().zeroize();
    cipher
}

/// Nonce, sealed bytes, tag.
fn seal(cipher: &XChaCha20Poly1305, plain: &[u8], to: &[u8]) -> Result<Vec<u8>, NotSealed> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(NotSealed::NoRandomness)?;
    // Of the size that is needed from the beginning: a vector that grows leaves copies behind.
    let mut sealed = Vec::with_capacity(plain.len() + ADDED_BYTES);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let (_, body) = sealed.split_at_mut(NONCE_BYTES);
    let tag = cipher
        .encrypt_in_place_detached(&XNonce::from(nonce), to, body)
        .map_err(|_| NotSealed::TooLong)?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

fn open(
    cipher: &XChaCha20Poly1305,
    sealed: &[u8],
    to: &[u8],
) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(DoesNotOpen)?;
    let (body, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(DoesNotOpen)?;
    let mut plain = Zeroizing::new(body.to_vec());
    cipher
        .decrypt_in_place_detached(&XNonce::from(*nonce), to, &mut plain, &Tag::from(*tag))
        .map_err(|_| DoesNotOpen)?;
    Ok(plain)
}

fn random() -> Result<Zeroizing<[u8; KEY_BYTES]>, NotSealed> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(bytes.as_mut()).map_err(NotSealed::NoRandomness)?;
    Ok(bytes)
}

fn hex(bytes: impl Iterator<Item = u8>) -> String {
    bytes.flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(id: &str) -> SubjectId {
        SubjectId::new(id).unwrap()
    }

    const ROW: ReferenceRow<'static> = ReferenceRow {
        id: 5,
        subject: "s-4f9a1c",
        model: "m",
        procedure: Some("aa"),
        quality: 0.5,
        source: "image",
        created_ms: 7,
    };

    #[test]
    fn a_key_is_read_as_it_is_written_and_shown_nowhere() {
        let key = StoreKey::generate().unwrap();
        let text = key.to_text();
        let again = StoreKey::from_text(text.as_bytes()).unwrap();
        assert_eq!(again.bytes, key.bytes);
        assert_eq!(again.name(), key.name());
        assert_eq!(SealName::try_from(key.name().to_string()).unwrap(), *key.name());
        let upper = text.trim().to_uppercase();
        assert_eq!(StoreKey::from_text(upper.as_bytes()).unwrap().name(), key.name());
        for other in ["", "geheim", &text[1..], &"g".repeat(64), &"é".repeat(32)] {
            assert!(StoreKey::from_text(other.as_bytes()).is_none(), "{other}");
        }
        let shown = format!("{key:?}");
        assert!(!shown.contains(text.trim()) && shown.contains(key.name().as_str()), "{shown}");
        assert_ne!(StoreKey::generate().unwrap().name(), key.name());
    }

    #[test]
    fn what_is_sealed_opens_for_its_own_place_alone() {
        let (store, other) = (StoreKey::generate().unwrap(), StoreKey::generate().unwrap());
        let (ada, bob) = (subject("s-4f9a1c"), subject("s-4f9a1d"));
        let (key, wrapped) = store.new_data_key(&ada).unwrap();
        assert_eq!(store.unwrap(ada.as_str(), &wrapped).unwrap().bytes, key.bytes);
        assert!(store.unwrap(bob.as_str(), &wrapped).is_err(), "another subject");
        assert!(other.unwrap(ada.as_str(), &wrapped).is_err(), "another key");

        let name = key.seal_name(ada.as_str(), "Ada").unwrap();
        assert_eq!(key.open_name(ada.as_str(), &name).unwrap(), "Ada");
        let longest = "\u{1f3e0}".repeat(64);
        let long = key.seal_name(ada.as_str(), &longest).unwrap();
        assert_eq!(key.open_name(ada.as_str(), &long).unwrap(), longest);
        assert_eq!(long.len(), name.len(), "the length says nothing");
        assert!(key.open_name(bob.as_str(), &name).is_err());

        let numbers = key.seal_numbers(&ROW, &[1, 2, 3, 4]).unwrap();
        assert_eq!(key.open_numbers(&ROW, &numbers).unwrap().as_slice(), [1, 2, 3, 4]);
        assert_ne!(key.seal_numbers(&ROW, &[1, 2, 3, 4]).unwrap(), numbers, "a nonce of its own");
        for moved in [
            ReferenceRow { id: 6, ..ROW },
            ReferenceRow { subject: bob.as_str(), ..ROW },
            ReferenceRow { model: "ma", procedure: Some("a"), ..ROW },
            ReferenceRow { procedure: None, ..ROW },
            ReferenceRow { quality: 1.0, ..ROW },
            ReferenceRow { source: "camera", ..ROW },
            ReferenceRow { created_ms: 8, ..ROW },
        ] {
            assert!(key.open_numbers(&moved, &numbers).is_err(), "{moved:?}");
        }
        assert!(key.open_name(ada.as_str(), &numbers).is_err(), "another purpose");
        for at in 0..numbers.len() {
            let mut altered = numbers.clone();
            altered[at] ^= 1;
            assert!(key.open_numbers(&ROW, &altered).is_err(), "byte {at}");
            assert!(key.open_numbers(&ROW, &numbers[..at]).is_err(), "{at} bytes");
        }
        let zero = ReferenceRow { quality: 0.0, ..ROW };
        let sealed = key.seal_numbers(&ReferenceRow { quality: -0.0, ..ROW }, &[0; 4]).unwrap();
        assert!(key.open_numbers(&zero, &sealed).is_ok(), "as SQLite gives it back");
    }
}
