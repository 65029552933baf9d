//! `arm`: whether the door grants anything at all.
//!
//! In: the database, a word. Out: the state, which survives restarts; every change is one transaction
//! with its record. Deliberately absent: arming over MQTT, which is `ask`; alarms; armed means here that the door lets people in.

use std::fmt::Write as _;

use clap::Subcommand;
use jiff::SignedDuration;
use serde_json::json;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::subjects::{change_rules, clock, existing};
use crate::clock::{Clock as _, ClockTrust, WallClock, utc};
use crate::config::Config;
use crate::policy::{Arming, RuleName};
use crate::publish::{Armed, Unarmed};
use crate::store::{RuleChange, Store};

/// The shortest and the longest time for which a door is armed.
const FROM: SignedDuration = SignedDuration::from_secs(60);
const UP_TO: SignedDuration = SignedDuration::from_hours(366 * 24);

/// What to do with the door.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Let pass whoever may, until told otherwise
    On,
    /// Let nobody pass
    Off,
    /// Let pass whoever may for a while, and nobody from then on
    For {
        /// How long, such as 90m, 8h or 2h30m
        #[arg(value_name = "DURATION", value_parser = duration)]
        duration: SignedDuration,
    },
    /// Let pass whoever may only while a schedule is open
    Follow {
        /// The schedule, of 'deepid-edge schedules'
        #[arg(value_name = "SCHEDULE", value_parser = RuleName::new, required_unless_present = "none")]
        schedule: Option<RuleName>,
        /// Follow none: let pass whoever may, whatever the hour is
        #[arg(long, conflicts_with = "schedule")]
        none: bool,
    },
    /// Say whether the door is armed
    Show,
}

pub(super) fn duration(text: &str) -> Result<SignedDuration, String> {
    let read = text.parse::<SignedDuration>().ok();
    read.filter(|duration| (FROM..=UP_TO).contains(duration)).ok_or_else(|| {
        "must be a duration such as 90m, 8h or 2h30m, from a minute to 366 days".to_owned()
    })
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        let opened = || existing(&config, Store::open);
        match self {
            Self::Show => tell(context, &config, &existing(&config, Store::open_read_only)?),
            Self::On => change(context, &config, &mut opened()?, RuleChange::Arm(Arming::On)),
            Self::Off => change(context, &config, &mut opened()?, RuleChange::Arm(Arming::Off)),
            Self::Follow { schedule, .. } => {
                change(context, &config, &mut opened()?, RuleChange::ArmBy(schedule.as_ref()))
            }
            Self::For { duration } => {
                let mut store = opened()?;
                let arming = lasting(duration, clock(&store, &config)?.wall())?;
                change(context, &config, &mut store, RuleChange::Arm(arming))
            }
        }
    }
}

fn change(
    context: &Context,
    config: &Config,
    store: &mut Store,
    change: RuleChange<'_>,
) -> Result<Kind, Failure> {
    change_rules(store, config, change)?;
    tell(context, config, store)
}

/// Armed for `duration` from now on.
fn lasting(duration: SignedDuration, now: WallClock) -> Result<Arming, Failure> {
    if now.trust != ClockTrust::Trusted {
        return Err(Failure::new(
            Kind::Negative,
            "the clock is not trusted, so that no end can be reckoned",
            "'deepid-edge clock show' says why; 'arm on' needs no clock",
        ));
    }
    let ms = i64::try_from(duration.as_millis()).unwrap_or(0);
    Ok(Arming::Until(now.unix_ms.saturating_add(ms)))
}

fn tell(context: &Context, config: &Config, store: &Store) -> Result<Kind, Failure> {
    let rules = config.rules(store.arming_book()?, None);
    let Armed { armed, reason, schedule, .. } = Armed::new(&rules, clock(store, config)?.wall());
    let arming = rules.book().arming;
    let until = arming.until_ms().filter(|_| reason.is_none_or(is_for_now)).map(utc);
    let text = if let Some(reason) = reason {
        let (what, remedy) = reason.words(schedule.as_ref());
        format!("not armed: nobody is let in, because {what}; {remedy}")
    } else {
        let (mut text, mut then) = ("armed".to_owned(), ": whoever may pass is let in");
        if let Some(until) = &until {
            let _infallible = write!(text, " until {until}");
            then = ", and nobody is let in from then on";
        }
        if let Some(schedule) = &schedule {
            let _infallible = write!(text, " while schedule {schedule} is open, as it is now");
        }
        text + then
    };
    let value = json!({ "armed": armed, "reason": reason, "until": until, "schedule": schedule });
    context.tell(text, &value)?;
    Ok(Kind::Done)
}

/// Whether a door that is not armed for this reason may be again before the time is over for which it is.
const fn is_for_now(reason: Unarmed) -> bool {
    matches!(reason, Unarmed::Schedule | Unarmed::Clock)
}
