//! The message on `armed`: whether the door grants anything, as far as arming goes.
//!
//! In: the rules, the wall clock. Out: [`Armed`]. Pure. Invariant: a state, and never a request: nothing is
//! armed by it. Deliberately absent: whether the clock is trusted otherwise, or anybody could be granted.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::message::{Schema, payload};
use super::topic::{Payload, Topic};
use crate::clock::{ClockTrust, WallClock, rfc3339};
use crate::policy::{Arming, RuleName, Rules};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armed {
    /// `deepid-edge/armed/1`.
    pub schema: Schema,
    /// Whether it is armed.
    pub armed: bool,
    /// Why it is not; absent where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Unarmed>,
    /// Until when, where it is armed for a time that is not over, also while its schedule is closed: RFC
    /// 3339, UTC, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The schedule outside of which it is not armed; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<RuleName>,
}

payload!(Armed => Armed);

/// Why a door is not armed: the names that stand on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unarmed {
    /// It was disarmed.
    Disarmed,
    /// The time is over for which it was armed.
    Over,
    /// Its schedule is closed.
    Schedule,
    /// It hangs on the time, and the clock is not trusted.
    Clock,
}

impl Armed {
    /// What the rules say of it when the wall clock says `wall`.
    #[must_use]
    pub fn new(rules: &Rules, wall: WallClock) -> Self {
        let book = rules.book();
        let lasts = book.arming.is_armed(wall.unix_ms);
        let reason = (!rules.is_armed(wall)).then_some(match book.arming {
            Arming::Off => Unarmed::Disarmed,
            _ if wall.trust != ClockTrust::Trusted => Unarmed::Clock,
            Arming::Until(_) if !lasts => Unarmed::Over,
            _ => Unarmed::Schedule,
        });
        Self {
            schema: Self::schema(),
            armed: reason.is_none(),
            reason,
            until: book.arming.until_ms().filter(|_| lasts).map(rfc3339),
            schedule: book.arming_follows.clone(),
        }
    }
}

impl Unarmed {
    /// The same for a person: what keeps the door shut, and what changes that.
    #[must_use]
    pub fn words(self, schedule: Option<&RuleName>) -> (String, String) {
        let name = schedule.map_or_else(String::new, |name| format!(" {name}"));
        let (what, remedy) = match self {
            Self::Disarmed => ("it was disarmed", "'deepid-edge arm on' changes that"),
            Self::Over => {
                ("the time is over for which it was armed", "'deepid-edge arm on' changes that")
            }
            Self::Clock => (
                "that hangs on the time and the clock is not trusted",
                "'deepid-edge clock show' says what helps",
            ),
            Self::Schedule => {
                let remedy = "'deepid-edge schedules set' gives it other hours, 'deepid-edge arm follow' another schedule or none (--none)";
                return (format!("its schedule{name} is closed"), remedy.to_owned());
            }
        };
        (what.to_owned(), remedy.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::policy::{RuleBook, Schedule};

    /// 2026-12-01T00:00:00Z, a Tuesday.
    const MIDNIGHT_MS: i64 = 1_796_083_200_000;

    #[test]
    fn what_keeps_a_door_shut_is_told_and_what_was_said_first() {
        let shop = RuleName::new("shop").unwrap();
        let told = |arming, follows: Option<&RuleName>, minute: i64, trust| {
            let mut book =
                RuleBook { arming, arming_follows: follows.cloned(), ..RuleBook::default() };
            let hours = Schedule::read("daily 08:00-18:00").unwrap();
            book.schedules.insert(shop.clone(), hours);
            let unix_ms = MIDNIGHT_MS + minute * 60_000;
            let armed = Armed::new(
                &Rules::new(book, TimeZone::UTC),
                WallClock { unix_ms, trust, synchronised: false },
            );
            (armed.reason, armed.until.is_some())
        };
        let (yes, no) = (ClockTrust::Trusted, ClockTrust::Untrusted);
        let noon = Arming::Until(MIDNIGHT_MS + 12 * 3_600_000);
        let follows = Some(&shop);
        for (arming, follows, minute, trust, wanted) in [
            (Arming::On, None, 0, yes, (None, false)),
            (Arming::On, None, 0, no, (None, false)),
            (Arming::On, follows, 600, yes, (None, false)),
            (Arming::On, follows, 1200, yes, (Some(Unarmed::Schedule), false)),
            (Arming::On, follows, 600, no, (Some(Unarmed::Clock), false)),
            (Arming::Off, follows, 600, yes, (Some(Unarmed::Disarmed), false)),
            (Arming::Off, follows, 1200, no, (Some(Unarmed::Disarmed), false)),
            (noon, None, 600, yes, (None, true)),
            (noon, None, 800, yes, (Some(Unarmed::Over), false)),
            (noon, None, 600, no, (Some(Unarmed::Clock), true)),
            (noon, follows, 400, yes, (Some(Unarmed::Schedule), true)),
        ] {
            assert_eq!(told(arming, follows, minute, trust), wanted, "{arming:?} {minute}");
        }
    }
}
