//! `arm`: whether the door grants anything at all.
//!
//! In: the database, a word. Out: the state, which survives restarts; every change is one transaction
//! with its record. Deliberately absent: arming over MQTT, which is `ask`; alarms; armed means here that the door lets people in.

use clap::Subcommand;
use jiff::SignedDuration;
use serde_json::json;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::subjects::{change_rules, clock, existing};
use crate::clock::{Clock as _, ClockTrust, WallClock, utc};
use crate::config::Config;
use crate::policy::{Arming, RuleName, Rules};
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
    let wall = clock(store, config)?.wall();
    let armed = rules.is_armed(wall);
    let book = rules.book();
    let until = book.arming.until_ms().filter(|_| armed).map(utc);
    let schedule = book.arming_follows.as_ref();
    let text = match (armed, &until, schedule) {
        (true, None, None) => "armed: whoever may pass is let in".to_owned(),
        (true, None, Some(schedule)) => format!(
            "armed while schedule {schedule} is open, as it is now: whoever may pass is let in"
        ),
        (true, Some(until), None) => {
            format!("armed until {until}, and nobody is let in from then on")
        }
        (true, Some(until), Some(schedule)) => format!(
            "armed until {until} while schedule {schedule} is open, as it is now; nobody is let in from then on"
        ),
        (false, ..) => {
            let (what, remedy) = unarmed(&rules, wall);
            format!("not armed: nobody is let in, because {what}; {remedy}")
        }
    };
    context.tell(text, &json!({ "armed": armed, "until": until, "schedule": schedule }))?;
    Ok(Kind::Done)
}

/// Of a door that is not armed when the wall clock says `wall`: why, and what changes that.
pub(super) fn unarmed(rules: &Rules, wall: WallClock) -> (String, String) {
    let book = rules.book();
    if book.arming == Arming::Off {
        return ("it was disarmed".to_owned(), "'deepid-edge arm on' changes that".to_owned());
    }
    if wall.trust != ClockTrust::Trusted {
        let remedy = "'deepid-edge clock show' says what helps".to_owned();
        return ("that hangs on the time and the clock is not trusted".to_owned(), remedy);
    }
    match &book.arming_follows {
        Some(schedule) if book.arming.is_armed(wall.unix_ms) => (
            format!("its schedule {schedule} is closed"),
            format!(
                "'deepid-edge schedules set {schedule}' gives it other hours, 'deepid-edge arm follow' another schedule or none (--none)"
            ),
        ),
        _ => (
            "the time is over for which it was armed".to_owned(),
            "'deepid-edge arm on' changes that".to_owned(),
        ),
    }
}
