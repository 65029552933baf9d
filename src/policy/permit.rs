//! A permit to enrol over MQTT: for a while, for one enrolment.
//!
//! In: that an administrator gives it, for how long, that it was used, the time. Out: whether one holds, and
//! since when. Pure; time is an argument. Invariants: it ends by itself, and with its first use; none is
//! longer than [`Permit::LONGEST`]. Deliberately absent: a file. A restart ends it, too.

use std::time::Duration;

use crate::clock::Monotonic;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permit(Option<Term>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Term {
    since: Monotonic,
    until: Monotonic,
}

impl Permit {
    /// None is shorter.
    pub const SHORTEST: Duration = Duration::from_secs(30);
    /// None is longer.
    pub const LONGEST: Duration = Duration::from_secs(300);

    /// Gives it from `now` on, for `lasting`, in place of one that holds.
    pub fn give(&mut self, lasting: Duration, now: Monotonic) {
        let until = now.plus(lasting.min(Self::LONGEST));
        self.0 = Some(Term { since: now, until });
    }

    /// Since when one holds at `now`; `None` where none does.
    #[must_use]
    pub fn since(&self, now: Monotonic) -> Option<Monotonic> {
        self.0.filter(|term| now < term.until).map(|term| term.since)
    }

    /// It was used, or taken back: none holds any more.
    pub const fn end(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(second: u64) -> Monotonic {
        Monotonic::from_millis(second * 1000)
    }

    #[test]
    fn a_permit_holds_for_its_time_and_for_one_use() {
        let mut permit = Permit::default();
        assert_eq!(permit.since(at(10)), None, "nobody has given one");
        permit.give(Duration::from_secs(60), at(10));
        assert_eq!((permit.since(at(10)), permit.since(at(69))), (Some(at(10)), Some(at(10))));
        assert_eq!(permit.since(at(70)), None, "it has ended by itself");
        permit.give(Duration::from_secs(60), at(100));
        permit.give(Duration::from_secs(60), at(130));
        assert_eq!(permit.since(at(150)), Some(at(130)), "the newer one");
        permit.end();
        assert_eq!(permit.since(at(151)), None);
    }

    #[test]
    fn no_permit_lasts_longer_than_stated() {
        let mut permit = Permit::default();
        permit.give(Duration::MAX, at(0));
        assert_eq!(permit.since(at(299)), Some(at(0)));
        assert_eq!(permit.since(at(300)), None);
    }
}
