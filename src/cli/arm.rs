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
use crate::policy::Arming;
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
            Self::On => arm(context, &config, &mut opened()?, Arming::On),
            Self::Off => arm(context, &config, &mut opened()?, Arming::Off),
            Self::For { duration } => {
                let mut store = opened()?;
                let arming = lasting(duration, clock(&store, &config)?.wall())?;
                arm(context, &config, &mut store, arming)
            }
        }
    }
}

fn arm(
    context: &Context,
    config: &Config,
    store: &mut Store,
    arming: Arming,
) -> Result<Kind, Failure> {
    change_rules(store, config, RuleChange::Arm(arming))?;
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
    let arming = store.arming()?;
    let armed = arming.is_armed(clock(store, config)?.wall().unix_ms);
    let until = arming.until_ms().filter(|_| armed).map(utc);
    let text = match (armed, &until) {
        (true, None) => "armed: whoever may pass is let in".to_owned(),
        (true, Some(until)) => format!("armed until {until}, and nobody is let in from then on"),
        (false, _) => "not armed: nobody is let in; 'deepid-edge arm on' changes that".to_owned(),
    };
    context.tell(text, &json!({ "armed": armed, "until": until }))?;
    Ok(Kind::Done)
}
