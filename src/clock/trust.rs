//! When a wall clock may be believed.
//!
//! In: what it shows, whether a time service keeps it, the records made so far. Out: nothing, or why
//! it may not ([`ClockDoubt`]). Pure: no clock is read here.
//!
//! When a wall clock is trusted, for a clock that [`ClockRequirement::Plausible`] is enough for:
//!
//! | the clock shows | a time service keeps it | nobody keeps it |
//! |---|---|---|
//! | a time before this software, or fifty years after it | no | no |
//! | a time more than 2 min before a record that a time service vouched for | no: two vouched times contradict each other | no |
//! | a time up to 2 min before such a record | yes: the service has stepped it | no, but for 1 s |
//! | a time before a record that nobody vouched for | yes: the service knows better | no, but for 1 s |
//! | a later time than every record | yes | yes |
//!
//! A record that a time service vouched for settles those before it that nobody vouched for; an
//! administrator can settle all of them (`deepid-edge clock settle`). Between two vouched times
//! nobody but a person can choose: a false time service that turns the clock back would let
//! permissions that have ended begin again, so that doubt wins.

use super::{WallClock, utc};

/// Whether the wall clock may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockTrust {
    /// Meets what the configuration asks of it.
    Trusted,
    /// Unset, behind what is already recorded, or not synchronised though that is required.
    Untrusted,
}

/// No wall clock before this instant is plausible: 2026-01-01T00:00:00Z, in milliseconds.
///
/// A board without a battery wakes up in 1970, or when its file system was last written. The value
/// is raised with releases; it can only be too early, never too late.
pub const PLAUSIBLE_FROM_UNIX_MS: i64 = 1_767_225_600_000;

/// No wall clock after this instant is plausible: fifty years (of 365 days) later.
pub const PLAUSIBLE_UNTIL_UNIX_MS: i64 = PLAUSIBLE_FROM_UNIX_MS + 50 * 365 * 86_400_000;

/// How far a wall clock that nobody keeps may stand behind the records, in milliseconds: the reading
/// of a decision is a little older than the record before it.
pub const BACKWARD_TOLERANCE_MS: i64 = 1000;

/// How far a wall clock that a time service keeps may stand behind a record that a time service
/// vouched for, in milliseconds: after an outage the service steps the clock back by what it had
/// drifted, and a bad hour of its servers is of this size.
pub const SYNCHRONISED_TOLERANCE_MS: i64 = 120_000;

/// What the wall clock must show before it is believed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ClockRequirement {
    /// Not before this software, not before the newest record, not absurdly late.
    #[default]
    Plausible,
    /// Plausible, and a time service keeps it synchronised.
    Synchronised,
}

/// A record whose time holds the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The record's number.
    pub seq: u64,
    /// When it was made, milliseconds since 1970.
    pub unix_ms: i64,
}

impl Mark {
    const fn later(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.unix_ms >= self.unix_ms => other,
            _ => self,
        }
    }
}

/// The records that the wall clock may not stand behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Floor {
    /// The latest time of a record that a time service vouched for.
    pub vouched: Option<Mark>,
    /// The latest time of the records since then that nobody vouched for.
    pub unvouched: Option<Mark>,
}

impl Floor {
    /// The floor after record `seq`, made at `wall`. A time that was not trusted says nothing; one
    /// that a time service vouched for settles all before it that nobody vouched for.
    #[must_use]
    pub const fn after(self, seq: u64, wall: WallClock) -> Self {
        let mark = Mark { seq, unix_ms: wall.unix_ms };
        match (wall.trust, wall.synchronised) {
            (ClockTrust::Untrusted, _) => self,
            (ClockTrust::Trusted, true) => {
                Self { vouched: Some(mark.later(self.vouched)), unvouched: None }
            }
            (ClockTrust::Trusted, false) => {
                Self { vouched: self.vouched, unvouched: Some(mark.later(self.unvouched)) }
            }
        }
    }

    /// The record with the latest time, and whether a time service vouched for it.
    #[must_use]
    pub const fn latest(self) -> Option<(Mark, bool)> {
        match (self.vouched, self.unvouched) {
            (Some(vouched), Some(unvouched)) if unvouched.unix_ms > vouched.unix_ms => {
                Some((unvouched, false))
            }
            (Some(vouched), _) => Some((vouched, true)),
            (None, Some(unvouched)) => Some((unvouched, false)),
            (None, None) => None,
        }
    }
}

/// Why a wall clock is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockDoubt {
    /// It shows a time before this software was made.
    BeforeBuild,
    /// It shows a time long after this software's life.
    TooLate,
    /// A time service is required, and none keeps it.
    NotSynchronised,
    /// It stands behind a record.
    BehindRecord {
        /// Which.
        record: Mark,
        /// Whether a time service vouched for that record's time.
        vouched: bool,
    },
}

impl ClockDoubt {
    /// The doubt's name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeBuild => "before_build",
            Self::TooLate => "too_late",
            Self::NotSynchronised => "not_synchronised",
            Self::BehindRecord { .. } => "behind_record",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::BeforeBuild | Self::TooLate => {
                "set the time, or let a time service do it (systemd-timesyncd, chrony)"
            }
            Self::NotSynchronised => {
                "let a time service keep the clock (systemd-timesyncd, chrony); or be content with less by clock.require = 'plausible'"
            }
            Self::BehindRecord { .. } => {
                "if the clock is right now, say so with 'deepid-edge clock settle'; if not, set it, or let a time service do it (systemd-timesyncd, chrony)"
            }
        }
    }
}

impl std::fmt::Display for ClockDoubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BeforeBuild => {
                write!(f, "the clock stands before {}", utc(PLAUSIBLE_FROM_UNIX_MS))
            }
            Self::TooLate => write!(f, "the clock stands after {}", utc(PLAUSIBLE_UNTIL_UNIX_MS)),
            Self::NotSynchronised => f.write_str("no time service keeps the clock"),
            Self::BehindRecord { record, vouched } => write!(
                f,
                "the clock stands behind record {} of {}, {}",
                record.seq,
                utc(record.unix_ms),
                if *vouched {
                    "which a time service vouched for"
                } else {
                    "which no time service vouched for"
                }
            ),
        }
    }
}

/// Why a wall clock that shows `unix_ms` may not be believed, by the table in this file's header;
/// `None` when it may. `synchronised` says whether a time service keeps it.
#[must_use]
pub const fn judge_wall(
    unix_ms: i64,
    synchronised: bool,
    requirement: ClockRequirement,
    floor: Floor,
) -> Option<ClockDoubt> {
    if unix_ms < PLAUSIBLE_FROM_UNIX_MS {
        return Some(ClockDoubt::BeforeBuild);
    }
    if unix_ms > PLAUSIBLE_UNTIL_UNIX_MS {
        return Some(ClockDoubt::TooLate);
    }
    if !synchronised && matches!(requirement, ClockRequirement::Synchronised) {
        return Some(ClockDoubt::NotSynchronised);
    }
    let (holding, tolerance_ms) = if synchronised {
        let vouched = match floor.vouched {
            Some(record) => Some((record, true)),
            None => None,
        };
        (vouched, SYNCHRONISED_TOLERANCE_MS)
    } else {
        (floor.latest(), BACKWARD_TOLERANCE_MS)
    };
    match holding {
        Some((record, vouched)) if unix_ms < record.unix_ms.saturating_sub(tolerance_ms) => {
            Some(ClockDoubt::BehindRecord { record, vouched })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;
    const RIGHT_MS: i64 = PLAUSIBLE_FROM_UNIX_MS + 300 * DAY_MS;
    const YEAR_2036_MS: i64 = 2_085_978_495_000;

    const fn mark(seq: u64, unix_ms: i64) -> Mark {
        Mark { seq, unix_ms }
    }

    /// What a clock that shows [`RIGHT_MS`] is worth, when a time service keeps it and when nobody
    /// does, with a record `ahead_ms` ahead of it that was vouched for or not.
    fn with_record(ahead_ms: i64, vouched: bool) -> [bool; 2] {
        let record = Some(mark(41, RIGHT_MS + ahead_ms));
        let floor = if vouched {
            Floor { vouched: record, unvouched: None }
        } else {
            Floor { vouched: None, unvouched: record }
        };
        [true, false]
            .map(|kept| judge_wall(RIGHT_MS, kept, ClockRequirement::Plausible, floor).is_none())
    }

    #[test]
    fn a_clock_outside_this_softwares_life_is_never_trusted() {
        for requirement in [ClockRequirement::Plausible, ClockRequirement::Synchronised] {
            for kept in [true, false] {
                let judge = |unix_ms| judge_wall(unix_ms, kept, requirement, Floor::default());
                assert_eq!(judge(0), Some(ClockDoubt::BeforeBuild));
                assert_eq!(judge(PLAUSIBLE_FROM_UNIX_MS - 1), Some(ClockDoubt::BeforeBuild));
                assert_eq!(judge(PLAUSIBLE_UNTIL_UNIX_MS + 1), Some(ClockDoubt::TooLate));
                assert_eq!(judge(i64::MAX), Some(ClockDoubt::TooLate));
            }
        }
    }

    #[test]
    fn a_clock_ahead_of_every_record_is_trusted() {
        assert_eq!(with_record(-1, true), [true, true]);
        assert_eq!(with_record(-3650 * DAY_MS, false), [true, true]);
        let none = Floor::default();
        for kept in [true, false] {
            assert_eq!(judge_wall(RIGHT_MS, kept, ClockRequirement::Plausible, none), None);
        }
    }

    #[test]
    fn a_kept_clock_beats_a_record_that_nobody_vouched_for() {
        assert_eq!(with_record(1000, false), [true, true]);
        assert_eq!(with_record(1001, false), [true, false]);
        assert_eq!(with_record(YEAR_2036_MS - RIGHT_MS, false), [true, false]);
    }

    #[test]
    fn a_small_step_back_denies_nothing_once_the_clock_is_kept() {
        assert_eq!(with_record(120_000, true), [true, false]);
        assert_eq!(with_record(120_001, true), [false, false]);
    }

    #[test]
    fn two_vouched_times_that_contradict_each_other_are_no_time() {
        assert_eq!(with_record(YEAR_2036_MS - RIGHT_MS, true), [false, false]);
        // What nobody vouched for does not hide the contradiction.
        let floor = Floor {
            vouched: Some(mark(7, RIGHT_MS + DAY_MS)),
            unvouched: Some(mark(41, YEAR_2036_MS)),
        };
        let doubt = judge_wall(RIGHT_MS, true, ClockRequirement::Plausible, floor);
        let seven = ClockDoubt::BehindRecord { record: mark(7, RIGHT_MS + DAY_MS), vouched: true };
        assert_eq!(doubt, Some(seven));
        let doubt = judge_wall(RIGHT_MS, false, ClockRequirement::Plausible, floor);
        let last = ClockDoubt::BehindRecord { record: mark(41, YEAR_2036_MS), vouched: false };
        assert_eq!(doubt, Some(last));
    }

    #[test]
    fn a_required_time_service_is_required_whatever_the_records_say() {
        let judge =
            |kept| judge_wall(RIGHT_MS, kept, ClockRequirement::Synchronised, Floor::default());
        assert_eq!(judge(true), None);
        assert_eq!(judge(false), Some(ClockDoubt::NotSynchronised));
    }

    #[test]
    fn what_is_wrong_with_the_clock_names_record_time_and_remedy() {
        let doubt = ClockDoubt::BehindRecord { record: mark(41, YEAR_2036_MS), vouched: false };
        let said = format!("{doubt}; {}", doubt.remedy());
        for part in ["record 41", "2036-02-07T06:28:15Z", "'deepid-edge clock settle'"] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn a_vouched_record_settles_those_that_nobody_vouched_for() {
        let at = |unix_ms, trust, synchronised| WallClock { unix_ms, trust, synchronised };
        let (yes, no) = (ClockTrust::Trusted, ClockTrust::Untrusted);
        let ahead = Floor::default().after(1, at(YEAR_2036_MS, yes, false));
        assert_eq!(ahead.unvouched, Some(mark(1, YEAR_2036_MS)));
        assert_eq!(ahead.after(2, at(RIGHT_MS, no, true)), ahead, "not trusted: says nothing");
        assert_eq!(ahead.after(2, at(RIGHT_MS, yes, false)), ahead, "a floor is never lowered");
        let settled = ahead.after(2, at(RIGHT_MS, yes, true));
        assert_eq!(settled, Floor { vouched: Some(mark(2, RIGHT_MS)), unvouched: None });
        let stepped = settled.after(3, at(RIGHT_MS - 90_000, yes, true));
        assert_eq!(stepped, settled, "a small step back is allowed, and lowers nothing");
        // The network is away at the next start: the record of 2036 no longer holds the clock.
        let doubt = judge_wall(RIGHT_MS + 1, false, ClockRequirement::Plausible, settled);
        assert_eq!(doubt, None);
    }
}
