//! The rules of the demonstration's door: a cleaner has hours, and whoever lives there needs a tag
//! beside a face.
//!
//! In: who was enrolled into which group. Out: groups and a schedule, made by the verbs that an
//! administrator would type; and a hub that says, signed, that the tag was shown when the door asks for
//! it. Deliberately absent: a tag in a fast replay, in which nobody has the time to show one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value as Json;

use super::process::Settings;
use crate::cli::exit::Kind;
use crate::cli::failure::Failure;
use crate::clock::WallClock;
use crate::door::Guidance;

/// Who may come at stated hours only.
const CLEANERS: &str = "cleaners";
/// Who needs a tag beside a face.
const HOUSEHOLD: &str = "household";
/// Which days from now the cleaner's is: neither today nor a neighbour in any time zone.
const DAYS_AHEAD: i64 = 3;

/// Makes the rules, and puts `members` (subject and group) into their groups; the cleaner's hours.
pub(super) fn make(
    settings: &Settings,
    members: &[(String, Option<String>)],
    now: WallClock,
    tags: bool,
) -> Result<String, Failure> {
    let hours = format!("{} 08:00-12:00", day(now));
    settings.typed(Kind::Fault, &["schedules", "set", "cleaning", &hours])?;
    settings.typed(Kind::Fault, &["groups", "add", CLEANERS, "--schedule", "cleaning"])?;
    settings.typed(Kind::Fault, &["groups", "add", HOUSEHOLD])?;
    if tags {
        settings.typed(Kind::Fault, &["groups", "demand", HOUSEHOLD, "--factor"])?;
    }
    for (subject, group) in members {
        if let Some(group) = group {
            settings.typed(Kind::Fault, &["groups", "assign", subject, group])?;
        }
    }
    Ok(hours)
}

/// The day of the week on which the cleaner may come.
fn day(now: WallClock) -> String {
    let ahead = now.unix_ms + DAYS_AHEAD * 24 * 3600 * 1000;
    let then = Timestamp::from_millisecond(ahead).unwrap_or(Timestamp::UNIX_EPOCH);
    then.to_zoned(TimeZone::UTC).strftime("%a").to_string().to_lowercase()
}

/// A hub with a reader of tags, whose key may say that a tag was shown, and nothing else.
#[derive(Debug)]
pub(super) struct Hub {
    key: PathBuf,
    subject: String,
    shown: bool,
}

impl Hub {
    /// Makes its key in `folder` and tells it to the door; the tag is that of `subject`.
    pub(super) fn new(settings: &Settings, folder: &Path, subject: &str) -> Result<Self, Failure> {
        let (key, public) = (folder.join("hub.key"), folder.join("hub.key.pub"));
        settings.typed(Kind::Fault, &["admins".as_ref(), "key".as_ref(), key.as_os_str()])?;
        let add = ["admins".as_ref(), "add".as_ref(), "hub".as_ref(), public.as_os_str()];
        settings.typed(Kind::Fault, &[&add[..], &["--factor-only".as_ref()]].concat())?;
        Ok(Self { key, subject: subject.to_owned(), shown: false })
    }

    /// Reads a message on `guidance`: where it asks for the second factor, the tag is shown, once. What
    /// came of that.
    pub(super) fn guided(&mut self, settings: &Settings, payload: &[u8]) -> Option<String> {
        let message: Json = serde_json::from_slice(payload).ok()?;
        let wanted = message.get("guidance")?.as_str()? == Guidance::SecondFactor.name();
        if !wanted || self.shown {
            return None;
        }
        self.shown = true;
        let key = self.key.as_os_str();
        let subject: &OsStr = self.subject.as_ref();
        let ask = ["ask".as_ref(), "--key".as_ref(), key, "factor".as_ref(), subject];
        let came = match settings.typed(Kind::Fault, &ask) {
            Ok(_) => "the door takes it".to_owned(),
            Err(failure) => failure.to_string(),
        };
        Some(format!(
            "         door       asks for the second factor\n         hub        says, signed, that the tag of {} was shown: {came}",
            self.subject
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ClockTrust;

    #[test]
    fn the_cleaners_day_is_no_neighbour_of_today() {
        // 2026-05-01 was a Friday.
        let wall = |unix_ms| WallClock { unix_ms, trust: ClockTrust::Trusted, synchronised: false };
        assert_eq!(day(wall(1_777_619_702_123)), "mon");
        assert_eq!(day(wall(1_777_619_702_123 + 24 * 3600 * 1000)), "tue");
    }
}
