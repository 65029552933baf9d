//! What the recogniser tells the capture thread: how the last frames could be decoded.
//!
//! In: one word for each frame that was decoded, or not; of pictures that the source itself could not
//! read, from the capture thread. Out: a [`Readability`] for the source.
//! All of it is one atomic word, so that nobody waits and nobody sees half of it.
//! Deliberately absent: what to do about it, which is the source's.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::capture::watch::Decoded;
use crate::capture::{Readability, Undecodable};

/// How the last frames could be decoded.
#[derive(Debug, Default)]
pub(super) struct Decoding(AtomicU64);

impl Decoding {
    pub(super) fn succeeded(&self) {
        self.note(None);
    }

    pub(super) fn failed(&self, cause: Undecodable) {
        self.note(Some(cause));
    }

    fn note(&self, cause: Option<Undecodable>) {
        let next = |word| Some(Decoded::from_word(word).with(cause).word());
        // The closure always gives a word, so that this cannot fail.
        let _never = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    /// How the last frames were.
    pub(super) fn report(&self) -> Readability {
        Decoded::from_word(self.0.load(Ordering::Relaxed)).readability()
    }

    /// The camera is opened anew: what was before says nothing of it.
    pub(super) fn begin_anew(&self) {
        self.0.store(Decoded::default().word(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_until_the_camera_is_opened_anew() {
        let decoding = Decoding::default();
        decoding.failed(Undecodable::Lost);
        decoding.failed(Undecodable::CutOff);
        let report = |frames, undecodable, in_a_row| Readability {
            frames,
            undecodable,
            in_a_row,
            last: Some(Undecodable::CutOff),
        };
        assert_eq!(decoding.report(), report(2, 2, 2));
        decoding.succeeded();
        assert_eq!(decoding.report(), report(3, 2, 0));
        decoding.begin_anew();
        assert_eq!(decoding.report(), Readability::default());
    }
}
