//! What the recogniser tells the capture thread: whether the frames can be decoded.
//!
//! In: one word for each frame that was decoded, or not. Out: a [`Readability`] for the source.
//! Both sides only touch atomics, so neither waits for the other.
//! Deliberately absent: what to do about it, which is the source's.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::capture::Readability;

/// Counts that one thread writes and another reads.
#[derive(Debug, Default)]
pub(super) struct Decoding {
    any_readable: AtomicBool,
    unreadable_in_a_row: AtomicU32,
}

impl Decoding {
    pub(super) fn succeeded(&self) {
        self.unreadable_in_a_row.store(0, Ordering::Relaxed);
        self.any_readable.store(true, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.unreadable_in_a_row.fetch_add(1, Ordering::Relaxed);
    }

    /// What happened since the last call.
    pub(super) fn report(&self) -> Readability {
        Readability {
            any_readable: self.any_readable.swap(false, Ordering::Relaxed),
            unreadable_in_a_row: self.unreadable_in_a_row.load(Ordering::Relaxed),
        }
    }

    /// The camera is opened anew: what was in a row has ended.
    pub(super) fn begin_anew(&self) {
        self.unreadable_in_a_row.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readable_frame_is_told_once_and_ends_the_row() {
        let decoding = Decoding::default();
        decoding.failed();
        decoding.failed();
        let report =
            |any_readable, unreadable_in_a_row| Readability { any_readable, unreadable_in_a_row };
        assert_eq!(decoding.report(), report(false, 2));
        decoding.succeeded();
        decoding.failed();
        assert_eq!(decoding.report(), report(true, 1));
        assert_eq!(decoding.report(), report(false, 1));
        decoding.begin_anew();
        assert_eq!(decoding.report(), report(false, 0));
    }
}
