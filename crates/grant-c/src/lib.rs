//! The C interface of `deepid-grant`: for microcontrollers and for programs in C.
//!
//! In: what [`deepid_grant`] takes, as pointers and lengths. Out: one number for each result; the words
//! of the reasons; a grant as plain bytes. `include/deepid_grant.h` is made of this file.
//! Always: no allocation: the caller owns the memory of a verifier, of a fixed size; no pointer that
//! comes in is kept after the call; a null pointer is an answer and no crash, but for the memory behind
//! the others the caller answers.
//! Deliberately absent: what is no function of the crate beneath.
#![cfg_attr(feature = "bare", no_std)]
#![expect(
    unsafe_code,
    reason = "pointers come in from C: each block says what the caller promises"
)]

use core::ffi::{CStr, c_char};
use core::mem::{align_of, size_of};
use core::slice;

use deepid_grant::{KEY_ID_CHARS, KEYS_MAX, PublicKey, Refusal, Verifier as Inner};

/// 64-bit words that a verifier takes.
pub const DEEPID_VERIFIER_WORDS: usize = 512;
/// The most bytes of a subject's pseudonym, with the zero that ends it.
pub const DEEPID_SUBJECT_BYTES: usize = 257;
/// The bytes of a key's id, with the zero that ends it.
pub const DEEPID_KEY_ID_BYTES: usize = 44;

/// What `words` begins with once a verifier was set up.
const MARK: u64 = 0x6465_6570_6964_0001;

/// A verifier: memory that the caller owns. Its content is not for the caller.
#[repr(C)]
pub struct Verifier {
    words: [u64; DEEPID_VERIFIER_WORDS],
}

const _: () = assert!(size_of::<Inner>() + size_of::<u64>() <= size_of::<Verifier>());
const _: () = assert!(align_of::<Inner>() <= align_of::<Verifier>());
const _: () = assert!(DEEPID_KEY_ID_BYTES == KEY_ID_CHARS + 1);

/// By what a listener knows that a grant is fresh.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By the time alone; the largest number taken must be kept over a restart.
    Clock = 0,
    /// By the listener's own nonce alone.
    Nonce = 1,
    /// By both.
    NonceAndClock = 2,
    /// By the nonce, and by the time whenever it is known.
    NonceAndClockIfKnown = 3,
}

/// What a call says. From 1 to 16 they are the reasons of the contract.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Result {
    /// Taken: open, once. Of the other functions: done.
    Taken = 0,
    /// More than 1024 bytes.
    Oversized = 1,
    /// Not three parts in canonical base64url, or a part that is no JSON object.
    Malformed = 2,
    /// Another algorithm.
    UnsupportedAlgorithm = 3,
    /// Another header.
    UnsupportedHeader = 4,
    /// A key that is not trusted.
    UnknownKey = 5,
    /// The signature is wrong.
    BadSignature = 6,
    /// A claim is there twice.
    DuplicateClaim = 7,
    /// A claim is missing.
    MissingClaim = 8,
    /// A claim has the wrong type or is out of its range.
    WrongClaim = 9,
    /// Of another door.
    OtherDoor = 10,
    /// Not yet valid.
    NotYetValid = 11,
    /// Over, or no time is known.
    Expired = 12,
    /// Valid for too long.
    LifetimeTooLong = 13,
    /// It carries no nonce.
    MissingNonce = 14,
    /// The latest nonce is not in it.
    OtherNonce = 15,
    /// Taken before.
    Replayed = 16,
    /// A null pointer, or a verifier that was not set up.
    NotSetUp = 100,
    /// A value that the function cannot be called with: a door's id, a key, a tolerance, a nonce.
    WrongValue = 101,
}

impl From<Refusal> for Result {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Oversized => Self::Oversized,
            Refusal::Malformed => Self::Malformed,
            Refusal::UnsupportedAlgorithm => Self::UnsupportedAlgorithm,
            Refusal::UnsupportedHeader => Self::UnsupportedHeader,
            Refusal::UnknownKey => Self::UnknownKey,
            Refusal::BadSignature => Self::BadSignature,
            Refusal::DuplicateClaim => Self::DuplicateClaim,
            Refusal::MissingClaim => Self::MissingClaim,
            Refusal::WrongClaim => Self::WrongClaim,
            Refusal::OtherDoor => Self::OtherDoor,
            Refusal::NotYetValid => Self::NotYetValid,
            Refusal::Expired => Self::Expired,
            Refusal::LifetimeTooLong => Self::LifetimeTooLong,
            Refusal::MissingNonce => Self::MissingNonce,
            Refusal::OtherNonce => Self::OtherNonce,
            Refusal::Replayed => Self::Replayed,
        }
    }
}

/// A grant that was taken.
#[repr(C)]
pub struct Grant {
    /// The subject's pseudonym in UTF-8, ended by a zero.
    pub subject: [c_char; DEEPID_SUBJECT_BYTES],
    /// The record's id: 16 bytes of a UUID.
    pub id: [u8; 16],
    /// The daemon's run: 16 bytes of a UUID.
    pub boot: [u8; 16],
    /// The record's number.
    pub seq: u64,
    /// When it was issued, in seconds since 1970 by the door's clock.
    pub issued: u64,
    /// Until when it is valid, in seconds since 1970.
    pub expires: u64,
}

/// The verifier that was set up in this memory.
///
/// # Safety
/// `verifier` is null or to a `deepid_verifier`, which nobody else uses for as long as `'a`.
unsafe fn inner<'a>(verifier: *mut Verifier) -> Option<&'a mut Inner> {
    if verifier.is_null() {
        return None;
    }
    // SAFETY: as promised. The mark says that `deepid_verifier_init` has written a verifier behind it;
    // size and alignment are asserted above.
    unsafe {
        let first = (&raw mut (*verifier).words).cast::<u64>();
        (*first == MARK).then(|| &mut *first.add(1).cast::<Inner>())
    }
}

/// Text that ends with a zero.
///
/// # Safety
/// `pointer` is null or to a text that ends with a zero and lives as long as `'a`.
unsafe fn text<'a>(pointer: *const c_char) -> Option<&'a str> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: as promised.
    unsafe { CStr::from_ptr(pointer) }.to_str().ok()
}

/// Sets a verifier up in `verifier`, for the door `door` (text), trusting `key_count` (1 to 4) keys of 32
/// bytes each, one after the other. `tolerance_s`: by how much the clocks may differ, 0 to 5 seconds; 2
/// is a good one; not used in the mode `DEEPID_MODE_NONCE`. `mode` is one of `deepid_mode`.
///
/// Says `DEEPID_RESULT_TAKEN`, `DEEPID_RESULT_NOT_SET_UP` or `DEEPID_RESULT_WRONG_VALUE`; also a key of small
/// order is a wrong value.
///
/// # Safety
/// `verifier` is null or to a `deepid_verifier`; `keys` is null or to 32 times `key_count` bytes; `door` is null or
/// to a text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deepid_verifier_init(
    verifier: *mut Verifier,
    door: *const c_char,
    keys: *const u8,
    key_count: usize,
    mode: u32,
    tolerance_s: u8,
) -> Result {
    // SAFETY: as the caller promises; nothing is kept after the call.
    let (false, false, Some(door)) = (verifier.is_null(), keys.is_null(), unsafe { text(door) })
    else {
        return Result::NotSetUp;
    };
    // SAFETY: as the caller promises; nothing but integers is written.
    unsafe { (&raw mut (*verifier).words).cast::<u64>().write(0) };
    if key_count == 0 || key_count > KEYS_MAX {
        return Result::WrongValue;
    }
    // SAFETY: as the caller promises, and at most 128 bytes.
    let bytes = unsafe { slice::from_raw_parts(keys, key_count * 32) };
    let mut trusted = [const { None::<PublicKey> }; KEYS_MAX];
    for (place, key) in trusted.iter_mut().zip(bytes.as_chunks::<32>().0) {
        let Ok(key) = PublicKey::from_bytes(key) else { return Result::WrongValue };
        *place = Some(key);
    }
    let [Some(first), rest @ ..] = trusted else { return Result::WrongValue };
    let all = rest.map(|key| key.unwrap_or_else(|| first.clone()));
    let [second, third, fourth] = all;
    let all = [first, second, third, fourth];
    let mode = match mode {
        0 => deepid_grant::Mode::Clock { tolerance_s },
        1 => deepid_grant::Mode::Nonce,
        2 => deepid_grant::Mode::NonceAndClock { tolerance_s },
        3 => deepid_grant::Mode::NonceAndClockIfKnown { tolerance_s },
        _ => return Result::WrongValue,
    };
    let Ok(made) = Inner::new(door, all.get(..key_count).unwrap_or(&all), mode) else {
        return Result::WrongValue;
    };
    // SAFETY: as the caller promises; size and alignment are asserted above, and a verifier that may have
    // been there needs no end.
    unsafe {
        let first = (&raw mut (*verifier).words).cast::<u64>();
        first.add(1).cast::<Inner>().write(made);
        first.write(MARK);
    }
    Result::Taken
}

/// The nonce that was sent last: 16 to 43 characters of base64url, from a source that nobody can guess.
/// The one before is worth nothing any more.
///
/// # Safety
/// `verifier` is null or to a `deepid_verifier`; `nonce` is null or to a text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deepid_verifier_set_nonce(
    verifier: *mut Verifier,
    nonce: *const c_char,
) -> Result {
    // SAFETY: as the caller promises; nothing is kept after the call.
    let (Some(verifier), Some(nonce)) = (unsafe { inner(verifier) }, unsafe { text(nonce) }) else {
        return Result::NotSetUp;
    };
    verifier.set_nonce(nonce).map_or(Result::WrongValue, |()| Result::Taken)
}

/// Forgets the nonce, as when the connection is lost.
///
/// # Safety
/// `verifier` is null or to a `deepid_verifier`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deepid_verifier_forget_nonce(verifier: *mut Verifier) {
    // SAFETY: as the caller promises; nothing is kept after the call.
    if let Some(verifier) = unsafe { inner(verifier) } {
        verifier.forget_nonce();
    }
}

/// Goes on after a number that was taken before: only larger ones are taken.
///
/// # Safety
/// `verifier` is null or to a `deepid_verifier`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deepid_verifier_resume_after(verifier: *mut Verifier, seq: u64) {
    // SAFETY: as the caller promises; nothing is kept after the call.
    if let Some(verifier) = unsafe { inner(verifier) } {
        verifier.resume_after(seq);
    }
}

/// Writes the largest number taken to `seq`; false where none was.
///
/// # Safety
/// `verifier` is null or to a `deepid_verifier`; `seq` is null or to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deepid_verifier_largest_seq(
    verifier: *mut Verifier,
    seq: *mut u64,
) -> bool {
    // SAFETY: as the caller promises; nothing is kept after the call.
    let Some(largest) = unsafe { inner(verifier) }.and_then(|verifier| verifier.largest_seq())
    else {
        return false;
    };
    // SAFETY: as the caller promises.
    unsafe { seq.as_mut() }.map(|seq| *seq = largest).is_some()
}

/// Verifies `length` bytes at `message` and takes them, once. `now`: the time in seconds since 1970 by a
/// clock that is known to be right, or null where none is known. `grant`: what was taken is written
/// there, unless it is null.
///
/// Says `DEEPID_RESULT_TAKEN`, one of the reasons, or `DEEPID_RESULT_NOT_SET_UP`.
///
/// # Safety
/// `verifier` is null or to a `deepid_verifier`; `message` is null or to `length` bytes; `now` is null or to
/// a number; `grant` is null or to a `deepid_grant`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deepid_verifier_verify(
    verifier: *mut Verifier,
    message: *const u8,
    length: usize,
    now: *const u64,
    grant: *mut Grant,
) -> Result {
    // SAFETY: as the caller promises; nothing is kept after the call.
    let (Some(verifier), false) = (unsafe { inner(verifier) }, message.is_null()) else {
        return Result::NotSetUp;
    };
    // SAFETY: as the caller promises; a slice may not be longer than this, and is refused long before.
    let message = unsafe { slice::from_raw_parts(message, length.min(isize::MAX as usize)) };
    // SAFETY: as the caller promises.
    let now = unsafe { now.as_ref() }.copied();
    let taken = match verifier.verify(message, now) {
        Ok(taken) => taken,
        Err(refusal) => return refusal.into(),
    };
    let mut plain = Grant {
        subject: [0; DEEPID_SUBJECT_BYTES],
        id: *taken.id.bytes(),
        boot: *taken.boot.bytes(),
        seq: taken.seq,
        issued: taken.issued,
        expires: taken.expires,
    };
    // A subject has at most 256 bytes, and no zero among them.
    for (to, from) in plain.subject.iter_mut().zip(taken.subject.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    if !grant.is_null() {
        // SAFETY: as the caller promises.
        unsafe { grant.write(plain) };
    }
    Result::Taken
}

/// The word of a result, such as `other_door`: text that ends with a zero and lives for ever. `result`
/// is one of `deepid_result`.
#[unsafe(no_mangle)]
pub extern "C" fn deepid_result_word(result: u32) -> *const c_char {
    let word = match result {
        0 => c"taken",
        1 => c"oversized",
        2 => c"malformed",
        3 => c"unsupported_algorithm",
        4 => c"unsupported_header",
        5 => c"unknown_key",
        6 => c"bad_signature",
        7 => c"duplicate_claim",
        8 => c"missing_claim",
        9 => c"wrong_claim",
        10 => c"other_door",
        11 => c"not_yet_valid",
        12 => c"expired",
        13 => c"lifetime_too_long",
        14 => c"missing_nonce",
        15 => c"other_nonce",
        16 => c"replayed",
        100 => c"not_set_up",
        101 => c"wrong_value",
        _ => c"unknown",
    };
    word.as_ptr()
}

/// Writes the id of a key of 32 bytes to `id` (44 bytes: 43 characters and a zero), to compare with the
/// `kid` that the door shows; false for a key that no verifier takes.
///
/// # Safety
/// `key` is null or to 32 bytes; `id` is null or to 44 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deepid_key_id(key: *const u8, id: *mut c_char) -> bool {
    // SAFETY: as the caller promises.
    let key = unsafe { key.cast::<[u8; 32]>().as_ref() };
    let Some(Ok(key)) = key.map(PublicKey::from_bytes) else { return false };
    // SAFETY: as the caller promises.
    let Some(id) = (unsafe { id.cast::<[c_char; DEEPID_KEY_ID_BYTES]>().as_mut() }) else {
        return false;
    };
    *id = [0; DEEPID_KEY_ID_BYTES];
    for (to, from) in id.iter_mut().zip(key.id().bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    true
}

/// Nothing here panics. If it did, a program that stands still is better than one that goes on: the
/// watchdog of the board ends it.
#[cfg(feature = "bare")]
#[panic_handler]
fn stand_still(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use core::ptr;

    use super::*;

    #[test]
    fn every_reason_has_the_same_number_and_word_as_beneath() {
        for refusal in Refusal::ALL {
            let result = Result::from(refusal);
            assert_eq!(result as u32, refusal as u32);
            // SAFETY: the word is a literal.
            let word = unsafe { CStr::from_ptr(deepid_result_word(result as u32)) };
            assert_eq!(word.to_str(), Ok(refusal.word()));
        }
    }

    #[test]
    fn null_pointers_are_an_answer() {
        let none = ptr::null_mut::<Verifier>();
        let (bytes, now, grant) = (ptr::null::<u8>(), ptr::null::<u64>(), ptr::null_mut::<Grant>());
        let mut verifier = Verifier { words: [MARK - 1; DEEPID_VERIFIER_WORDS] };
        let unset = &raw mut verifier;
        let door = c"front".as_ptr();
        // SAFETY: null, or what is promised.
        unsafe {
            for verifier in [none, unset] {
                assert_eq!(deepid_verifier_init(verifier, door, bytes, 1, 0, 2), Result::NotSetUp);
                let said = deepid_verifier_verify(verifier, [0].as_ptr(), 1, now, grant);
                assert_eq!(said, Result::NotSetUp);
                assert!(!deepid_verifier_largest_seq(verifier, ptr::null_mut()));
                assert_eq!(deepid_verifier_set_nonce(verifier, door), Result::NotSetUp);
                deepid_verifier_forget_nonce(verifier);
                deepid_verifier_resume_after(verifier, 1);
            }
            assert!(!deepid_key_id(bytes, ptr::null_mut()));
        }
    }
}
