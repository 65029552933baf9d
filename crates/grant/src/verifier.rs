//! Asks of a message all that makes it a grant, in the order of the contract, and remembers it.
//!
//! In: bytes, the time in seconds since 1970 where it is known, the listener's latest nonce.
//! Out: the [`Grant`], or the first [`Refusal`]: size, structure, header, key, signature, claims, door,
//! time, nonce, replay. Only a message that passes all of them changes what is remembered.
//! Always: a nonce serves once; without any nonce of its own, a listener that demands one takes nothing.
//! Deliberately absent: any fallback: what cannot be shown to be fresh is not.

use core::fmt;

use crate::claims::{Claims, NONCE_CHARS_MAX, SUBJECT_BYTES_MAX, is_name, is_nonce};
use crate::compact::{Compact, PART_BYTES_MAX, decode};
use crate::json::Text;
use crate::window::Window;
use crate::{Grant, PublicKey, Refusal, header};

/// Seconds since 1970, without leap seconds.
pub type UnixSeconds = u64;

/// The most keys that a verifier trusts at once: one, and others while they are exchanged.
pub const KEYS_MAX: usize = 4;
/// The most characters of a door's id.
pub const DOOR_CHARS_MAX: usize = 32;
/// The most seconds by which the clocks of door and listener may differ.
pub const TOLERANCE_S_MAX: u8 = 5;
/// The longest life of a grant, in seconds.
const LIFETIME_S_MAX: u64 = 5;

/// By what a listener knows that a grant is fresh. Tolerances are 0 to 5 s; 2 is a good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By the time alone. The largest number taken must then be kept over a restart of the listener
    /// ([`Verifier::largest_seq`]): a grant is valid for some seconds, and so would be a copy of it.
    Clock {
        /// By how much the two clocks may differ, in seconds.
        tolerance_s: u8,
    },
    /// By the listener's own nonce alone, as on a board without a clock.
    Nonce,
    /// By both: a listener that knows no time takes nothing.
    NonceAndClock {
        /// By how much the two clocks may differ, in seconds.
        tolerance_s: u8,
    },
    /// By the nonce, and by the time whenever it is known.
    NonceAndClockIfKnown {
        /// By how much the two clocks may differ, in seconds.
        tolerance_s: u8,
    },
}

impl Mode {
    const fn wants_nonce(self) -> bool {
        !matches!(self, Self::Clock { .. })
    }

    const fn tolerance_s(self) -> Option<u8> {
        match self {
            Self::Nonce => None,
            Self::Clock { tolerance_s }
            | Self::NonceAndClock { tolerance_s }
            | Self::NonceAndClockIfKnown { tolerance_s } => Some(tolerance_s),
        }
    }

    /// Whether the time says that a grant is not valid.
    fn untimely(self, issued: u64, expires: u64, now: Option<UnixSeconds>) -> Option<Refusal> {
        let tolerance = u64::from(self.tolerance_s()?);
        let Some(now) = now else {
            let may_go_without = matches!(self, Self::NonceAndClockIfKnown { .. });
            return (!may_go_without).then_some(Refusal::Expired);
        };
        if now.saturating_add(tolerance) < issued {
            Some(Refusal::NotYetValid)
        } else if now > expires.saturating_add(tolerance) {
            Some(Refusal::Expired)
        } else {
            None
        }
    }
}

/// Why a verifier cannot be set up like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetupError {
    /// The door's id is not 1 to 32 of `a-z 0-9 _ -`.
    Door,
    /// No key, or more than four.
    Keys,
    /// A tolerance of more than 5 s.
    Tolerance,
    /// A nonce that is not 16 to 43 characters of base64url.
    Nonce,
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Door => "a door's id is 1 to 32 of a-z 0-9 _ -",
            Self::Keys => "there must be one key to trust, and at most four",
            Self::Tolerance => "the clocks may differ by 0 to 5 seconds",
            Self::Nonce => "a nonce is 16 to 43 characters of base64url",
        })
    }
}

impl core::error::Error for SetupError {}

/// A short text of its own, at most `N` bytes.
#[derive(Clone, Copy)]
struct Kept<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Kept<N> {
    const EMPTY: Self = Self { bytes: [0; N], length: 0 };

    /// Keeps what fits; callers have counted before.
    fn keep(&mut self, letters: impl Iterator<Item = char>) {
        self.length = 0;
        for letter in letters {
            let Some(room) = self.bytes.get_mut(self.length..self.length + letter.len_utf8())
            else {
                return;
            };
            letter.encode_utf8(room);
            self.length += letter.len_utf8();
        }
    }

    fn text(&self) -> &str {
        let kept = self.bytes.get(..self.length).unwrap_or_default();
        core::str::from_utf8(kept).unwrap_or_default()
    }
}

/// Verifies the grants of one door. About 3 KiB, of a fixed size.
#[derive(Clone)]
pub struct Verifier {
    door: Kept<DOOR_CHARS_MAX>,
    keys: [Option<PublicKey>; KEYS_MAX],
    mode: Mode,
    nonce: Option<Kept<NONCE_CHARS_MAX>>,
    window: Window,
    /// Room to decode a part in.
    part: [u8; PART_BYTES_MAX],
    /// Who the last grant was for.
    subject: Kept<SUBJECT_BYTES_MAX>,
}

impl Verifier {
    /// A verifier for `door` that trusts `keys` (1 to 4) and nothing else.
    ///
    /// # Errors
    /// [`SetupError::Door`], [`SetupError::Keys`], [`SetupError::Tolerance`].
    pub fn new(door: &str, keys: &[PublicKey], mode: Mode) -> Result<Self, SetupError> {
        if !is_name(door.chars()) {
            return Err(SetupError::Door);
        }
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(SetupError::Keys);
        }
        if mode.tolerance_s() > Some(TOLERANCE_S_MAX) {
            return Err(SetupError::Tolerance);
        }
        let mut its_door = Kept::EMPTY;
        its_door.keep(door.chars());
        let mut trusted = [const { None }; KEYS_MAX];
        for (place, key) in trusted.iter_mut().zip(keys) {
            *place = Some(key.clone());
        }
        Ok(Self {
            door: its_door,
            keys: trusted,
            mode,
            nonce: None,
            window: Window::default(),
            part: [0; PART_BYTES_MAX],
            subject: Kept::EMPTY,
        })
    }

    /// The nonce that was sent last; the one before is worth nothing any more. It must come from a
    /// source that nobody can guess, and be sent (`challenge`) before it can be in a grant.
    ///
    /// # Errors
    /// [`SetupError::Nonce`]; the earlier nonce then stays.
    pub fn set_nonce(&mut self, nonce: &str) -> Result<(), SetupError> {
        if !is_nonce(nonce.chars()) {
            return Err(SetupError::Nonce);
        }
        let mut kept = Kept::EMPTY;
        kept.keep(nonce.chars());
        self.nonce = Some(kept);
        Ok(())
    }

    /// Forgets the nonce, as when the connection over which it was sent is lost.
    pub fn forget_nonce(&mut self) {
        self.nonce = None;
    }

    /// Goes on after a number that was taken before this verifier was made: only larger ones are taken.
    pub fn resume_after(&mut self, seq: u64) {
        self.window.resume_after(seq);
    }

    /// The largest number that was taken: what must be kept over a restart in [`Mode::Clock`].
    #[must_use]
    pub const fn largest_seq(&self) -> Option<u64> {
        self.window.largest()
    }

    /// Verifies one message and takes it, once: the same bytes a second time are refused.
    ///
    /// `now` is the time by a clock that is known to be right, or `None`.
    ///
    /// # Errors
    /// The first reason that is found, in the order of `docs/wire/grant.md`. Nothing is then changed.
    pub fn verify(
        &mut self,
        message: &[u8],
        now: Option<UnixSeconds>,
    ) -> Result<Grant<'_>, Refusal> {
        let Self { door, keys, mode, nonce, window, part, subject } = self;
        let compact = Compact::parse(message, part)?;
        let key_id = header::key_id(decode(compact.header, part)?)?;
        let key = trusted(keys, key_id).ok_or(Refusal::UnknownKey)?;
        let signature = compact.signature.ok_or(Refusal::BadSignature)?;
        if !key.signed(compact.signed, &signature) {
            return Err(Refusal::BadSignature);
        }
        let claims = Claims::parse(decode(compact.payload, part)?)?;
        if !claims.door.is(door.text()) {
            return Err(Refusal::OtherDoor);
        }
        if claims.expires - claims.issued > LIFETIME_S_MAX {
            return Err(Refusal::LifetimeTooLong);
        }
        if let Some(refusal) = mode.untimely(claims.issued, claims.expires, now) {
            return Err(refusal);
        }
        if mode.wants_nonce() {
            if claims.nonces.is_none() {
                return Err(Refusal::MissingNonce);
            }
            if !nonce.is_some_and(|own| claims.carries(own.text())) {
                return Err(Refusal::OtherNonce);
            }
        }
        if !window.take(claims.seq, claims.id) {
            return Err(Refusal::Replayed);
        }
        *nonce = None;
        subject.keep(claims.subject.chars());
        Ok(Grant {
            door: door.text(),
            subject: subject.text(),
            id: claims.id,
            boot: claims.boot,
            seq: claims.seq,
            issued: claims.issued,
            expires: claims.expires,
        })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("door", &self.door.text())
            .field("keys", &self.keys)
            .field("mode", &self.mode)
            .field("largest_seq", &self.largest_seq())
            .finish_non_exhaustive()
    }
}

fn trusted<'k>(keys: &'k [Option<PublicKey>], id: Text<'_>) -> Option<&'k PublicKey> {
    keys.iter().flatten().find(|key| id.is(key.id()))
}
