//! How long to wait before the next try: twice as long each time, up to a bound.
//!
//! In: failures, and a random number where many must not return at the same moment. Out: delays.
//! Pure: the caller waits, and says when all went well. One machine for everything that is tried
//! again: opening a camera, connecting to a broker.
//! Deliberately absent: what a success is, which each caller knows.

use std::time::Duration;

/// The delays of one thing that is tried again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    /// Delays from `first` to `most`.
    #[must_use]
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, failures: 0 }
    }

    /// The delay after one more failure.
    pub fn delay(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        doubled.min(self.most)
    }

    /// The same with a random half, so that many clients do not return to a restarted server at
    /// the same moment: from half of [`Self::delay`] to all of it. `random` is in 0..1; what is no
    /// number counts as 1.
    pub fn spread_delay(&mut self, random: f64) -> Duration {
        let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 1.0 };
        self.delay().mul_f64(0.5 + random / 2.0)
    }

    /// Begins again with the first delay, since all went well.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_bound_and_start_anew_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(3));
        let delays: Vec<u128> = (0..5).map(|_| backoff.delay().as_millis()).collect();
        assert_eq!(delays, [500, 1000, 2000, 3000, 3000]);
        backoff.reset();
        assert_eq!(backoff.delay().as_millis(), 500);
    }

    #[test]
    fn half_of_a_delay_is_random_and_no_count_overflows() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(backoff.spread_delay(0.0), Duration::from_millis(500));
        assert_eq!(backoff.spread_delay(f64::NAN), Duration::from_secs(2));
        backoff.failures = u32::MAX;
        assert_eq!(backoff.spread_delay(1.0), Duration::from_secs(60));
        assert_eq!(backoff.spread_delay(7.0), Duration::from_secs(60));
    }
}
