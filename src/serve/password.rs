//! Passwords and tokens: made, hashed, compared.
//!
//! In: what somebody typed, random numbers of the kernel. Out: PHC strings of argon2id; tokens of 256
//! bits with their SHA-256. Parameters: 7 MiB, 5 passes, 1 lane, one of the settings that the OWASP
//! Password Storage Cheat Sheet lists as equally strong; the one with the least memory, because a board
//! has little. Invariants: no error and no `Debug` shows a password; a hash that cannot be read matches
//! nothing. A token is random, so that a plain hash of it can be kept (there is nothing to guess).

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use base64ct::{Base64UrlUnpadded, Encoding as _};

use crate::inference::sha256_hex;

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
    let system = |error: argon2::password_hash::Error| PasswordError::System(error.to_string());
    let salt = SaltString::encode_b64(&random::<16>()?).map_err(system)?;
    let hash = argon2()?.hash_password(password.as_bytes(), &salt).map_err(system)?;
    Ok(hash.to_string())
}

/// Whether `password` gives `hash`; takes as long where there is no account.
#[must_use]
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    if password.len() > BYTES_MAX {
        return false;
    }
    let text = hash.unwrap_or(NOBODY);
    let (Ok(argon2), Ok(parsed)) = (argon2(), PasswordHash::new(text)) else { return false };
    argon2.verify_password(password.as_bytes(), &parsed).is_ok() && hash.is_some()
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
        assert!(verify("correct horse battery", Some(&stored)));
        assert!(!verify("correct horse batterz", Some(&stored)));
        assert!(!verify("correct horse battery", None));
        assert!(!verify("correct horse battery", Some("$argon2id$nonsense")));
        assert!(PasswordHash::new(NOBODY).is_ok(), "it is compared with in earnest");
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
