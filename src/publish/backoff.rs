//! How long to wait before the next attempt to connect.
//!
//! Failures → a delay that doubles up to a bound, of which a random half is taken, so that many
//! doors do not return to a restarted broker at the same moment. Pure: randomness and times are
//! arguments. A connection that was lost right after it came up counts as a failure, because two
//! clients with the same id would otherwise push each other out for ever.

use std::time::Duration;

/// A connection that lived this long has proved itself.
const PROVED: Duration = Duration::from_secs(10);

/// The delays of one session.
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

    /// The delay after an attempt that was connected for `lived`; `random` is in 0..1.
    pub fn next(&mut self, lived: Duration, random: f64) -> Duration {
        if lived >= PROVED {
            self.failures = 0;
        }
        let doubled = self.first.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 1.0 };
        doubled.min(self.most).mul_f64(0.5 + random / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_bound_and_start_anew_after_a_proved_connection() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        let delays: Vec<u64> =
            (0..7).map(|_| backoff.next(Duration::ZERO, 1.0).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(backoff.next(Duration::from_secs(9), 1.0).as_secs(), 30, "too short to count");
        assert_eq!(backoff.next(Duration::from_secs(10), 1.0).as_secs(), 1);
    }

    #[test]
    fn half_of_a_delay_is_random_and_no_count_overflows() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(backoff.next(Duration::ZERO, 0.0), Duration::from_millis(500));
        assert_eq!(backoff.next(Duration::ZERO, f64::NAN), Duration::from_secs(2));
        backoff.failures = u32::MAX;
        assert_eq!(backoff.next(Duration::ZERO, 1.0), Duration::from_secs(60));
    }
}
