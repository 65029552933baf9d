//! Passwords and tokens: made, hashed, compared.
//!
//! In: what somebody typed (PINs too), random numbers of the kernel. Out: PHC strings of argon2id; tokens of 256
//! bits with their SHA-256. Parameters: 7 MiB, 5 passes, 1 lane, one of the settings that the OWASP
//! Password Storage Cheat Sheet lists as equally strong; the one with the least memory, because a board
//! has little. Invariants: no error and no `Debug` shows a password; a hash that cannot be read matches
//! nothing. A token is random, so that a plain hash of it can be kept (there is nothing to guess).

use argon2::password_hash::{Output, PasswordHash, PasswordHasher as _, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64ct::{Base64UrlUnpadded, Encoding as _};

use crate::inference::sha256_hex;
use crate::policy::Pin;

/// The least length of a password, in characters.
pub const CHARACTERS_MIN: usize = 12;
/// The greatest length that is hashed, in bytes.
pub const BYTES_MAX: usize = 1024;

const MEMORY_KIB: u32 = 7 * 1024;
const PASSES: u32 = 5;
const LANES: u32 = 1;
/// What an account that is not there is compared with, so that it takes as long: no password gives it.
const NOBODY: &str = "$argon2id$v=19$m=7168,t=5,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why there is no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short, with its length.
    #[error("a password of {0} characters, {CHARACTERS_MIN} are the least")]
    TooShort(usize),
    /// Too long.
    #[error("a password of more than {BYTES_MAX} bytes")]
    TooLong,
    /// The system gave no random numbers, or no memory.
    #[error("the password cannot be hashed: {0}")]
    System(String),
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| PasswordError::System(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn random<const N: usize>() -> Result<[u8; N], PasswordError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| PasswordError::System(error.to_string()))?;
    Ok(bytes)
}

/// The PHC string of a new password.
///
/// # Errors
/// [`PasswordError`]: it is too short or too long, or the system refused.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    let characters = password.chars().count();
    if characters < CHARACTERS_MIN {
        return Err(PasswordError::TooShort(characters));
    }
    if password.len() > BYTES_MAX {
        return Err(PasswordError::TooLong);
    }
    made_of(password)
}

/// The PHC string of a new PIN.
///
/// # Errors
/// [`PasswordError::System`]: the system refused.
pub fn hash_pin(pin: &Pin) -> Result<String, PasswordError> {
    made_of(pin.digits())
}

fn made_of(text: &str) -> Result<String, PasswordError> {
    let system = |error: argon2::password_hash::Error| PasswordError::System(error.to_string());
    let salt = SaltString::encode_b64(&random::<16>()?).map_err(system)?;
    let hash = argon2()?.hash_password(text.as_bytes(), &salt).map_err(system)?;
    Ok(hash.to_string())
}

/// Compares passwords with hashes, one after another, in the same memory: what is given back to the
/// system's allocator after each would stay with each thread that ever did it.
#[derive(Default)]
pub struct Verifier(Vec<Block>);

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(…)")
    }
}

impl Verifier {
    /// Whether `password` gives `hash`; takes as long where there is no account.
    #[must_use]
    pub fn verify(&mut self, password: &str, hash: Option<&str>) -> bool {
        password.len() <= BYTES_MAX
            && self.gives(password, hash.unwrap_or(NOBODY)) == Some(true)
            && hash.is_some()
    }

    fn gives(&mut self, password: &str, hash: &str) -> Option<bool> {
        let parsed = PasswordHash::new(hash).ok()?;
        let params = Params::try_from(&parsed).ok()?;
        // Another one would be no hash of ours, and could ask for any amount of memory.
        if params.m_cost() > MEMORY_KIB || params.t_cost() > 2 * PASSES {
            return None;
        }
        let mut salt = [0; 64];
        let salt = parsed.salt?.decode_b64(&mut salt).ok()?;
        let wanted = parsed.hash?;
        self.0.resize(params.block_count(), Block::default());
        let mut found = [0; 64];
        let found = found.get_mut(..wanted.len())?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(password.as_bytes(), salt, found, &mut self.0)
            .ok()?;
        // Compared in a time that does not depend on where they differ.
        Some(Output::new(found).ok()? == wanted)
    }
}

/// A new token: 256 random bits as 43 characters of base64url.
///
/// # Errors
/// [`PasswordError::System`]: the kernel gave no random numbers.
pub fn token() -> Result<String, PasswordError> {
    Ok(Base64UrlUnpadded::encode_string(&random::<32>()?))
}

/// What is kept of a token: its SHA-256 in hexadecimal.
#[must_use]
pub fn token_hash(token: &str) -> String {
    sha256_hex(token.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_own_hash_alone() {
        let stored = hash("correct horse battery").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=7168,t=5,p=1$"), "{stored}");
        assert_ne!(stored, hash("correct horse battery").unwrap(), "salted");
        let mut verifier = Verifier::default();
        assert!(verifier.verify("correct horse battery", Some(&stored)));
        assert!(!verifier.verify("correct horse batterz", Some(&stored)));
        assert!(!verifier.verify("correct horse battery", None));
        assert!(!verifier.verify("correct horse battery", Some("$argon2id$nonsense")));
        assert!(verifier.verify("correct horse battery", Some(&stored)), "in the same memory");
        let greedy = stored.replace("m=7168", "m=4194304");
        assert!(!verifier.verify("correct horse battery", Some(&greedy)));
        assert_eq!(verifier.gives("x", NOBODY), Some(false), "it is compared with in earnest");
    }

    #[test]
    fn short_and_endless_passwords_are_refused() {
        assert_eq!(hash("elevenchars"), Err(PasswordError::TooShort(11)));
        assert!(hash("äöüäöüäöüäöü").is_ok(), "characters count, not bytes");
        assert_eq!(hash(&"x".repeat(BYTES_MAX + 1)), Err(PasswordError::TooLong));
    }

    #[test]
    fn tokens_differ_and_have_256_bits() {
        let (one, other) = (token().unwrap(), token().unwrap());
        assert_ne!(one, other);
        assert_eq!((one.len(), token_hash(&one).len()), (43, 64));
    }
}
