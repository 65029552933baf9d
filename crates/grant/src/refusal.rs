//! Why a message is no grant for this listener: a closed list, the same for every verifier.
//!
//! In: nothing. Out: one value with one word, which logs, states and the table of forgeries use.
//! The order of the values is the order in which they are looked for, as far as that has one.
//! Deliberately absent: details. Whoever forges learns nothing more, and a log line stays one word.

use core::fmt;

/// Why a message was refused. The words are those of `docs/wire/grant.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Refusal {
    /// More than 1024 bytes.
    Oversized = 1,
    /// Not three parts in canonical base64url, or a part that is no JSON object.
    Malformed = 2,
    /// `alg` is anything but `EdDSA`, or is not there.
    UnsupportedAlgorithm = 3,
    /// Another `typ`, no `kid`, a member given twice, or one that has no business here.
    UnsupportedHeader = 4,
    /// Signed, as it says, by a key that this listener was not told to trust.
    UnknownKey = 5,
    /// The signature is not that of the key over these bytes.
    BadSignature = 6,
    /// A claim is there twice.
    DuplicateClaim = 7,
    /// A claim that must be there is not.
    MissingClaim = 8,
    /// A claim has the wrong type or is out of its range.
    WrongClaim = 9,
    /// Of another door.
    OtherDoor = 10,
    /// Issued later than it is now, by more than the tolerance.
    NotYetValid = 11,
    /// Over since more than the tolerance, or no time is known to tell by.
    Expired = 12,
    /// Would be valid for more than 5 s.
    LifetimeTooLong = 13,
    /// This listener demands its nonce, and the grant carries none.
    MissingNonce = 14,
    /// The grant carries nonces, and this listener's latest one is not among them.
    OtherNonce = 15,
    /// Taken before, or older than one that was.
    Replayed = 16,
}

impl Refusal {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Oversized,
        Self::Malformed,
        Self::UnsupportedAlgorithm,
        Self::UnsupportedHeader,
        Self::UnknownKey,
        Self::BadSignature,
        Self::DuplicateClaim,
        Self::MissingClaim,
        Self::WrongClaim,
        Self::OtherDoor,
        Self::NotYetValid,
        Self::Expired,
        Self::LifetimeTooLong,
        Self::MissingNonce,
        Self::OtherNonce,
        Self::Replayed,
    ];

    /// The word for it on the wire, in logs and in the table of forgeries.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Oversized => "oversized",
            Self::Malformed => "malformed",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::UnsupportedHeader => "unsupported_header",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::DuplicateClaim => "duplicate_claim",
            Self::MissingClaim => "missing_claim",
            Self::WrongClaim => "wrong_claim",
            Self::OtherDoor => "other_door",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::LifetimeTooLong => "lifetime_too_long",
            Self::MissingNonce => "missing_nonce",
            Self::OtherNonce => "other_nonce",
            Self::Replayed => "replayed",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl core::error::Error for Refusal {}
