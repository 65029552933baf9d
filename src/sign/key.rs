//! An Ed25519 key in the forms that others read: PKCS#8 in PEM, JWK, thumbprint.
//!
//! In: a file's text, or the system's randomness. Out: [`GrantKey`], which signs; [`PublicKey`], which
//! may be shown to anybody. Invariants: the private part is erased from memory when it is dropped and
//! has no `Debug`; a public key that verifies anything (of small order) is refused, and so is a
//! second way to write one.
//! Sources: RFC 8410 and 5958 for PKCS#8, RFC 8037 for the JWK, RFC 7638 for its thumbprint.

use std::fmt;

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// PKCS#8 of an Ed25519 key before its 32 bytes, as OpenSSL writes it.
const PKCS8: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
/// The same where the public key stands behind, as ring and others write it.
const PKCS8_WITH_PUBLIC: [u8; 16] =
    *b"\x30\x51\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
/// What stands between the two.
const BEFORE_PUBLIC: [u8; 3] = *b"\x81\x21\x00";
/// `SubjectPublicKeyInfo` of an Ed25519 key before its 32 bytes.
const SPKI: [u8; 12] = *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// Characters of 32 bytes in base64url without padding.
const THUMBPRINT_CHARACTERS: usize = 43;

/// Why a text is no key. The texts stand after the file's name; what to do is said by who asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// Nothing is in it.
    #[error("it is empty")]
    Empty,
    /// No PEM.
    #[error("it is no PEM: its first line should be '-----BEGIN {0}-----'")]
    NotPem(&'static str),
    /// PEM that is cut short or no base64.
    #[error("it is damaged: its PEM is cut short or is no base64")]
    Damaged,
    /// Encrypted, and nobody is there to type its passphrase.
    #[error("it is encrypted, and nobody is there to type its passphrase")]
    Encrypted,
    /// PEM of something else.
    #[error("it holds no {0}")]
    Holds(&'static str),
    /// A key of another kind.
    #[error("it is no Ed25519 key")]
    OtherKind,
    /// The public key beside the private one is of another key, or is none.
    #[error("it is no key: its public part does not belong to its private one, or is no point")]
    Torn,
}

/// The door's key.
pub struct GrantKey {
    signing: SigningKey,
    public: PublicKey,
}

/// The part of it that anybody may have.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    bytes: [u8; 32],
    thumbprint: Thumbprint,
}

/// The name of a key: SHA-256 over its JWK, in base64url (RFC 7638).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Thumbprint(String);

/// A text that is no thumbprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no fingerprint: it must be 43 characters of A-Z, a-z, 0-9, '-' and '_'")]
pub struct InvalidThumbprint(pub String);

/// A public key as JSON (RFC 8037).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// The key, base64url.
    pub x: String,
    /// Its thumbprint.
    pub kid: Thumbprint,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// `EdDSA`.
    pub alg: String,
}

impl fmt::Debug for GrantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.thumbprint)
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl GrantKey {
    /// A new key, of the system's randomness.
    ///
    /// # Errors
    /// The system has none.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut())?;
        Ok(Self::of_seed(&seed))
    }

    /// The key of these 32 bytes.
    #[must_use]
    pub fn of_seed(seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let public = PublicKey::of(&signing.verifying_key());
        Self { signing, public }
    }

    /// The key in a PKCS#8 file's text.
    ///
    /// # Errors
    /// [`KeyProblem`]: there is none in it.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyProblem> {
        let der = Zeroizing::new(section(text, SectionKind::PrivateKey, "PRIVATE KEY")?);
        if let Some(seed) = der.strip_prefix(&PKCS8).and_then(|seed| seed.try_into().ok()) {
            return Ok(Self::of_seed(seed));
        }
        let Some((seed, behind)) =
            der.strip_prefix(&PKCS8_WITH_PUBLIC).and_then(<[u8]>::split_first_chunk::<32>)
        else {
            return Err(KeyProblem::OtherKind);
        };
        let key = Self::of_seed(seed);
        let public = behind.strip_prefix(&BEFORE_PUBLIC);
        if public == Some(key.public.bytes.as_slice()) { Ok(key) } else { Err(KeyProblem::Torn) }
    }

    /// The key as PKCS#8 in PEM. It is erased from memory when it is dropped.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        let seed = Zeroizing::new(self.signing.to_bytes());
        let der = Zeroizing::new([PKCS8.as_slice(), seed.as_slice()].concat());
        let text = Zeroizing::new(Base64::encode_string(&der));
        // Of the size that is needed from the beginning: a text that grows leaves copies behind.
        let mut pem = Zeroizing::new(String::with_capacity(128));
        pem.push_str("-----BEGIN PRIVATE KEY-----\n");
        pem.push_str(&text);
        pem.push_str("\n-----END PRIVATE KEY-----\n");
        pem
    }

    /// The public part.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature of `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }
}

impl PublicKey {
    fn of(key: &VerifyingKey) -> Self {
        let bytes = key.to_bytes();
        let x = Base64UrlUnpadded::encode_string(&bytes);
        // RFC 7638: the required members in the order of their names, without a blank.
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let digest = Sha256::digest(canonical.as_bytes());
        Self { bytes, thumbprint: Thumbprint(Base64UrlUnpadded::encode_string(&digest)) }
    }

    /// The key of these 32 bytes.
    ///
    /// # Errors
    /// [`KeyProblem::Torn`] for what is no point, or one of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyProblem> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyProblem::Torn)?;
        // A second way to write one point would be a second name for one key.
        let canonical = key.to_edwards().compress().as_bytes() == bytes;
        if canonical && !key.is_weak() { Ok(Self::of(&key)) } else { Err(KeyProblem::Torn) }
    }

    /// The key whose JWK has this `x`.
    ///
    /// # Errors
    /// [`KeyProblem::Torn`].
    pub fn from_x(x: &str) -> Result<Self, KeyProblem> {
        let bytes = Base64UrlUnpadded::decode_vec(x).map_err(|_| KeyProblem::Torn)?;
        Self::from_bytes(&as_32(&bytes).ok_or(KeyProblem::Torn)?)
    }

    /// The key in the text of a file with `PUBLIC KEY` in PEM.
    ///
    /// # Errors
    /// [`KeyProblem`]: there is none in it.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyProblem> {
        let der = section(text, SectionKind::PublicKey, "PUBLIC KEY")?;
        let bytes = der.strip_prefix(&SPKI).and_then(as_32).ok_or(KeyProblem::OtherKind)?;
        Self::from_bytes(&bytes)
    }

    /// Whether it is this key that has signed `message`.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = VerifyingKey::from_bytes(&self.bytes);
        key.and_then(|key| key.verify_strict(message, &Signature::from_slice(signature)?)).is_ok()
    }

    /// The key as `PUBLIC KEY` in PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let text = Base64::encode_string(&[SPKI.as_slice(), &self.bytes].concat());
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }

    /// The `x` of its JWK.
    #[must_use]
    pub fn x(&self) -> String {
        Base64UrlUnpadded::encode_string(&self.bytes)
    }

    /// Its JWK.
    #[must_use]
    pub fn jwk(&self) -> Jwk {
        Jwk {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: self.x(),
            kid: self.thumbprint.clone(),
            usage: "sig".to_owned(),
            alg: "EdDSA".to_owned(),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }
}

impl Thumbprint {
    /// The thumbprint as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Thumbprint {
    type Error = InvalidThumbprint;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let fits = text.len() == THUMBPRINT_CHARACTERS && text.bytes().all(plain);
        if fits { Ok(Self(text)) } else { Err(InvalidThumbprint(text)) }
    }
}

impl From<Thumbprint> for String {
    fn from(thumbprint: Thumbprint) -> Self {
        thumbprint.0
    }
}

fn as_32(bytes: &[u8]) -> Option<[u8; 32]> {
    bytes.try_into().ok()
}

/// The bytes of the one section of this kind in a PEM text.
fn section(text: &[u8], wanted: SectionKind, label: &'static str) -> Result<Vec<u8>, KeyProblem> {
    if text.trim_ascii().is_empty() {
        return Err(KeyProblem::Empty);
    }
    let has = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    if has(b"ENCRYPTED") {
        return Err(KeyProblem::Encrypted);
    }
    if !has(b"-----BEGIN ") {
        return Err(KeyProblem::NotPem(label));
    }
    let mut found = None;
    for one in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        let (kind, der) = one.map_err(|_| KeyProblem::Damaged)?;
        if kind == wanted {
            found = Some(der);
        }
    }
    found.ok_or(KeyProblem::Holds(label))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// RFC 8037, appendix A.1: the private key of its examples.
    pub(in crate::sign) fn rfc_8037() -> GrantKey {
        let seed = Base64UrlUnpadded::decode_vec("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        GrantKey::of_seed(&as_32(&seed.unwrap()).unwrap())
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        let key = rfc_8037();
        assert_eq!(key.public().x(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        let wanted = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        assert_eq!(key.public().thumbprint().as_str(), wanted);
        let jwk = serde_json::to_value(key.public().jwk()).unwrap();
        assert_eq!(jwk["kty"], "OKP");
        assert_eq!(jwk["use"], "sig");
        assert_eq!(PublicKey::from_x(&key.public().x()).as_ref(), Ok(key.public()));
    }

    #[test]
    fn a_signature_is_that_of_rfc_8037() {
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let wanted = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let signature = rfc_8037().sign(message);
        assert_eq!(Base64UrlUnpadded::encode_string(&signature), wanted);
        assert!(rfc_8037().public().has_signed(message, &signature));
        assert!(!rfc_8037().public().has_signed(b"another", &signature));
        assert!(!rfc_8037().public().has_signed(message, &[]));
    }

    #[test]
    fn a_key_survives_its_file_in_both_forms_that_programs_write() {
        let key = GrantKey::generate().unwrap();
        let again = GrantKey::from_pem(key.to_pem().as_bytes()).unwrap();
        assert_eq!(again.public(), key.public());
        let public = PublicKey::from_pem(key.public().to_pem().as_bytes());
        assert_eq!(public.as_ref(), Ok(key.public()));
        let with_public = |public: &[u8]| {
            let seed = key.signing.to_bytes();
            let der = [&PKCS8_WITH_PUBLIC, seed.as_slice(), &BEFORE_PUBLIC, public].concat();
            let text = Base64::encode_string(&der);
            let (first, second) = text.split_at(64);
            let pem = format!(
                "-----BEGIN PRIVATE KEY-----\n{first}\n{second}\n-----END PRIVATE KEY-----\n"
            );
            GrantKey::from_pem(pem.as_bytes()).map(|key| key.public().clone())
        };
        assert_eq!(with_public(&key.public.bytes).as_ref(), Ok(key.public()));
        assert_eq!(with_public(&[7; 32]), Err(KeyProblem::Torn), "of another key");
        assert_ne!(GrantKey::generate().unwrap().public(), key.public());
    }

    #[test]
    fn what_is_no_key_is_told_by_its_kind() {
        let pem = |label: &str, body: &str| {
            format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
        };
        let good = GrantKey::generate().unwrap();
        let p256 = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";
        let cut = good.to_pem().split_at(60).0.to_owned();
        for (text, problem) in [
            (String::new(), KeyProblem::Empty),
            (" \n".to_owned(), KeyProblem::Empty),
            ("geheim\n".to_owned(), KeyProblem::NotPem("PRIVATE KEY")),
            (cut, KeyProblem::Damaged),
            (pem("PRIVATE KEY", "%%%%"), KeyProblem::Damaged),
            (pem("ENCRYPTED PRIVATE KEY", "MIGHAgEA"), KeyProblem::Encrypted),
            (good.public().to_pem(), KeyProblem::Holds("PRIVATE KEY")),
            (pem("PRIVATE KEY", p256), KeyProblem::OtherKind),
            (pem("PRIVATE KEY", "AAAA"), KeyProblem::OtherKind),
        ] {
            let found = GrantKey::from_pem(text.as_bytes()).map(|key| key.public().clone());
            assert_eq!(found, Err(problem), "{text}");
        }
        let identity = std::array::from_fn(|place| u8::from(place == 0));
        assert_eq!(PublicKey::from_bytes(&identity), Err(KeyProblem::Torn), "of small order");
    }

    #[test]
    fn nothing_of_the_private_key_is_shown() {
        let key = rfc_8037();
        let shown = format!("{key:?}");
        assert!(shown.contains("kPrK_"), "{shown}");
        assert!(!shown.contains("nWGxne") && !shown.contains("157, 97"), "{shown}");
    }
}
