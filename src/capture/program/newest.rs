//! The newest frame of a program: one place, which a newer frame overwrites.
//!
//! In: frames from the thread that reads the pipe. Out: the newest one, once. Buffers are swapped,
//! never copied. So a frame waits nowhere while nobody looks: who comes late gets a newer one, and its
//! running number tells how many were passed over.
//! Deliberately absent: the daemon's own slot, which stands behind this one and belongs to a later
//! room.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::output::Ended;
use crate::capture::CapturedFrame;

/// What came of asking.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// A frame.
    Frame,
    /// None, and some were damaged: the running number at which.
    Damaged(u64),
    /// None within the time.
    Nothing,
    /// None, and none will come.
    Ended(Ended),
}

#[derive(Debug, Default)]
struct Place {
    frame: CapturedFrame,
    waiting: bool,
    damaged: Option<u64>,
    ended: Option<Ended>,
    /// How the output begins, until a frame was found in it.
    beginning: Option<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Newest {
    place: Mutex<Place>,
    changed: Condvar,
}

impl Newest {
    /// Puts `frame` in and leaves another buffer in its place.
    pub(super) fn put(&self, frame: &mut CapturedFrame) {
        let mut place = self.lock();
        std::mem::swap(&mut place.frame, frame);
        place.waiting = true;
        place.beginning = None;
        drop(place);
        self.changed.notify_all();
    }

    /// Says that what would have been frame `sequence` arrived damaged.
    pub(super) fn damaged(&self, sequence: u64) {
        self.lock().damaged = Some(sequence);
        self.changed.notify_all();
    }

    /// Says how the output begins, in which no frame was found yet.
    pub(super) fn begins(&self, with: String) {
        self.lock().beginning = Some(with);
    }

    /// How the output begins, where no frame was found in it.
    pub(super) fn other_bytes(&self) -> Option<String> {
        self.lock().beginning.clone()
    }

    /// Says that nothing will come any more.
    pub(super) fn end(&self, ended: Ended) {
        self.lock().ended = Some(ended);
        self.changed.notify_all();
    }

    /// Takes the newest frame into `frame`, waiting for one up to `patience`.
    pub(super) fn take(&self, frame: &mut CapturedFrame, patience: Duration) -> Taken {
        let idle =
            |place: &mut Place| !place.waiting && place.damaged.is_none() && place.ended.is_none();
        let mut place = self
            .changed
            .wait_timeout_while(self.lock(), patience, idle)
            .map_or_else(|poisoned| poisoned.into_inner().0, |(place, _)| place);
        if std::mem::take(&mut place.waiting) {
            std::mem::swap(&mut place.frame, frame);
            return Taken::Frame;
        }
        if let Some(sequence) = place.damaged.take() {
            return Taken::Damaged(sequence);
        }
        place.ended.clone().map_or(Taken::Nothing, Taken::Ended)
    }

    /// A thread that panicked while holding the lock leaves a place that is still whole.
    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;

    #[test]
    fn the_newest_frame_wins_and_comes_before_damage_and_end() {
        let newest = Newest::default();
        let mut frame = CapturedFrame::new();
        let take = |frame: &mut CapturedFrame| newest.take(frame, Duration::ZERO);
        assert_eq!(take(&mut frame), Taken::Nothing);
        newest.begins("'hello'".to_owned());
        assert_eq!(newest.other_bytes().as_deref(), Some("'hello'"));
        newest.damaged(0);
        for sequence in 1..=3 {
            let mut one = CapturedFrame::new();
            one.begin_jpeg(sequence, Monotonic::from_millis(sequence)).push(7);
            newest.put(&mut one);
        }
        newest.end(Ended::Closed);
        assert_eq!(take(&mut frame), Taken::Frame);
        assert_eq!((frame.sequence(), newest.other_bytes()), (3, None));
        assert_eq!(take(&mut frame), Taken::Damaged(0));
        for _ in 0..2 {
            assert_eq!(take(&mut frame), Taken::Ended(Ended::Closed), "it stays so");
        }
    }
}
