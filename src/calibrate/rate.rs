//! A rate with the counts behind it and the interval that they support.
//!
//! In: how many of how many. Out: the rate and its 95 % confidence interval: Wilson's score
//! interval (E. B. Wilson, 1927), and the rule of three where nothing or everything happened,
//! because a handful of trials without an error does not show that there are none
//! (ISO/IEC 19795-1 asks for both).
//!
//! Deliberately absent: any rate without its counts.

use serde::Serialize;

/// How many of how many trials came out one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// Trials that came out that way.
    pub count: u64,
    /// All trials.
    pub of: u64,
}

/// Where the true rate lies with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end, 0 to 1.
    pub low: f64,
    /// Upper end, 0 to 1.
    pub high: f64,
    /// How it was found.
    pub method: Method,
}

/// How an interval was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Wilson's score interval.
    Wilson,
    /// 3 / n, one-sided.
    RuleOfThree,
}

impl Tally {
    /// Counts one more trial.
    pub fn add(&mut self, came_out: bool) {
        self.of += 1;
        self.count += u64::from(came_out);
    }

    /// The rate, 0 to 1; `None` without trials.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        (self.of > 0).then(|| self.count as f64 / self.of as f64)
    }

    /// The 95 % confidence interval of the rate; `None` without trials.
    #[must_use]
    pub fn interval(self) -> Option<Interval> {
        /// Two-sided 95 % point of the standard normal distribution.
        const Z: f64 = 1.959_964;
        let (p, n) = (self.rate()?, self.of as f64);
        if self.count == 0 {
            return Some(Interval {
                low: 0.0,
                high: (3.0 / n).min(1.0),
                method: Method::RuleOfThree,
            });
        }
        if self.count == self.of {
            let low = (1.0 - 3.0 / n).max(0.0);
            return Some(Interval { low, high: 1.0, method: Method::RuleOfThree });
        }
        let spread = 1.0 + Z * Z / n;
        let middle = (p + Z * Z / (2.0 * n)) / spread;
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt() / spread;
        let (low, high) = ((middle - half).max(0.0), (middle + half).min(1.0));
        Some(Interval { low, high, method: Method::Wilson })
    }
}

impl FromIterator<bool> for Tally {
    fn from_iter<I: IntoIterator<Item = bool>>(trials: I) -> Self {
        let mut tally = Self::default();
        trials.into_iter().for_each(|came_out| tally.add(came_out));
        tally
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.rate(), self.interval()) {
            (Some(rate), Some(Interval { low, high, .. })) => write!(
                f,
                "{:.1} % ({} of {}; {:.1} to {:.1} %)",
                rate * 100.0,
                self.count,
                self.of,
                low * 100.0,
                high * 100.0
            ),
            _ => f.write_str("no trials"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_intervals() {
        // count, of, low, high: Wilson's as published in tables, the rule of three by hand.
        let cases = [
            (10, 20, 0.2993, 0.7007),
            (1, 10, 0.0179, 0.4042),
            (81, 263, 0.2553, 0.3662),
            (0, 100, 0.0, 0.03),
            (250, 250, 0.988, 1.0),
            (0, 2, 0.0, 1.0),
        ];
        for (count, of, low, high) in cases {
            let interval = Tally { count, of }.interval().expect("there are trials");
            assert!((interval.low - low).abs() < 1e-4, "{count}/{of}: {interval:?}");
            assert!((interval.high - high).abs() < 1e-4, "{count}/{of}: {interval:?}");
        }
    }

    #[test]
    fn no_trials_make_no_rate() {
        let none = Tally::default();
        assert_eq!((none.rate(), none.interval()), (None, None));
        assert_eq!(none.to_string(), "no trials");
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_rate(of in 1u64..100_000, share in 0.0f64..=1.0) {
            let tally = Tally { count: (of as f64 * share) as u64, of };
            let (rate, interval) = (tally.rate().expect("of ≥ 1"), tally.interval().expect("of ≥ 1"));
            prop_assert!(interval.low <= rate && rate <= interval.high);
            prop_assert!(0.0 <= interval.low && interval.high <= 1.0);
        }
    }
}
