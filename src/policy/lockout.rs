//! The lockout: after too many visits of people who are not let in, nobody is, for a while.
//!
//! In: visits that failed, grants, the time. Out: until when the door is locked. It bounds how often
//! somebody can try faces at a door.
//!
//! It must not keep those who live here out for long, because anybody who may stand at the door can
//! bring it about. So a lockout is short at first and doubles only while the next follows soon; no one
//! is longer than `longest`; what happens while the door is locked neither counts nor lengthens; and
//! a grant forgets everything. Deliberately absent: a file. A restart forgets it too.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Monotonic;

/// How long the first lockout is.
const FIRST: Duration = Duration::from_secs(30);

/// When the door is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockoutPolicy {
    /// So many failed visits; 0: never. So many are remembered, too; the key allows 100 at most.
    pub visits: u32,
    /// Within so much time.
    pub window: Duration,
    /// No lockout is longer.
    pub longest: Duration,
}

impl LockoutPolicy {
    /// Never.
    pub const OFF: Self = Self { visits: 0, window: Duration::ZERO, longest: Duration::ZERO };
}

impl Default for LockoutPolicy {
    fn default() -> Self {
        Self { visits: 5, window: Duration::from_secs(300), longest: Duration::from_secs(900) }
    }
}

/// What is known of failed visits.
#[derive(Debug, Default)]
pub struct Lockout {
    failed: VecDeque<Monotonic>,
    /// The end of the last lockout, and how long it was.
    last: Option<(Monotonic, Duration)>,
}

impl Lockout {
    /// Until when the door is locked at `now`; `None` while it is not.
    #[must_use]
    pub fn until(&self, now: Monotonic) -> Option<Monotonic> {
        self.last.map(|(end, _)| end).filter(|end| now < *end)
    }

    /// A visit in which a face was compared has ended at `now`, and nobody was recognised, or a
    /// picture was shown. Gives the end of the lockout that begins with it, if one does.
    pub fn fail(&mut self, policy: &LockoutPolicy, now: Monotonic) -> Option<Monotonic> {
        if policy.visits == 0 || self.until(now).is_some() {
            return None;
        }
        self.failed.retain(|at| now.since(*at) < policy.window);
        self.failed.push_back(now);
        if self.failed.len() < policy.visits as usize {
            return None;
        }
        self.failed.clear();
        let length = match self.last {
            Some((end, before)) if now.since(end) < policy.longest => before.saturating_mul(2),
            _ => FIRST,
        };
        let length = length.min(policy.longest);
        let end = now.plus(length);
        self.last = Some((end, length));
        Some(end)
    }

    /// Somebody was granted.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: LockoutPolicy = LockoutPolicy {
        visits: 3,
        window: Duration::from_secs(60),
        longest: Duration::from_secs(100),
    };

    fn at(second: u64) -> Monotonic {
        Monotonic::from_millis(second * 1000)
    }

    /// Three failed visits a second apart, the last of them at `second`.
    fn provoked(lockout: &mut Lockout, second: u64) -> Option<u64> {
        for before in [2, 1] {
            assert_eq!(lockout.fail(&POLICY, at(second - before)), None);
        }
        lockout.fail(&POLICY, at(second)).map(|end| end.as_millis() / 1000 - second)
    }

    #[test]
    fn lockouts_double_while_they_follow_each_other_soon_and_never_beyond_the_longest() {
        let mut lockout = Lockout::default();
        assert_eq!(provoked(&mut lockout, 1000), Some(30));
        assert_eq!(lockout.until(at(1029)), Some(at(1030)));
        assert_eq!(lockout.until(at(1030)), None);
        assert_eq!(provoked(&mut lockout, 1040), Some(60));
        assert_eq!(provoked(&mut lockout, 1110), Some(100));
        assert_eq!(provoked(&mut lockout, 1220), Some(100));
        assert_eq!(provoked(&mut lockout, 1420), Some(30), "a while later it begins anew");
    }

    #[test]
    fn what_happens_during_a_lockout_neither_counts_nor_lengthens() {
        let mut lockout = Lockout::default();
        assert_eq!(provoked(&mut lockout, 1000), Some(30));
        for second in 1001..1030 {
            assert_eq!(lockout.fail(&POLICY, at(second)), None);
        }
        assert_eq!(lockout.until(at(1029)), Some(at(1030)));
        assert_eq!(lockout.fail(&POLICY, at(1031)), None, "the first of another three");
    }

    #[test]
    fn a_grant_forgets_everything_and_old_failures_are_forgotten() {
        let mut lockout = Lockout::default();
        lockout.fail(&POLICY, at(1));
        lockout.fail(&POLICY, at(2));
        lockout.forget();
        assert_eq!(lockout.fail(&POLICY, at(3)), None);
        assert_eq!(lockout.fail(&POLICY, at(62)), None);
        assert_eq!(lockout.fail(&POLICY, at(63)), None, "the first is a minute old");
        assert!(lockout.fail(&POLICY, at(64)).is_some());
        lockout.forget();
        assert_eq!(lockout.until(at(65)), None);
        let mut never = Lockout::default();
        assert!((0..100).all(|second| never.fail(&LockoutPolicy::OFF, at(second)).is_none()));
    }
}
