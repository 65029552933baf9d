//! Anti-passback: nobody goes in twice without having come out between.
//!
//! In: in which direction the door leads, where the subject went last, the time. Out: whether the same
//! way is taken a second time, and whether that refuses. Pure. Invariants: what is not known, was reset,
//! lies too far back or is dated in the future refuses nobody; who was just granted may try again; a door
//! that leads out refuses nobody unless its owner has said so: whoever is inside must be able to leave.
//! Deliberately absent: whether somebody who was granted has gone through the door, which no camera here
//! tells.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::compare::SubjectId;

/// What is dated further ahead than this, in milliseconds, was written by a clock that was wrong.
pub const AHEAD_MAX_MS: i64 = 5000;

/// For so long, at least, a further grant in the same direction is of the same passage.
pub const SAME_PASSAGE: Duration = Duration::from_secs(60);

/// On which side somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Within what the doors enclose.
    Inside,
    /// Without.
    Outside,
}

/// Where a door leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Both ways, or nobody has said.
    #[default]
    None,
    /// In.
    In,
    /// Out.
    Out,
}

/// What is made of a second passage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PassbackMode {
    /// Nothing: nobody keeps where people are.
    #[default]
    Off,
    /// The record says so.
    Soft,
    /// It is refused.
    Hard,
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PassbackPolicy {
    /// What is made of a second passage.
    pub mode: PassbackMode,
    /// Where this door leads.
    pub direction: Direction,
    /// After so long nothing is known any more.
    pub forget: Duration,
    /// For so long a further grant is of the same passage: somebody looked up again, or did not pull in
    /// time.
    pub same: Duration,
    /// Whether a door that leads out refuses, too.
    pub refuse_out: bool,
}

/// Where somebody went last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whereabouts {
    /// To which side; `None`: an administrator has said that it is not known.
    pub side: Option<Side>,
    /// When, milliseconds since 1970.
    pub since_ms: i64,
}

impl PassbackPolicy {
    /// To which side whoever is granted goes; `None` where nobody keeps that.
    #[must_use]
    pub fn leads_to(&self) -> Option<Side> {
        match (self.mode, self.direction) {
            (PassbackMode::Off, _) | (_, Direction::None) => None,
            (_, Direction::In) => Some(Side::Inside),
            (_, Direction::Out) => Some(Side::Outside),
        }
    }

    /// Since when, in milliseconds since 1970, somebody is where this door leads; `None`: they are not, or
    /// it is not known.
    #[must_use]
    pub fn repeats(&self, known: Option<&Whereabouts>, now_ms: i64) -> Option<i64> {
        let (since_ms, age_ms) = self.went(*known?, now_ms)?;
        (age_ms >= millis(self.same)).then_some(since_ms)
    }

    /// To which side a grant of now leads, where that is a new passage: one more within the time that a
    /// passage takes is of the same, and does not make it younger.
    #[must_use]
    pub fn passes(&self, known: Option<&Whereabouts>, now_ms: i64) -> Option<Side> {
        let went = known.and_then(|known| self.went(*known, now_ms));
        let same = went.is_some_and(|(_, age_ms)| age_ms < millis(self.same));
        self.leads_to().filter(|_| !same)
    }

    /// Since when somebody is where this door leads, and for how long, while that is known. Only this door
    /// leads there.
    fn went(&self, known: Whereabouts, now_ms: i64) -> Option<(i64, i64)> {
        let Whereabouts { side, since_ms } = known;
        let age_ms = now_ms.saturating_sub(since_ms);
        let kept = !is_ahead(since_ms, now_ms) && age_ms < millis(self.forget);
        (kept && side.is_some() && side == self.leads_to()).then_some((since_ms, age_ms))
    }

    /// Whether a second passage is refused.
    #[must_use]
    pub fn refuses(&self) -> bool {
        let way = match self.direction {
            Direction::None => false,
            Direction::In => true,
            Direction::Out => self.refuse_out,
        };
        way && self.mode == PassbackMode::Hard
    }
}

/// Keeps where `subject` went, unless something newer is known. At `now_ms` what is dated in the future is
/// older than all that is not; of two that are equally old a reset counts.
pub fn note_whereabouts(
    all: &mut BTreeMap<SubjectId, Whereabouts>,
    subject: &SubjectId,
    new: Whereabouts,
    now_ms: i64,
) {
    let rank = |at: &Whereabouts| (!is_ahead(at.since_ms, now_ms), at.since_ms, at.side.is_none());
    match all.get_mut(subject) {
        Some(known) if rank(known) > rank(&new) => {}
        Some(known) => *known = new,
        None => drop(all.insert(subject.clone(), new)),
    }
}

/// Whether a time is further ahead than a clock may be.
const fn is_ahead(since_ms: i64, now_ms: i64) -> bool {
    since_ms.saturating_sub(now_ms) > AHEAD_MAX_MS
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn policy(mode: PassbackMode, direction: Direction) -> PassbackPolicy {
        let forget = Duration::from_secs(16 * 3600);
        PassbackPolicy { mode, direction, forget, same: SAME_PASSAGE, refuse_out: false }
    }

    #[test]
    fn a_second_passage_is_one_while_the_first_is_kept() {
        let door = policy(PassbackMode::Hard, Direction::In);
        let went = |side| Whereabouts { side, since_ms: 100 * HOUR_MS };
        let repeats = |side, hour| door.repeats(Some(&went(side)), hour * HOUR_MS).is_some();
        assert!(repeats(Some(Side::Inside), 101) && repeats(Some(Side::Inside), 115));
        assert!(!repeats(Some(Side::Inside), 100), "the same passage");
        assert!(!repeats(Some(Side::Inside), 116), "forgotten");
        assert!(!repeats(Some(Side::Inside), 99), "of a clock that was put back");
        assert!(!repeats(Some(Side::Outside), 101) && !repeats(None, 101));
        assert_eq!(door.repeats(None, 0), None);
        assert_eq!(door.repeats(Some(&went(Some(Side::Inside))), i64::MIN), None);
    }

    #[test]
    fn within_a_minute_a_further_grant_is_of_the_same_passage() {
        let door = policy(PassbackMode::Hard, Direction::In);
        let went = |side| Whereabouts { side, since_ms: HOUR_MS };
        let inside = went(Some(Side::Inside));
        for (after_ms, same) in [(0, true), (59_999, true), (60_000, false), (-5000, true)] {
            let now_ms = HOUR_MS + after_ms;
            assert_eq!(door.passes(Some(&inside), now_ms).is_none(), same, "{after_ms}");
            assert_eq!(door.repeats(Some(&inside), now_ms).is_none(), same, "{after_ms}");
        }
        for other in [Some(went(Some(Side::Outside))), Some(went(None)), None] {
            assert_eq!(door.passes(other.as_ref(), HOUR_MS + 1), Some(Side::Inside));
        }
        assert_eq!(door.passes(Some(&inside), HOUR_MS - 5001), Some(Side::Inside), "of the future");
    }

    #[test]
    fn what_is_dated_in_the_future_gives_way_and_a_reset_counts_of_two() {
        let subject = SubjectId::new("s-000001").unwrap();
        let (inside, outside) = (Some(Side::Inside), Some(Side::Outside));
        let now = 100 * HOUR_MS;
        for (one, other, kept) in [
            ((inside, now + HOUR_MS), (outside, now), outside),
            ((inside, now + HOUR_MS), (outside, now - HOUR_MS), outside),
            ((inside, now + HOUR_MS), (None, now + HOUR_MS), None),
            ((inside, now + HOUR_MS), (outside, now + 2 * HOUR_MS), outside),
            ((None, now + HOUR_MS), (inside, now), inside),
            ((inside, now), (None, now), None),
            ((inside, now + AHEAD_MAX_MS), (outside, now), inside),
        ] {
            for order in [[one, other], [other, one]] {
                let mut all = BTreeMap::new();
                for (side, since_ms) in order {
                    note_whereabouts(&mut all, &subject, Whereabouts { side, since_ms }, now);
                }
                assert_eq!(all[&subject].side, kept, "{order:?}");
            }
        }
    }

    #[test]
    fn a_door_that_leads_out_refuses_nobody_unless_that_is_said() {
        let out = policy(PassbackMode::Hard, Direction::Out);
        assert_eq!(out.leads_to(), Some(Side::Outside));
        assert!(!out.refuses());
        assert!(PassbackPolicy { refuse_out: true, ..out }.refuses());
        assert!(policy(PassbackMode::Hard, Direction::In).refuses());
        assert!(!policy(PassbackMode::Soft, Direction::In).refuses());
        for nothing in [
            policy(PassbackMode::Off, Direction::In),
            PassbackPolicy { refuse_out: true, ..policy(PassbackMode::Hard, Direction::None) },
        ] {
            assert_eq!(nothing.leads_to(), None);
            let inside = Whereabouts { side: Some(Side::Inside), since_ms: 0 };
            assert_eq!(nothing.repeats(Some(&inside), 1), None);
        }
    }

    #[test]
    fn the_newer_passage_counts_in_whatever_order_they_come() {
        let subject = SubjectId::new("s-000001").unwrap();
        let passages = [(Side::Inside, 10), (Side::Outside, 20)];
        for order in [[0, 1], [1, 0]] {
            let mut all = BTreeMap::new();
            for place in order {
                let (side, since_ms) = passages[place];
                let at = Whereabouts { side: Some(side), since_ms };
                note_whereabouts(&mut all, &subject, at, 30);
            }
            assert_eq!(all[&subject].side, Some(Side::Outside));
        }
    }
}
