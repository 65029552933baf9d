//! Which threads still make progress.
//!
//! Each thread beats at every turn of its loop; a thread that has not beaten within its own bound
//! hangs. What follows from that is `watchdog.rs`'s.
//! Bounds are generous where the kernel may keep a thread: opening a camera, syncing a slow card.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Monotonic;

/// The threads that must make progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thread {
    /// Owns the camera.
    Capture,
    /// Owns the networks and the visit.
    Door,
    /// Owns the database.
    Desk,
    /// Signals and the broker.
    Front,
}

impl Thread {
    const ALL: [Self; 4] = [Self::Capture, Self::Door, Self::Desk, Self::Front];

    /// The thread's name, in the log and in the kernel (at most 15 bytes).
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Door => "door",
            Self::Desk => "desk",
            Self::Front => "main",
        }
    }

    const fn bound(self) -> Duration {
        match self {
            Self::Capture => Duration::from_secs(15),
            Self::Door | Self::Front => Duration::from_secs(5),
            Self::Desk => Duration::from_secs(20),
        }
    }
}

/// The last beat of every thread.
#[derive(Debug)]
pub(super) struct Pulse {
    beats: [AtomicU64; 4],
}

impl Pulse {
    /// All threads have just beaten.
    pub(super) fn new(now: Monotonic) -> Self {
        Self { beats: std::array::from_fn(|_| AtomicU64::new(now.as_micros())) }
    }

    /// `thread` has made progress.
    pub(super) fn beat(&self, thread: Thread, now: Monotonic) {
        if let Some(beat) = self.beats.get(thread as usize) {
            beat.store(now.as_micros(), Ordering::Relaxed);
        }
    }

    /// The first thread that hangs, if any.
    pub(super) fn hung(&self, now: Monotonic) -> Option<Thread> {
        Thread::ALL.into_iter().find(|&thread| {
            self.beats.get(thread as usize).is_none_or(|beat| {
                now.since(Monotonic::from_micros(beat.load(Ordering::Relaxed))) > thread.bound()
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_silent_thread_is_found() {
        let pulse = Pulse::new(Monotonic::default());
        let late = Monotonic::from_millis(6_000);
        pulse.beat(Thread::Capture, late);
        pulse.beat(Thread::Desk, late);
        pulse.beat(Thread::Front, late);
        assert_eq!(pulse.hung(Monotonic::from_millis(4_000)), None);
        assert_eq!(pulse.hung(late), Some(Thread::Door));
        pulse.beat(Thread::Door, late);
        assert_eq!(pulse.hung(late), None);
    }
}
