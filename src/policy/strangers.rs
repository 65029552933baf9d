//! Strangers at the door: when so many have come in so short a time that somebody should be told.
//!
//! In: visits that ended with nobody who is enrolled, the time. Out: how many, once that is enough;
//! the next time needs as many again. It decides nothing about anybody. Pure. Deliberately absent: a
//! file. A restart begins anew.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Monotonic;

/// When somebody is told of strangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrangersPolicy {
    /// After so many visits of strangers; 0: never. The key allows 100 at most.
    pub visits: u32,
    /// Within so much time.
    pub window: Duration,
}

impl Default for StrangersPolicy {
    fn default() -> Self {
        Self { visits: 0, window: Duration::from_secs(600) }
    }
}

/// What is known of strangers' visits.
#[derive(Debug, Default)]
pub struct Strangers {
    seen: VecDeque<Monotonic>,
}

impl Strangers {
    /// A visit of a stranger has ended at `now`. Gives how many there were, where that is enough.
    pub fn note(&mut self, policy: &StrangersPolicy, now: Monotonic) -> Option<u32> {
        if policy.visits == 0 {
            self.seen.clear();
            return None;
        }
        self.seen.retain(|at| now.since(*at) < policy.window);
        self.seen.push_back(now);
        let visits = u32::try_from(self.seen.len()).unwrap_or(u32::MAX);
        if visits < policy.visits {
            return None;
        }
        self.seen.clear();
        Some(visits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: StrangersPolicy = StrangersPolicy { visits: 3, window: Duration::from_secs(60) };

    fn told(policy: StrangersPolicy, seconds: &[u64]) -> Vec<Option<u32>> {
        let mut strangers = Strangers::default();
        let at = |second: &u64| Monotonic::from_millis(second * 1000);
        seconds.iter().map(|second| strangers.note(&policy, at(second))).collect()
    }

    #[test]
    fn so_many_within_the_window_are_told_once_and_then_counted_anew() {
        let told_of = told(POLICY, &[100, 110, 120, 121, 122, 123]);
        assert_eq!(told_of, [None, None, Some(3), None, None, Some(3)]);
    }

    #[test]
    fn those_of_long_ago_do_not_count() {
        assert_eq!(told(POLICY, &[100, 110, 160, 169, 170]), [None, None, None, Some(3), None]);
        assert_eq!(told(POLICY, &[100, 160, 220, 280]), [None; 4]);
    }

    #[test]
    fn nobody_is_told_unless_it_is_asked_for() {
        assert_eq!(told(StrangersPolicy::default(), &[100, 101, 102, 103]), [None; 4]);
    }
}
