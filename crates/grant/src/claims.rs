//! The claims of a grant, each of its type and in its range.
//!
//! In: the decoded second part, after its signature was proved. Out: [`Claims`], which borrow from it,
//! or why not: not JSON, a claim twice, one missing, one wrong, looked for in this order.
//! Always: claims that are not known are skipped, so that the contract may grow; `sub` has no control
//! character, so that a log line or a C string holds the whole of it.
//! Deliberately absent: what door it is, what time, what nonce, whether it was taken before:
//! `verifier` asks that.

use core::fmt;

use crate::Refusal;
use crate::json::{Array, Object, Text, Value};

/// The fewest characters of a nonce.
pub const NONCE_CHARS_MIN: usize = 16;
/// The most characters of a nonce.
pub const NONCE_CHARS_MAX: usize = 43;
/// The most nonces in one grant.
const NONCES_MAX: usize = 8;
/// The most characters of a subject's pseudonym.
const SUBJECT_CHARS_MAX: usize = 64;
/// The most bytes of it, in UTF-8.
pub(crate) const SUBJECT_BYTES_MAX: usize = SUBJECT_CHARS_MAX * 4;

/// A grant that was verified: who may pass, at which door, by which decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant<'a> {
    /// The door's id (`iss`).
    pub door: &'a str,
    /// The subject's pseudonym (`sub`): 1 to 64 characters, none of them a control character.
    pub subject: &'a str,
    /// The record's id (`jti`), the same as `id` of the message on `access`.
    pub id: Uuid,
    /// The daemon's run (`boot`).
    pub boot: Uuid,
    /// The record's number (`seq`), which grows over the life of the door's database.
    pub seq: u64,
    /// When it was issued (`iat`), in seconds since 1970 by the door's clock.
    pub issued: u64,
    /// Until when it is valid (`exp`), 1 to 5 s after `issued`.
    pub expires: u64,
}

/// A UUID (RFC 9562), written as 36 characters in lower case.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// Its 16 bytes in the order in which they are written.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    fn read(text: Text<'_>) -> Option<Self> {
        let mut bytes = [0_u8; 16];
        let mut letters = text.chars();
        for (place, byte) in bytes.iter_mut().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) && letters.next()? != '-' {
                return None;
            }
            *byte = (half(letters.next()?)? << 4) | half(letters.next()?)?;
        }
        letters.next().is_none().then_some(Self(bytes))
    }
}

/// One hexadecimal digit, in lower case.
fn half(letter: char) -> Option<u8> {
    match letter {
        '0'..='9' | 'a'..='f' => letter.to_digit(16).map(|digit| digit as u8),
        _ => None,
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a grant claims, in the form that the contract demands.
pub(crate) struct Claims<'a> {
    pub(crate) door: Text<'a>,
    pub(crate) subject: Text<'a>,
    pub(crate) id: Uuid,
    pub(crate) boot: Uuid,
    pub(crate) seq: u64,
    pub(crate) issued: u64,
    pub(crate) expires: u64,
    /// 1 to 8 texts that look like nonces, where the claim is there.
    pub(crate) nonces: Option<Array<'a>>,
}

impl<'a> Claims<'a> {
    /// Reads the payload of a grant whose signature was proved.
    ///
    /// # Errors
    /// `Malformed`, `DuplicateClaim`, `MissingClaim`, `WrongClaim`, looked for in this order.
    pub(crate) fn parse(payload: &'a [u8]) -> Result<Self, Refusal> {
        let object = Object::parse(payload).ok_or(Refusal::Malformed)?;
        if object.repeats_a_name() {
            return Err(Refusal::DuplicateClaim);
        }
        let claim =
            |wanted: &str| object.members().find(|(name, _)| name.is(wanted)).map(|(_, v)| v);
        let must = |wanted| claim(wanted).ok_or(Refusal::MissingClaim);
        let (iss, sub, jti, boot) = (must("iss")?, must("sub")?, must("jti")?, must("boot")?);
        let (iat, exp, seq) = (must("iat")?, must("exp")?, must("seq")?);
        let wrong = Refusal::WrongClaim;
        let door = iss.text().filter(|text| is_name(text.chars())).ok_or(wrong)?;
        let subject = sub.text().filter(|&text| is_subject(text)).ok_or(wrong)?;
        let uuid = |value: Value<'_>| value.text().and_then(Uuid::read).ok_or(wrong);
        let whole = |value: Value<'_>| value.integer().ok_or(wrong);
        let (issued, expires) = (whole(iat)?, whole(exp)?);
        if expires <= issued {
            return Err(wrong);
        }
        let nonces = match claim("nonce") {
            Some(value) => Some(value.array().filter(|&all| are_nonces(all)).ok_or(wrong)?),
            None => None,
        };
        let (id, boot, seq) = (uuid(jti)?, uuid(boot)?, whole(seq)?);
        Ok(Self { door, subject, id, boot, seq, issued, expires, nonces })
    }

    /// Whether `nonce` is one of those that it carries.
    pub(crate) fn carries(&self, nonce: &str) -> bool {
        let is_it = |value: Value<'_>| value.text().is_some_and(|text| text.is(nonce));
        self.nonces.is_some_and(|all| all.elements().any(is_it))
    }
}

/// Whether it is the id of a door or of a listener: 1 to 32 of `a-z 0-9 _ -`.
pub(crate) fn is_name(letters: impl Iterator<Item = char>) -> bool {
    let of_a_name = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '_' | '-');
    all_of_count(letters, 1, crate::verifier::DOOR_CHARS_MAX, of_a_name)
}

/// Whether it is a nonce: 16 to 43 characters of base64url.
pub(crate) fn is_nonce(letters: impl Iterator<Item = char>) -> bool {
    let of_base64 = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    all_of_count(letters, NONCE_CHARS_MIN, NONCE_CHARS_MAX, of_base64)
}

fn is_subject(text: Text<'_>) -> bool {
    all_of_count(text.chars(), 1, SUBJECT_CHARS_MAX, |letter| !letter.is_control())
}

fn are_nonces(all: Array<'_>) -> bool {
    let count = all.elements().count();
    let is_one = |value: Value<'_>| value.text().is_some_and(|text| is_nonce(text.chars()));
    (1..=NONCES_MAX).contains(&count) && all.elements().all(is_one)
}

fn all_of_count(
    letters: impl Iterator<Item = char>,
    least: usize,
    most: usize,
    holds: impl Fn(char) -> bool,
) -> bool {
    let mut count = 0;
    let mut all = true;
    for letter in letters {
        count += 1;
        all &= holds(letter);
    }
    all && (least..=most).contains(&count)
}
