//! The latest-frame slot: one place between camera and recogniser, where the newest frame wins.
//!
//! In: frames, from the capture thread. Out: the newest one, to the door thread. Buffers are
//! swapped, never copied and never allocated anew. A frame that nobody took before the next came is
//! overwritten and counted: a slow recogniser sees fewer frames, never older ones.
//!
//! For a recording that is played as fast as possible the slot waits instead of overwriting, so
//! that the same recording gives the same decisions.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::capture::CapturedFrame;

/// What happens to a frame that nobody has taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressure {
    /// The newest wins.
    Overwrite,
    /// The source waits.
    Wait,
}

/// What came out of the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// A frame; `repeat` when it shows exactly what the one before it showed.
    Frame { repeat: bool },
    /// Nothing within the time.
    Nothing,
    /// Nothing, and nothing will come any more.
    Closed,
}

#[derive(Debug)]
struct Place {
    frame: CapturedFrame,
    /// Whether `frame` waits to be taken, and whether it is a repeat.
    waiting: Option<bool>,
    overwritten: u64,
    closed: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Slot {
    place: Mutex<Place>,
    changed: Condvar,
    pressure: Pressure,
}

impl Slot {
    pub(super) fn new(pressure: Pressure) -> Self {
        let place =
            Place { frame: CapturedFrame::default(), waiting: None, overwritten: 0, closed: false };
        Self { place: Mutex::new(place), changed: Condvar::new(), pressure }
    }

    /// Puts `frame` in and leaves another buffer in its place. Returns at the latest after
    /// `patience`; `false` when the slot was still full then (only under [`Pressure::Wait`]).
    pub(super) fn put(&self, frame: &mut CapturedFrame, repeat: bool, patience: Duration) -> bool {
        let mut place = self.lock();
        if self.pressure == Pressure::Wait {
            let full = |place: &mut Place| place.waiting.is_some() && !place.closed;
            place = self
                .changed
                .wait_timeout_while(place, patience, full)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(place, _)| place);
            if place.waiting.is_some() {
                return false;
            }
        }
        if place.waiting.is_some() {
            place.overwritten += 1;
        }
        std::mem::swap(&mut place.frame, frame);
        place.waiting = Some(repeat);
        drop(place);
        self.changed.notify_all();
        true
    }

    /// Takes the newest frame into `frame`, waiting for one up to `patience`.
    pub(super) fn take(&self, frame: &mut CapturedFrame, patience: Duration) -> Taken {
        let idle = |place: &mut Place| place.waiting.is_none() && !place.closed;
        let mut place = self
            .changed
            .wait_timeout_while(self.lock(), patience, idle)
            .map_or_else(|poisoned| poisoned.into_inner().0, |(place, _)| place);
        let taken = match place.waiting.take() {
            Some(repeat) => {
                std::mem::swap(&mut place.frame, frame);
                Taken::Frame { repeat }
            }
            None if place.closed => Taken::Closed,
            None => Taken::Nothing,
        };
        drop(place);
        self.changed.notify_all();
        taken
    }

    /// Says that no frame will come any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// How many frames were overwritten.
    pub(super) fn overwritten(&self) -> u64 {
        self.lock().overwritten
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
    use crate::frame::PixelFormat;

    const NOW: Duration = Duration::ZERO;

    fn frame(sequence: u64) -> CapturedFrame {
        let mut frame = CapturedFrame::default();
        frame
            .begin_raw(PixelFormat::Grey, (2, 2), 2, sequence, Monotonic::from_millis(sequence))
            .resize(4, 0);
        frame
    }

    #[test]
    fn the_newest_wins_and_the_loss_is_counted() {
        let slot = Slot::new(Pressure::Overwrite);
        for sequence in 1..=3 {
            assert!(slot.put(&mut frame(sequence), false, NOW));
        }
        let mut taken = CapturedFrame::default();
        assert_eq!(slot.take(&mut taken, NOW), Taken::Frame { repeat: false });
        assert_eq!((taken.sequence(), slot.overwritten()), (3, 2));
        assert_eq!(slot.take(&mut taken, NOW), Taken::Nothing);
        slot.close();
        assert_eq!(slot.take(&mut taken, NOW), Taken::Closed);
    }

    #[test]
    fn a_recording_waits_and_loses_nothing() {
        let slot = Slot::new(Pressure::Wait);
        assert!(slot.put(&mut frame(1), false, NOW));
        assert!(!slot.put(&mut frame(2), false, NOW), "still full");
        let mut taken = CapturedFrame::default();
        slot.take(&mut taken, NOW);
        assert!(slot.put(&mut frame(2), true, NOW));
        slot.close();
        assert_eq!(
            slot.take(&mut taken, NOW),
            Taken::Frame { repeat: true },
            "the last one still comes out"
        );
        assert_eq!((taken.sequence(), slot.overwritten()), (2, 0));
    }
}
