//! Frozen pictures and stalls, as small pure machines.
//!
//! In: fingerprints of frames, events, and the time. Out: verdicts. [`Decoded`] keeps how the last
//! frames could be decoded, and [`Readability`] judges that. [`FrozenWatch`] tells a camera
//! that repeats itself (its frame rate looks fine, its picture stands) from one that looks at
//! something still: a real sensor has noise, so two frames that are equal to the last bit are one
//! frame. [`StallWatch`] tells how long nothing came, `Numbers` how many frames were lost on the way.
//!
//! Invariant: no clock is read here. Deliberately absent: what to do about it, which is
//! [`supervise`](super::supervise)'s.

use std::time::Duration;

use super::{CapturedFrame, Undecodable};
use crate::clock::Monotonic;

/// How many equal frames in a row, at least, are a frozen camera…
const FROZEN_REPEATS: u32 = 5;

/// A number that differs, all but surely, where the bytes of two frames differ.
///
/// Each eight bytes are mixed in by an odd multiplier and a rotation, so that a change of any one
/// bit changes the result; not meant to withstand anybody who tries to collide it.
#[must_use]
pub fn fingerprint(frame: &CapturedFrame) -> u64 {
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |state: u64, word: u64| (state ^ word).wrapping_mul(MULTIPLIER).rotate_left(29);
    // Four states, because one would wait for its own multiplication each time.
    let mut states = [1_u64, 2, 3, 4];
    let (blocks, rest) = frame.bytes().as_chunks::<32>();
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (state, word) in states.iter_mut().zip(words) {
            *state = mix(*state, u64::from_le_bytes(*word));
        }
    }
    let tail =
        rest.iter().fold(frame.bytes().len() as u64, |state, byte| mix(state, u64::from(*byte)));
    states.into_iter().fold(tail, mix)
}

/// How the last frames could be decoded, in one word of 64 bits, so that it can lie in an atomic.
///
/// From the low end: one bit for each of the last [`Readability::WINDOW`] frames, set where it could
/// not be decoded; how many frames those are; why the last of them could not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decoded(u64);

impl Decoded {
    const BITS: u64 = (1 << Readability::WINDOW) - 1;

    /// What [`Self::word`] gave.
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// All of it.
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// With one frame more, that was decoded or, for `cause`, not.
    #[must_use]
    pub const fn with(self, cause: Option<Undecodable>) -> Self {
        let readability = self.readability();
        let frames = if readability.frames < Readability::WINDOW {
            readability.frames + 1
        } else {
            Readability::WINDOW
        };
        let (bit, last) = match (cause, readability.last) {
            (Some(cause), _) => (1, cause.code()),
            (None, Some(last)) => (0, last.code()),
            (None, None) => (0, 0),
        };
        let outcomes = ((self.0 & Self::BITS) << 1 | bit) & Self::BITS;
        Self(outcomes | (frames as u64) << Readability::WINDOW | (last as u64) << 56)
    }

    /// What that says.
    #[must_use]
    pub const fn readability(self) -> Readability {
        let outcomes = self.0 & Self::BITS;
        Readability {
            frames: (self.0 >> Readability::WINDOW & 0xFF) as u32,
            undecodable: outcomes.count_ones(),
            in_a_row: outcomes.trailing_ones(),
            last: Undecodable::from_code((self.0 >> 56) as u8),
        }
    }
}

/// How the last frames of a source could be decoded: whoever decodes them tells the source, because
/// a camera that sends nothing but broken pictures is no camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readability {
    /// How many frames are counted: the last [`Self::WINDOW`], or fewer.
    pub frames: u32,
    /// How many of them could not be decoded.
    pub undecodable: u32,
    /// How many of the last in a row could not.
    pub in_a_row: u32,
    /// Why the last of them could not.
    pub last: Option<Undecodable>,
}

impl Readability {
    /// Over how many frames the share is taken: two to three seconds.
    pub const WINDOW: u32 = 48;
    /// Fewer frames say nothing: many cameras begin with some that are broken.
    pub const ENOUGH: u32 = 15;

    /// Whether too few frames can be decoded: fewer than half; once that was so (`was`), fewer than
    /// three quarters.
    #[must_use]
    pub const fn is_poor(&self, was: bool) -> bool {
        if self.frames < Self::ENOUGH {
            return was;
        }
        if was { self.undecodable * 4 > self.frames } else { self.undecodable * 2 > self.frames }
    }
}

/// What a frame is in relation to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It differs from the one before it.
    Fresh,
    /// It is equal to the one before it.
    Repeat,
    /// So have been many for a while: the camera is frozen since the time given.
    Frozen {
        /// When the picture was new.
        since: Monotonic,
    },
}

/// Notices a camera that shows always the same.
#[derive(Debug, Clone, Copy)]
pub struct FrozenWatch {
    limit: Duration,
    last: Option<(u64, Monotonic)>,
    repeats: u32,
}

impl FrozenWatch {
    /// A watch that calls a camera frozen after `limit`, and after five equal frames.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self { limit, last: None, repeats: 0 }
    }

    /// Judges a frame by its [`fingerprint`].
    pub fn observe(&mut self, fingerprint: u64, now: Monotonic) -> Freshness {
        match self.last {
            Some((last, since)) if last == fingerprint => {
                self.repeats = self.repeats.saturating_add(1);
                if self.repeats >= FROZEN_REPEATS && now.since(since) >= self.limit {
                    Freshness::Frozen { since }
                } else {
                    Freshness::Repeat
                }
            }
            _ => {
                (self.last, self.repeats) = (Some((fingerprint, now)), 0);
                Freshness::Fresh
            }
        }
    }
}

/// Numbers of frames that go on over a reopening.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Numbers {
    last_of_source: Option<u64>,
    next: u64,
}

impl Numbers {
    /// The number to give out, and how many frames were lost before it.
    pub(super) const fn of(&mut self, source: u64) -> (u64, u64) {
        let lost = match self.last_of_source {
            Some(last) => source.saturating_sub(last).saturating_sub(1),
            None => 0,
        };
        let number = self.next.saturating_add(lost);
        (self.last_of_source, self.next) = (Some(source), number.saturating_add(1));
        (number, lost)
    }

    /// Whether the next number is the first since the last opening.
    pub(super) const fn is_first(&self) -> bool {
        self.last_of_source.is_none()
    }

    /// The source counts anew from here on.
    pub(super) const fn reopened(&mut self) {
        self.last_of_source = None;
    }
}

/// Notices a source that gives nothing.
#[derive(Debug, Clone, Copy)]
pub struct StallWatch {
    limit: Duration,
    last: Monotonic,
}

impl StallWatch {
    /// A watch that was fed at `now` and complains after `limit` without food.
    #[must_use]
    pub const fn new(limit: Duration, now: Monotonic) -> Self {
        Self { limit, last: now }
    }

    /// Notes a frame.
    pub const fn feed(&mut self, now: Monotonic) {
        self.last = now;
    }

    /// How long nothing came, where that is too long.
    #[must_use]
    pub fn stalled(&self, now: Monotonic) -> Option<Duration> {
        let waited = now.since(self.last);
        (waited >= self.limit).then_some(waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;
    use proptest::prelude::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_millis(millis)
    }

    /// The frames of `text`, one letter each: `+` was decoded, `-` was not.
    fn decoded(text: &str) -> Decoded {
        text.chars().fold(Decoded::default(), |decoded, letter| {
            decoded.with((letter == '-').then_some(Undecodable::CutOff))
        })
    }

    #[test]
    fn a_share_of_the_last_frames_is_judged_not_a_run() {
        let rarely = "+".to_owned() + &"-".repeat(29);
        let table = [
            // Few frames say nothing.
            ("-".repeat(14), (14, 14, 14), false),
            ("-".repeat(15), (15, 15, 15), true),
            (rarely.repeat(3), (48, 47, 29), true),
            ("-+".repeat(40), (48, 24, 0), false),
            ("-+-".repeat(40), (48, 32, 1), true),
            ("-".repeat(60) + &"+".repeat(24), (48, 24, 0), false),
        ];
        for (text, (frames, undecodable, in_a_row), poor) in table {
            let last = Some(Undecodable::CutOff);
            let expected = Readability { frames, undecodable, in_a_row, last };
            let found = Decoded::from_word(decoded(&text).word()).readability();
            assert_eq!(found, expected, "{text}");
            assert_eq!(found.is_poor(false), poor, "{text}");
        }
        let recovers = |good: usize| decoded(&("-".repeat(60) + &"+".repeat(good))).readability();
        assert!(recovers(35).is_poor(true) && !recovers(36).is_poor(true));
        assert!(Readability::default().is_poor(true), "an opening alone is no recovery");
    }

    #[test]
    fn equal_frames_are_repeats_and_after_a_while_frozen() {
        let mut watch = FrozenWatch::new(Duration::from_secs(2));
        assert_eq!(watch.observe(1, at(0)), Freshness::Fresh);
        assert_eq!(watch.observe(1, at(100)), Freshness::Repeat);
        assert_eq!(watch.observe(2, at(200)), Freshness::Fresh);
        // Long enough, but too few: a slow camera.
        assert_eq!(watch.observe(2, at(9000)), Freshness::Repeat);
        for _ in 0..3 {
            assert_eq!(watch.observe(2, at(9100)), Freshness::Repeat);
        }
        assert_eq!(watch.observe(2, at(9200)), Freshness::Frozen { since: at(200) });
        assert_eq!(watch.observe(3, at(9300)), Freshness::Fresh);
        // Many, but not yet long enough.
        for _ in 0..50 {
            assert_eq!(watch.observe(3, at(9400)), Freshness::Repeat);
        }
    }

    #[test]
    fn nothing_for_too_long_is_a_stall() {
        let mut watch = StallWatch::new(Duration::from_secs(3), at(1000));
        assert_eq!(watch.stalled(at(3999)), None);
        assert_eq!(watch.stalled(at(4000)), Some(Duration::from_secs(3)));
        watch.feed(at(4000));
        assert_eq!(watch.stalled(at(6999)), None);
    }

    proptest! {
        #[test]
        fn one_changed_bit_changes_the_fingerprint(
            mut bytes in proptest::collection::vec(any::<u8>(), 1..200),
            at: prop::sample::Index, bit in 0u8..8,
        ) {
            let frame = |bytes: &[u8]| {
                let mut frame = CapturedFrame::new();
                frame
                    .begin_raw(PixelFormat::Grey, (1, 1), 1, 0, Monotonic::default())
                    .extend_from_slice(bytes);
                fingerprint(&frame)
            };
            let before = frame(&bytes);
            prop_assert_eq!(before, frame(&bytes));
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_ne!(before, frame(&bytes));
        }
    }
}
