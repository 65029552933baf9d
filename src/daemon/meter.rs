//! What the daemon measures of itself: counts and latencies, shared between its threads.
//!
//! In: one call a frame, one a decision. Out: percentiles over the last 512 values of each
//! stage. Fixed size; measuring neither allocates nor blocks for longer than a copy of a stage's values.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Monotonic;
use crate::publish::message::LatencyMs;
use crate::recognise::StageTimes;

/// How many values of each stage percentiles are taken over.
const SAMPLES: usize = 512;

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// JPEG decoding, where the camera compresses.
    Decode,
    /// Letterbox, network, decoding, suppression.
    Detect,
    /// Fit, resampling, quality.
    Align,
    /// Feature network.
    Embed,
    /// Search of the gallery.
    Compare,
    /// Cues of a live face.
    Liveness,
    /// The whole path of one frame.
    Frame,
    /// From the visit's first frame to its decision.
    Decision,
}

impl Stage {
    /// All stages, in the order of the path.
    pub const ALL: [Self; 8] = [
        Self::Decode,
        Self::Detect,
        Self::Align,
        Self::Embed,
        Self::Compare,
        Self::Liveness,
        Self::Frame,
        Self::Decision,
    ];

    /// The stage's name in `health`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Detect => "detect",
            Self::Align => "align",
            Self::Embed => "embed",
            Self::Compare => "compare",
            Self::Liveness => "liveness",
            Self::Frame => "frame",
            Self::Decision => "decision",
        }
    }
}

/// The last values of one stage, in microseconds.
#[derive(Debug, Clone)]
struct Ring {
    values: [u32; SAMPLES],
    filled: usize,
    next: usize,
}

impl Ring {
    const fn new() -> Self {
        Self { values: [0; SAMPLES], filled: 0, next: 0 }
    }

    fn push(&mut self, duration: Duration) {
        if let Some(value) = self.values.get_mut(self.next) {
            *value = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
        }
        self.next = (self.next + 1) % SAMPLES;
        self.filled = (self.filled + 1).min(SAMPLES);
    }

    /// Percentiles by nearest rank: the smallest value that so many per cent do not exceed.
    fn percentiles(&self) -> Option<LatencyMs> {
        let mut sorted = self.values.get(..self.filled)?.to_vec();
        sorted.sort_unstable();
        if sorted.is_empty() {
            return None;
        }
        let at = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100);
            sorted.get(rank.saturating_sub(1)).map_or(0.0, |&us| us as f32 / 1000.0)
        };
        Some(LatencyMs { p50: at(50), p95: at(95), p99: at(99) })
    }
}

/// Counts and latencies since the start.
#[derive(Debug)]
pub struct Meter {
    captured: AtomicU64,
    unreadable: AtomicU64,
    processed: AtomicU64,
    passed_over: AtomicU64,
    faces: AtomicU64,
    decisions: AtomicU64,
    present: AtomicU32,
    /// In microseconds of the machine's monotonic clock.
    contested_until: AtomicU64,
    /// The same; 0 where the door is not locked.
    locked_until: AtomicU64,
    stages: Mutex<Box<[Ring]>>,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            captured: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            processed: AtomicU64::new(0),
            passed_over: AtomicU64::new(0),
            faces: AtomicU64::new(0),
            decisions: AtomicU64::new(0),
            present: AtomicU32::new(0),
            contested_until: AtomicU64::new(0),
            locked_until: AtomicU64::new(0),
            stages: Mutex::new(vec![Ring::new(); Stage::ALL.len()].into_boxed_slice()),
        }
    }
}

macro_rules! counters {
    ($($field:ident $add:ident $doc:literal),+ $(,)?) => { $(
        #[doc = $doc]
        #[must_use]
        pub fn $field(&self) -> u64 {
            self.$field.load(Ordering::Relaxed)
        }
        pub(super) fn $add(&self) {
            self.$field.fetch_add(1, Ordering::Relaxed);
        }
    )+ };
}

impl Meter {
    counters! {
        captured add_captured "Frames that the source gave.",
        unreadable add_unreadable "Frames that could not be decoded.",
        processed add_processed "Frames that were judged, or passed over in an empty room.",
        passed_over add_passed_over "Frames of those that were passed over, because nobody is there or nobody can be judged.",
        faces add_face "Frames with at least one face.",
        decisions add_decision "Decisions that were recorded.",
    }

    /// How many faces are there now; `None` while nobody is.
    #[must_use]
    pub fn present(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.present.load(Ordering::Relaxed))
    }

    pub(super) fn set_present(&self, faces: u32) {
        self.present.store(faces, Ordering::Relaxed);
    }

    /// Whether another client speaks as this door, as far as was noticed lately.
    #[must_use]
    pub fn is_contested(&self, now: Monotonic) -> bool {
        now.as_micros() < self.contested_until.load(Ordering::Relaxed)
    }

    pub(super) fn contest(&self, until: Monotonic) {
        self.contested_until.fetch_max(until.as_micros(), Ordering::Relaxed);
    }

    /// For how long nobody is granted still, after too many failed visits.
    #[must_use]
    pub fn locked_for(&self, now: Monotonic) -> Duration {
        Monotonic::from_micros(self.locked_until.load(Ordering::Relaxed)).since(now)
    }

    pub(super) fn lock_out(&self, until: Option<Monotonic>) {
        self.locked_until.store(until.map_or(0, Monotonic::as_micros), Ordering::Relaxed);
    }

    pub(super) fn time(&self, stage: Stage, duration: Duration) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ring) = stages.get_mut(stage as usize) {
            ring.push(duration);
        }
    }

    pub(super) fn time_path(&self, times: StageTimes, whole: Duration) {
        for (stage, time) in [
            (Stage::Detect, times.detect),
            (Stage::Align, times.align),
            (Stage::Embed, times.embed),
            (Stage::Compare, times.compare),
            (Stage::Liveness, times.liveness),
            (Stage::Frame, whole),
        ] {
            if !time.is_zero() {
                self.time(stage, time);
            }
        }
    }

    /// Percentiles of `stage`; `None` before its first value.
    #[must_use]
    pub fn latency(&self, stage: Stage) -> Option<LatencyMs> {
        let values = {
            let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
            stages.get(stage as usize)?.clone()
        };
        // Sorted where nobody waits for it.
        values.percentiles()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank_over_the_last_values() {
        let meter = Meter::default();
        assert!(meter.latency(Stage::Frame).is_none());
        for ms in 1..=100 {
            meter.time(Stage::Frame, Duration::from_millis(ms));
        }
        let latency = meter.latency(Stage::Frame).unwrap();
        assert_eq!((latency.p50, latency.p95, latency.p99), (50.0, 95.0, 99.0));
        for (count, wanted) in [(1, (7.0, 7.0, 7.0)), (2, (7.0, 8.0, 8.0)), (3, (8.0, 9.0, 9.0))] {
            let few = Meter::default();
            for ms in 0..count {
                few.time(Stage::Frame, Duration::from_millis(7 + ms));
            }
            let LatencyMs { p50, p95, p99 } = few.latency(Stage::Frame).unwrap();
            assert_eq!((p50, p95, p99), wanted, "of {count}");
        }
        for _ in 0..SAMPLES {
            meter.time(Stage::Frame, Duration::from_millis(7));
        }
        let latest = meter.latency(Stage::Frame).unwrap();
        assert!((latest.p99 - 7.0).abs() < 1e-6, "old values are forgotten");
    }
}
