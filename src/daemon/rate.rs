//! How fast frames are judged now: over the last half minute, whoever asks and however often.
//!
//! In: how many frames there have been, and when. Out: frames per second. Fixed size.
//! Invariant: no clock is read here; asking changes nothing.

use std::time::Duration;

use crate::clock::Monotonic;

/// Marks that are kept…
const MARKS: usize = 15;
/// …one in so much time: the rate is over the last half minute.
const MARK_EVERY: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    /// When there had been how many frames; oldest first.
    marks: [(Monotonic, u64); MARKS],
}

impl Rate {
    /// A rate of frames that begin to be counted at `start`.
    pub(super) const fn new(start: Monotonic) -> Self {
        Self { marks: [(start, 0); MARKS] }
    }

    /// Remembers that there have been `frames` by `now`, if the last mark is old enough.
    pub(super) fn mark(&mut self, now: Monotonic, frames: u64) {
        let Some((last, _)) = self.marks.last().copied() else { return };
        if now.since(last) < MARK_EVERY {
            return;
        }
        self.marks.rotate_left(1);
        if let Some(last) = self.marks.last_mut() {
            *last = (now, frames);
        }
    }

    /// Frames per second since the oldest mark, when there have been `frames` by `now`.
    pub(super) fn per_s(&self, now: Monotonic, frames: u64) -> f32 {
        let Some((then, before)) = self.marks.first().copied() else { return 0.0 };
        let since = now.since(then).as_secs_f32();
        if since > 0.0 { frames.saturating_sub(before) as f32 / since } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_the_last_while_and_not_since_the_start() {
        let at = Monotonic::from_millis;
        let mut rate = Rate::new(at(1000));
        assert!(rate.per_s(at(1000), 0).abs() < 1e-6, "at the start");
        let mut frames = 0;
        // An hour at 15 frames a second, then a minute at 5, looked at four times a second.
        for turn in 0..4 * 3660_u64 {
            let per_turn = if turn < 4 * 3600 { 15 } else { 5 };
            frames += per_turn;
            rate.mark(at(1000 + 250 * (turn + 1)), frames / 4);
        }
        let now = at(1000 + 250 * 4 * 3660);
        assert!((rate.per_s(now, frames / 4) - 5.0).abs() < 0.1, "{}", rate.per_s(now, frames / 4));
    }

    #[test]
    fn at_first_it_is_since_the_start() {
        let mut rate = Rate::new(Monotonic::default());
        for turn in 1..=8 {
            rate.mark(Monotonic::from_millis(250 * turn), 3 * turn);
        }
        let found = rate.per_s(Monotonic::from_millis(2000), 24);
        assert!((found - 12.0).abs() < 0.01, "{found}");
    }
}
