//! Who may pass, and when: the rules of the household, asked of everybody who was recognised.
//!
//! ```text
//! Asked { who, enabled, wall clock, locked out, what else has come } ─> Rules::judge ─> Ruling { refusal or none, rule }
//! visits that end ─> Lockout ─> locked out until
//! visits of strangers ─> Strangers ─> enough of them that somebody is told
//! an administrator ─> Permit ─> whether somebody may be enrolled over MQTT now
//! what was typed at the door ─> Pin ─> PinResult
//! where somebody went last, where the door leads ─> PassbackPolicy ─> the same way a second time
//! what is claimed of the gallery, whether liveness is looked at ─> FaceAlone ─> doubts, each of which needs a second factor
//! ```
//!
//! In: a [`RuleBook`], as an administrator has written it, a time zone, and the time. Out: a
//! [`Ruling`], with the rule that it rests on. Pure: no clock, no file; time is an argument.
//!
//! Invariants: every rule can refuse and none can allow what another refuses; what cannot be decided
//! is refused: by an untrusted clock, a schedule that is not there. `tests/data/policy/*.txt` has the
//! cases. Deliberately absent: faces and scores; whoever is asked about was proven already (`decide`).

mod arming;
mod calendar;
mod face_alone;
mod hours;
mod lockout;
mod name;
mod passback;
mod permit;
mod pin;
mod rules;
mod schedule;
mod strangers;

pub use arming::Arming;
pub use calendar::{CALENDAR_BYTES_MAX, CalendarProblem, Holidays, LeftOut, read_holidays};
pub use face_alone::{Doubt, FaceAlone};
pub use hours::Hours;
pub use lockout::{Lockout, LockoutPolicy};
pub use name::{InvalidRuleName, RuleName};
pub use passback::{
    AHEAD_MAX_MS, Direction, PassbackMode, PassbackPolicy, SAME_PASSAGE, Side, Whereabouts,
    note_whereabouts,
};
pub use permit::Permit;
pub use pin::{DIGITS_MAX, DIGITS_MIN, Pin, PinProblem, PinResult};
pub use rules::{
    Asked, Awaited, Demand, Proof, Refusal, Rule, RuleBook, Rules, Ruling, Terms, UntrustedClock,
};
pub use schedule::{Day, Schedule, ScheduleProblem, read_date};
pub use strangers::{Strangers, StrangersPolicy};
