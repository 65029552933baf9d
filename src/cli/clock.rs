//! `clock`: whether the wall clock is trusted, which records hold it, and a word that they no longer
//! do.
//!
//! In: the clock, the database. Out: the time, the records that the clock may not stand behind, what
//! is doubted, and the remedy. Invariants: `show` changes nothing; `settle` believes the person who
//! says it, asks first, and is an audit record itself, so that word and effect are one transaction.
//! Deliberately absent: setting the clock; that is `timedatectl`'s.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::subjects::{self, existing};
use super::usable;
use crate::clock::{ClockDoubt, ClockTrust, Floor, Mark, SystemClock, WallClock, utc};
use crate::config::Config;
use crate::policy::UntrustedClock;
use crate::store::Store;

/// What to do with the clock.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the time, whether it is trusted, and which records the clock may not stand behind
    Show,
    /// Say that the clock is right now: no record made before holds it any more
    Settle {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        match self {
            Self::Show => show(context, &config),
            Self::Settle { yes } => settle(context, &config, yes),
        }
    }
}

fn show(context: &Context, config: &Config) -> Result<Kind, Failure> {
    let floor = if usable::is_there(config)? {
        existing(config, Store::open_read_only)?.clock_floor()?
    } else {
        Floor::default()
    };
    let (wall, doubt) = SystemClock::new(config.clock.require, floor).wall_with_doubt();
    let mut text = format!("{}, {}\n", utc(wall.unix_ms), kept(wall));
    for (mark, vouched) in [(floor.vouched, true), (floor.unvouched, false)] {
        if let Some(mark) = mark {
            let by =
                if vouched { "a time service vouched for it" } else { "nobody vouched for it" };
            let _infallible =
                writeln!(text, "held by record {} of {}; {by}", mark.seq, utc(mark.unix_ms));
        }
    }
    match doubt {
        None => text.push_str("trusted\n"),
        Some(doubt) => {
            let _infallible = writeln!(
                text,
                "not trusted, so {}: {doubt}\n  try: {}",
                closed(config.policy.untrusted_clock),
                doubt.remedy()
            );
        }
    }
    context.tell(text, &as_json(wall, floor, doubt))?;
    Ok(if wall.trust == ClockTrust::Trusted { Kind::Done } else { Kind::Negative })
}

fn settle(context: &Context, config: &Config, yes: bool) -> Result<Kind, Failure> {
    let mut store = existing(config, Store::open)?;
    let floor = store.clock_floor()?;
    let (wall, doubt) = SystemClock::new(config.clock.require, floor).wall_with_doubt();
    let Some(ClockDoubt::BehindRecord { record, .. }) = doubt else {
        return nothing_to_settle(context, wall, floor, doubt);
    };
    let now = utc(wall.unix_ms);
    let question = format!(
        "Is {now} the right time? If so, record {} of {} no longer holds the clock.",
        record.seq,
        utc(record.unix_ms)
    );
    context.confirm(&question, yes)?;
    let settled = subjects::settle_clock(&mut store, config)?;
    let (wall, doubt) = subjects::clock(&store, config)?.wall_with_doubt();
    let mut text =
        format!("record {} of {} no longer holds the clock", record.seq, utc(record.unix_ms));
    if let Some(doubt) = doubt {
        let _infallible = write!(text, "; it is still not trusted: {doubt}: {}", doubt.remedy());
    }
    let value = json!({
        "settled": mark_json(record),
        "record": settled,
        "clock": as_json(wall, store.clock_floor()?, doubt),
    });
    context.tell(text, &value)?;
    Ok(Kind::Done)
}

/// A clock that stands before this software was made is not right, whatever anybody says.
fn nothing_to_settle(
    context: &Context,
    wall: WallClock,
    floor: Floor,
    doubt: Option<ClockDoubt>,
) -> Result<Kind, Failure> {
    if let Some(doubt @ (ClockDoubt::BeforeBuild | ClockDoubt::TooLate)) = doubt {
        return Err(Failure::new(
            Kind::Negative,
            format!("{doubt}: it cannot be right"),
            doubt.remedy(),
        )
        .at(utc(wall.unix_ms)));
    }
    let mut text = format!("{}: no record holds the clock; nothing was changed", utc(wall.unix_ms));
    if let Some(doubt) = doubt {
        let _infallible = write!(text, "; it is not trusted: {doubt}: {}", doubt.remedy());
    }
    let value = json!({ "settled": null, "record": null, "clock": as_json(wall, floor, doubt) });
    context.tell(text, &value)?;
    Ok(Kind::Done)
}

const fn kept(wall: WallClock) -> &'static str {
    if wall.synchronised { "kept by a time service" } else { "not kept by a time service" }
}

/// What a clock that is not trusted closes.
pub(super) const fn closed(untrusted: UntrustedClock) -> &'static str {
    match untrusted {
        UntrustedClock::Deny => "nobody is granted",
        UntrustedClock::Timeless => {
            "nobody is granted whom a rule of time concerns (policy.untrusted_clock)"
        }
    }
}

fn as_json(wall: WallClock, floor: Floor, doubt: Option<ClockDoubt>) -> serde_json::Value {
    json!({
        "time": utc(wall.unix_ms),
        "synchronised": wall.synchronised,
        "trust": wall.trust,
        "doubt": doubt.map(ClockDoubt::name),
        "what": doubt.map(|doubt| doubt.to_string()),
        "remedy": doubt.map(ClockDoubt::remedy),
        "held_by": {
            "vouched": floor.vouched.map(mark_json),
            "unvouched": floor.unvouched.map(mark_json),
        },
    })
}

fn mark_json(mark: Mark) -> serde_json::Value {
    json!({ "record": mark.seq, "issued": utc(mark.unix_ms) })
}
