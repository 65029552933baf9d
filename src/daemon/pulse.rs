//! Which threads still make progress: what the watchdog is fed by.
//!
//! Each thread beats at every turn of its loop; a thread that has not beaten within its own bound
//! hangs. The watchdog is fed only while none hangs, so one hung thread is a restart of the whole.
//! Bounds are generous where the kernel may keep a thread: opening a camera, syncing a slow card.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Monotonic;

/// The threads that must make progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thread {
    /// Owns the camera.
    Capture,
    /// Owns the engines and the visit.
    Recognise,
    /// Owns the database.
    Record,
}

impl Thread {
    const ALL: [Self; 3] = [Self::Capture, Self::Recognise, Self::Record];

    /// The thread's name, in the log and in the kernel (at most 15 bytes).
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Recognise => "recognise",
            Self::Record => "record",
        }
    }

    const fn bound(self) -> Duration {
        match self {
            Self::Capture => Duration::from_secs(15),
            Self::Recognise => Duration::from_secs(5),
            Self::Record => Duration::from_secs(20),
        }
    }
}

/// The last beat of every thread.
#[derive(Debug)]
pub(super) struct Pulse {
    beats: [AtomicU64; 3],
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

/// Notices when a hang begins and when it is over, so that each is told once: the main loop asks four
/// times a second.
#[derive(Debug, Default)]
pub(super) struct Hangs(Option<Thread>);

/// What is new about hanging threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HangNews {
    /// This thread hangs.
    Begun(Thread),
    /// This one did, and goes on.
    Over(Thread),
}

impl Hangs {
    /// Takes in what [`Pulse::hung`] says now.
    pub(super) fn observe(&mut self, hung: Option<Thread>) -> Option<HangNews> {
        let before = std::mem::replace(&mut self.0, hung);
        match (before, hung) {
            (before, Some(thread)) if before != hung => Some(HangNews::Begun(thread)),
            (Some(thread), None) => Some(HangNews::Over(thread)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hang_is_told_once_and_so_is_its_end() {
        let mut hangs = Hangs::default();
        let (capture, record) = (Some(Thread::Capture), Some(Thread::Record));
        let said: Vec<_> = [None, capture, capture, capture, record, None, None, capture]
            .map(|hung| hangs.observe(hung))
            .into_iter()
            .flatten()
            .collect();
        let expected = [
            HangNews::Begun(Thread::Capture),
            HangNews::Begun(Thread::Record),
            HangNews::Over(Thread::Record),
            HangNews::Begun(Thread::Capture),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn one_silent_thread_is_found() {
        let pulse = Pulse::new(Monotonic::default());
        let late = Monotonic::from_millis(6_000);
        pulse.beat(Thread::Capture, late);
        pulse.beat(Thread::Record, late);
        assert_eq!(pulse.hung(Monotonic::from_millis(4_000)), None);
        assert_eq!(pulse.hung(late), Some(Thread::Recognise));
        pulse.beat(Thread::Recognise, late);
        assert_eq!(pulse.hung(late), None);
    }
}
