//! Anti-passback: nobody goes in twice without having come out between.
//!
//! In: in which direction the door leads, where the subject went last, the time. Out: whether the same
//! way is taken a second time, and whether that refuses. Pure. Invariants: what is not known, was reset
//! or lies too far back refuses nobody; a door that leads out refuses nobody unless its owner has said
//! so: whoever is inside must be able to leave. Deliberately absent: whether somebody who was granted has
//! gone through the door, which no camera here tells.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::compare::SubjectId;

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
        let Whereabouts { side, since_ms } = *known?;
        let forget_ms = i64::try_from(self.forget.as_millis()).unwrap_or(i64::MAX);
        // A passage from the future, by a clock that was put back, is one of now.
        let kept = now_ms.saturating_sub(since_ms) < forget_ms;
        (kept && side.is_some() && side == self.leads_to()).then_some(since_ms)
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

/// Keeps where `subject` went, unless something newer is known.
pub fn note_whereabouts(
    all: &mut BTreeMap<SubjectId, Whereabouts>,
    subject: &SubjectId,
    new: Whereabouts,
) {
    match all.get_mut(subject) {
        Some(known) if known.since_ms > new.since_ms => {}
        Some(known) => *known = new,
        None => drop(all.insert(subject.clone(), new)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn policy(mode: PassbackMode, direction: Direction) -> PassbackPolicy {
        let forget = Duration::from_secs(16 * 3600);
        PassbackPolicy { mode, direction, forget, refuse_out: false }
    }

    #[test]
    fn a_second_passage_is_one_while_the_first_is_kept() {
        let door = policy(PassbackMode::Hard, Direction::In);
        let went = |side| Whereabouts { side, since_ms: 100 * HOUR_MS };
        let repeats = |side, hour| door.repeats(Some(&went(side)), hour * HOUR_MS).is_some();
        assert!(repeats(Some(Side::Inside), 100) && repeats(Some(Side::Inside), 115));
        assert!(!repeats(Some(Side::Inside), 116), "forgotten");
        assert!(repeats(Some(Side::Inside), 99), "of a clock that was put back");
        assert!(!repeats(Some(Side::Outside), 101) && !repeats(None, 101));
        assert_eq!(door.repeats(None, 0), None);
        assert_eq!(door.repeats(Some(&went(Some(Side::Inside))), i64::MIN), Some(100 * HOUR_MS));
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
                note_whereabouts(&mut all, &subject, Whereabouts { side: Some(side), since_ms });
            }
            assert_eq!(all[&subject].side, Some(Side::Outside));
        }
    }
}
