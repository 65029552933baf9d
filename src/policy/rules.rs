//! The rule book, and what it says of somebody at a time.
//!
//! | asked in this order | refused as |
//! |---|---|
//! | is the subject enabled | `subject_disabled` |
//! | is the wall clock trusted | `clock_untrusted` |
//! | is the door armed, and the schedule open that its arming follows | `not_armed` |
//! | is the subject valid yet, and still | `outside_schedule` |
//! | is its group's schedule open | `outside_schedule` |
//! | is the door not locked out | `locked_out` |
//! | has the subject come out (or gone in) since it last passed here, where that refuses | `anti_passback` |
//! | has the second factor come that its group needs | `second_factor_missing` |
//! | is a face alone enough at this door, or has the second factor come | `second_factor_missing` |
//! | was somebody of the other group here that its group needs, who is valid and within its hours | `second_factor_missing` |
//!
//! Where the clock is not trusted and that alone does not refuse ([`UntrustedClock::Timeless`]), each rule
//! that has to do with time refuses as `clock_untrusted` at its place.
//!
//! In: [`Asked`]. Out: a [`Ruling`]. Invariants: the first rule that refuses is told, and any that
//! refuses is enough; a subject without group, and a group without schedule, may always pass; a group
//! or a schedule that is named and not there refuses. Nothing allocates.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::arming::Arming;
use super::face_alone::{Doubt, FaceAlone};
use super::name::RuleName;
use super::passback::{
    Direction, PassbackMode, PassbackPolicy, Side, Whereabouts, note_whereabouts,
};
use super::schedule::{Day, Schedule};
use crate::clock::{ClockTrust, Monotonic, WallClock};
use crate::compare::SubjectId;

/// What an administrator has written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleBook {
    /// Whether the door is armed, as it was said last.
    pub arming: Arming,
    /// The schedule outside of which the door is not armed, whatever was said; `None`: there is none.
    pub arming_follows: Option<RuleName>,
    /// Days on which schedules have other hours.
    pub holidays: BTreeSet<Date>,
    /// Schedules.
    pub schedules: BTreeMap<RuleName, Schedule>,
    /// Groups, and the schedule that each follows.
    pub groups: BTreeMap<RuleName, Option<RuleName>>,
    /// What groups need beside a face; those that need nothing are left out.
    pub demands: BTreeMap<RuleName, Demand>,
    /// What is written of single subjects.
    pub subjects: BTreeMap<SubjectId, Terms>,
    /// Where people went last, as far as it is known.
    pub whereabouts: BTreeMap<SubjectId, Whereabouts>,
}

/// What a group needs beside a face.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    /// A second factor of the same subject.
    pub factor: bool,
    /// Somebody else, of this group, who was recognised shortly before.
    pub company: Option<RuleName>,
    /// The schedule while which it is needed; `None`: at any time. Where it is not there, or there is no
    /// clock to go by, it is needed.
    pub during: Option<RuleName>,
}

/// What beside a face is missing: the names that stand on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Awaited {
    /// The same subject's second factor.
    Factor,
    /// A second person.
    Company,
}

/// That somebody's second factor has come, or that somebody was recognised who could have passed, at
/// most but for a second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Who.
    pub subject: SubjectId,
    /// When.
    pub at: Monotonic,
}

/// What is written of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// Its group.
    pub group: Option<RuleName>,
    /// Since when it is valid, on the clock at the door.
    pub from: Option<DateTime>,
    /// From when on it is no longer.
    pub until: Option<DateTime>,
    /// Whether what is decided about it is told as made under duress. It refuses nothing and lets nobody
    /// pass.
    pub duress: bool,
}

/// What comes of a wall clock that is not trusted.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum UntrustedClock {
    /// Nobody may pass.
    #[default]
    Deny,
    /// Whoever is concerned by no rule of time may pass.
    Timeless,
}

/// A rule book where its clocks hang: see the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    book: RuleBook,
    zone: TimeZone,
    untrusted_clock: UntrustedClock,
    passback: PassbackPolicy,
    face: FaceAlone,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Who was recognised.
    pub subject: &'a SubjectId,
    /// Whether all that it was recognised by says that it is enabled.
    pub enabled: bool,
    /// The wall clock; `None` where there is none.
    pub wall: Option<WallClock>,
    /// Whether the door is locked after too many failed visits.
    pub locked_out: bool,
    /// Whether the subject's second factor has come, and counts still.
    pub factor: bool,
    /// Who was recognised shortly before, the subject included.
    pub before: &'a [Proof],
}

/// What the rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruling<'r> {
    /// Why not; `None`: the subject may pass.
    pub refusal: Option<Refusal>,
    /// The rule that it rests on; the last that was asked where nothing refuses.
    pub rule: Rule<'r>,
    /// Whether the subject may pass, and goes the same way a second time.
    pub passback: bool,
}

/// Why somebody may not pass: the names that stand on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The subject is disabled.
    SubjectDisabled,
    /// The wall clock cannot be trusted, and all, or this rule, hangs on it.
    ClockUntrusted,
    /// The door is not armed.
    NotArmed,
    /// Outside of the subject's validity, or of its group's schedule.
    OutsideSchedule,
    /// Too many failed visits.
    LockedOut,
    /// The subject goes the same way a second time.
    AntiPassback,
    /// A second factor, or a second person, has not come.
    SecondFactorMissing(Awaited),
}

/// What a ruling rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule<'r> {
    /// Whether the subject is enabled.
    Enabled,
    /// Whether the clock is trusted.
    Clock,
    /// Whether the door is armed.
    Armed(Arming),
    /// Whether the schedule is open that the door's arming follows.
    ArmedHours {
        /// The schedule.
        schedule: &'r RuleName,
        /// Which hours of it; `None`: there is no such schedule.
        day: Option<Day>,
    },
    /// The subject is valid only from this moment on.
    From(Timestamp),
    /// The subject was valid only until this moment.
    Until(Timestamp),
    /// The hours of a day in a schedule.
    Hours {
        /// The subject's group.
        group: &'r RuleName,
        /// The schedule that the group follows.
        schedule: &'r RuleName,
        /// Which hours of it.
        day: Day,
    },
    /// The group, or the schedule that it follows, is not there.
    Missing {
        /// The subject's group.
        group: &'r RuleName,
    },
    /// The group follows no schedule.
    AnyTime {
        /// The subject's group.
        group: &'r RuleName,
    },
    /// The subject is in no group.
    NoGroup,
    /// Whether the door is locked out.
    LockedOut,
    /// The subject went this way at this moment, and not back since.
    Passback(Timestamp),
    /// The group needs a second factor.
    Factor {
        /// The subject's group.
        group: &'r RuleName,
    },
    /// A face alone is not enough at this door.
    FaceAlone(Doubt),
    /// The group needs somebody of another.
    Company {
        /// The subject's group.
        group: &'r RuleName,
        /// The other.
        company: &'r RuleName,
    },
}

impl Default for Rules {
    /// No rule.
    fn default() -> Self {
        Self::new(RuleBook::default(), TimeZone::UTC)
    }
}

impl Rules {
    /// These rules, on the clocks of `zone`, at a door that keeps no passages and at which a face alone is
    /// enough.
    #[must_use]
    pub const fn new(book: RuleBook, zone: TimeZone) -> Self {
        let passback = PassbackPolicy {
            mode: PassbackMode::Off,
            direction: Direction::None,
            forget: Duration::ZERO,
            same: Duration::ZERO,
            refuse_out: false,
        };
        let untrusted_clock = UntrustedClock::Deny;
        Self { book, zone, untrusted_clock, passback, face: FaceAlone::ENOUGH }
    }

    /// The same with this made of a clock that is not trusted.
    #[must_use]
    pub fn with_untrusted_clock(self, untrusted_clock: UntrustedClock) -> Self {
        Self { untrusted_clock, ..self }
    }

    /// The same at a door that asks where people went last.
    #[must_use]
    pub fn with_passback(self, passback: PassbackPolicy) -> Self {
        Self { passback, ..self }
    }

    /// The same at a door at which a face alone is enough only where nothing in `face` stands against it.
    #[must_use]
    pub fn with_face_alone(self, face: FaceAlone) -> Self {
        Self { face, ..self }
    }

    /// Whether a face alone is enough at this door.
    #[must_use]
    pub const fn face_alone(&self) -> &FaceAlone {
        &self.face
    }

    /// What is made of where people went last.
    #[must_use]
    pub const fn passback(&self) -> &PassbackPolicy {
        &self.passback
    }

    /// Keeps where `subject` went, unless something newer is known at `now_ms`.
    pub fn note_passage(&mut self, subject: &SubjectId, at: Whereabouts, now_ms: i64) {
        note_whereabouts(&mut self.book.whereabouts, subject, at, now_ms);
    }

    /// To which side a grant of `subject` leads, where anybody keeps it, it is a passage of its own, and the
    /// clock is trusted: a wrong time would stand for a right one. It is noted once it is recorded
    /// ([`Self::note_passage`]).
    #[must_use]
    pub fn passes(&self, subject: &SubjectId, wall: WallClock) -> Option<Side> {
        let moment = trusted(Some(wall))?;
        self.passback.passes(self.book.whereabouts.get(subject), moment.as_millisecond())
    }

    /// Keeps what `before` knows of where people went, where that is newer at `now_ms`: it was read earlier,
    /// and has heard of more since.
    pub fn keep_newer(&mut self, before: &Self, now_ms: i64) {
        for (subject, at) in &before.book.whereabouts {
            self.note_passage(subject, *at, now_ms);
        }
    }

    /// What is written.
    #[must_use]
    pub const fn book(&self) -> &RuleBook {
        &self.book
    }

    /// Where the clocks hang.
    #[must_use]
    pub const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// What the rules say.
    #[must_use]
    pub fn judge(&self, asked: &Asked<'_>) -> Ruling<'_> {
        let no = |(refusal, rule)| Ruling { refusal: Some(refusal), rule, passback: false };
        if !asked.enabled {
            return no((Refusal::SubjectDisabled, Rule::Enabled));
        }
        let moment = trusted(asked.wall);
        if moment.is_none() && self.untrusted_clock == UntrustedClock::Deny {
            return no(UNTRUSTED);
        }
        if let Some(refused) = self.unarmed(moment) {
            return no(refused);
        }
        let terms = self.book.subjects.get(asked.subject);
        if let Some(refused) = terms.and_then(|terms| self.invalid(terms, moment)) {
            return no(refused);
        }
        let rule = match self.hours(terms.and_then(|terms| terms.group.as_ref()), moment) {
            Ok(rule) => rule,
            Err(refused) => return no(refused),
        };
        if asked.locked_out {
            return no((Refusal::LockedOut, Rule::LockedOut));
        }
        let again = match self.second_passage(asked.subject, moment) {
            Ok(again) => again,
            Err(refused) => return no(refused),
        };
        if let Some((awaited, rule)) = self.lacking(asked, moment) {
            return no((Refusal::SecondFactorMissing(awaited), rule));
        }
        Ruling { refusal: None, rule, passback: again }
    }

    /// Whether the door is armed when the wall clock says `wall`.
    #[must_use]
    pub fn is_armed(&self, wall: WallClock) -> bool {
        self.unarmed(trusted(Some(wall))).is_none()
    }

    /// Why the door grants nobody at `moment`, whoever it is; `None`: it is armed.
    fn unarmed(&self, moment: Option<Timestamp>) -> Option<Refused<'_>> {
        let RuleBook { arming, arming_follows, schedules, holidays, .. } = &self.book;
        let timed = arming.until_ms().is_some();
        let armed = match moment {
            Some(moment) => arming.is_armed(moment.as_millisecond()),
            None if timed => return Some(UNTRUSTED),
            None => *arming == Arming::On,
        };
        if !armed {
            return Some((Refusal::NotArmed, Rule::Armed(*arming)));
        }
        let schedule = arming_follows.as_ref()?;
        let closed = |day| Some((Refusal::NotArmed, Rule::ArmedHours { schedule, day }));
        let Some(hours) = schedules.get(schedule) else { return closed(None) };
        let Some(moment) = moment else { return Some(UNTRUSTED) };
        let (day, open) = hours.at(self.zone.to_datetime(moment), holidays);
        if open { None } else { closed(Some(day)) }
    }

    /// Whether the subject goes the same way a second time, where that does not refuse. Without a clock it
    /// is not known.
    fn second_passage(
        &self,
        subject: &SubjectId,
        moment: Option<Timestamp>,
    ) -> Result<bool, Refused<'_>> {
        let refuses = self.passback.refuses();
        let Some(moment) = moment else {
            return if refuses { Err(UNTRUSTED) } else { Ok(false) };
        };
        let went = self.book.whereabouts.get(subject);
        let went = self.passback.repeats(went, moment.as_millisecond());
        match went.filter(|_| refuses) {
            Some(since_ms) => {
                let since = Timestamp::from_millisecond(since_ms).unwrap_or(moment);
                Err((Refusal::AntiPassback, Rule::Passback(since)))
            }
            None => Ok(went.is_some()),
        }
    }

    /// What the subject's group, or this door, needs beside the face and has not got.
    fn lacking<'r>(
        &'r self,
        asked: &Asked<'_>,
        moment: Option<Timestamp>,
    ) -> Option<(Awaited, Rule<'r>)> {
        let group = self.group_of(asked.subject);
        let demand = group.and_then(|group| Some((group, self.book.demands.get(group)?)));
        let demand = demand.filter(|(_, demand)| self.is_needed(demand, moment));
        if !asked.factor {
            let grouped = demand.filter(|(_, demand)| demand.factor);
            let grouped = grouped.map(|(group, _)| Rule::Factor { group });
            if let Some(rule) = grouped.or_else(|| self.face.doubts().next().map(Rule::FaceAlone)) {
                return Some((Awaited::Factor, rule));
            }
        }
        let (group, Demand { company, .. }) = demand?;
        let company = company.as_ref()?;
        let is_company = |proof: &Proof| {
            let terms = self.book.subjects.get(&proof.subject);
            proof.subject != *asked.subject
                && terms.and_then(|terms| terms.group.as_ref()) == Some(company)
                && terms.is_none_or(|terms| self.invalid(terms, moment).is_none())
                && self.hours(Some(company), moment).is_ok()
        };
        let rule = Rule::Company { group, company };
        (!asked.before.iter().any(is_company)).then_some((Awaited::Company, rule))
    }

    /// Whether a demand holds at `moment`.
    fn is_needed(&self, demand: &Demand, moment: Option<Timestamp>) -> bool {
        let Some(during) = &demand.during else { return true };
        let (Some(hours), Some(moment)) = (self.book.schedules.get(during), moment) else {
            return true;
        };
        hours.at(self.zone.to_datetime(moment), &self.book.holidays).1
    }

    /// Whether what is decided about `subject` is told as made under duress.
    #[must_use]
    pub fn is_under_duress(&self, subject: &SubjectId) -> bool {
        self.book.subjects.get(subject).is_some_and(|terms| terms.duress)
    }

    /// Whose validity ended at least `ago` before `unix_ms` (milliseconds since 1970). Where the clock at the
    /// door shows its end twice, or never, the longer validity counts: nobody is said to be gone too soon.
    pub fn ended(&self, ago: Duration, unix_ms: i64) -> impl Iterator<Item = &SubjectId> {
        let ago_ms = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        let before_ms = unix_ms.saturating_sub(ago_ms);
        let ended = move |terms: &Terms| {
            let until = terms.until.map(|until| self.zone.to_ambiguous_timestamp(until).later());
            matches!(until, Some(Ok(until)) if until.as_millisecond() <= before_ms)
        };
        self.book.subjects.iter().filter(move |(_, terms)| ended(terms)).map(|(who, _)| who)
    }

    fn group_of(&self, subject: &SubjectId) -> Option<&RuleName> {
        self.book.subjects.get(subject).and_then(|terms| terms.group.as_ref())
    }

    /// Why a subject is not valid at `moment`, if it is not. Where the clock at the door shows a time
    /// twice, or never, the shorter validity counts.
    fn invalid(&self, terms: &Terms, moment: Option<Timestamp>) -> Option<Refused<'static>> {
        if terms.from.is_none() && terms.until.is_none() {
            return None;
        }
        let Some(moment) = moment else { return Some(UNTRUSTED) };
        let outside = |rule| Some((Refusal::OutsideSchedule, rule));
        let resolved = |time: DateTime| self.zone.to_ambiguous_timestamp(time);
        if let Some(from) = terms.from {
            // A time that no calendar has is never reached.
            let from = resolved(from).later().unwrap_or(Timestamp::MAX);
            if moment < from {
                return outside(Rule::From(from));
            }
        }
        let until = resolved(terms.until?).earlier().unwrap_or(Timestamp::MIN);
        if moment >= until { outside(Rule::Until(until)) } else { None }
    }

    /// The rule of hours by which a group may pass at `moment`, or why it may not.
    fn hours<'r>(
        &'r self,
        group: Option<&'r RuleName>,
        moment: Option<Timestamp>,
    ) -> Result<Rule<'r>, Refused<'r>> {
        let Some(group) = group else { return Ok(Rule::NoGroup) };
        let RuleBook { groups, schedules, holidays, .. } = &self.book;
        let missing = (Refusal::OutsideSchedule, Rule::Missing { group });
        let Some(schedule) = groups.get(group).ok_or(missing)? else {
            return Ok(Rule::AnyTime { group });
        };
        let hours = schedules.get(schedule).ok_or(missing)?;
        let moment = moment.ok_or(UNTRUSTED)?;
        let (day, open) = hours.at(self.zone.to_datetime(moment), holidays);
        let rule = Rule::Hours { group, schedule, day };
        if open { Ok(rule) } else { Err((Refusal::OutsideSchedule, rule)) }
    }
}

/// A refusal, and the rule that it rests on.
type Refused<'r> = (Refusal, Rule<'r>);

/// Of a rule that needs a clock, where there is none to go by.
const UNTRUSTED: Refused<'static> = (Refusal::ClockUntrusted, Rule::Clock);

/// The moment that a clock shows, where it is trusted.
fn trusted(wall: Option<WallClock>) -> Option<Timestamp> {
    let wall = wall.filter(|wall| wall.trust == ClockTrust::Trusted)?;
    Timestamp::from_millisecond(wall.unix_ms).ok()
}
