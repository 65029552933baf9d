//! How the door did over the last day: one value a minute.
//!
//! In: the newest health, the time. Out: four rows of at most [`LENGTH`] values, `None` where a minute
//! gave none. Fixed size: 46 kB.

use std::collections::VecDeque;

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::{Monotonic, utc};
use crate::publish::Health;

/// Seconds between two values.
const STEP_S: u64 = 60;
/// Values of a day.
const LENGTH: usize = 1440;

#[derive(Debug, Clone, Copy, Default)]
struct Minute {
    fps: Option<f32>,
    frame_ms: Option<f32>,
    temperature_c: Option<f32>,
    memory_mib: Option<f32>,
}

/// The values of a day, `null` where a minute gave none.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Day {
    /// Seconds between two values.
    step_s: u64,
    /// When the first one was noted.
    from: String,
    fps: Vec<Option<f32>>,
    frame_ms: Vec<Option<f32>>,
    temperature_c: Vec<Option<f32>>,
    memory_mib: Vec<Option<f32>>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Series {
    minutes: VecDeque<Minute>,
    noted: Option<Monotonic>,
}

impl Series {
    /// Notes `health` where a minute is over.
    pub(super) fn note(&mut self, health: Option<&Health>, now: Monotonic) {
        if self.noted.is_some_and(|noted| now.since(noted).as_secs() < STEP_S) {
            return;
        }
        self.noted = Some(now);
        if self.minutes.len() == LENGTH {
            self.minutes.pop_front();
        }
        self.minutes.push_back(health.map(Minute::of).unwrap_or_default());
    }

    /// The rows, of which the last value was noted about now.
    pub(super) fn day(&self, now_ms: i64) -> Day {
        let back_s = STEP_S * self.minutes.len().saturating_sub(1) as u64;
        let back_ms = i64::try_from(back_s).unwrap_or_default() * 1000;
        let row = |value: fn(&Minute) -> Option<f32>| -> Vec<Option<f32>> {
            self.minutes.iter().map(value).collect()
        };
        Day {
            step_s: STEP_S,
            from: utc(now_ms.saturating_sub(back_ms)),
            fps: row(|minute| minute.fps),
            frame_ms: row(|minute| minute.frame_ms),
            temperature_c: row(|minute| minute.temperature_c),
            memory_mib: row(|minute| minute.memory_mib),
        }
    }
}

impl Minute {
    fn of(health: &Health) -> Self {
        Self {
            fps: Some(health.frames.per_s),
            frame_ms: health.stages.get("frame").map(|latency| latency.p50),
            temperature_c: health.temperature_c,
            memory_mib: Some(health.rss_bytes as f32 / f32::from(1024_u16).powi(2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_kept_and_no_more() {
        let mut series = Series::default();
        for second in 0..(2 * LENGTH as u64 * STEP_S) {
            series.note(None, Monotonic::from_millis(1000 * second));
        }
        assert_eq!(series.minutes.len(), LENGTH);
        let told = series.day(1_790_000_000_000);
        assert_eq!(told.fps, vec![None; LENGTH]);
    }
}
