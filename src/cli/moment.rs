//! Times as people type them.
//!
//! | asked by | what is understood | on which clock |
//! |---|---|---|
//! | `records` | a date, a time with its zone, an age | UTC |
//! | `policy explain` | a time, or one with its zone | the one at the door |
//! | `subjects validity` | a date, a time | the one at the door |
//!
//! In: a text, and what it hangs on. Out: a time; nothing, or what would be right, for what is none.
//! Pure. Single dates are read by `policy::read_date`.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::policy::read_date;

/// The moment that `text` means at `now_ms`, in milliseconds since 1970; of a date its beginning, or
/// with `whole_day` its end. `None` for what is no time.
pub(super) fn parse(text: &str, now_ms: i64, whole_day: bool) -> Option<i64> {
    let text = text.trim();
    if let Ok(date) = text.parse::<Date>()
        && !text.contains(['T', 't', ' '])
    {
        let date = if whole_day { date.checked_add(1.day()).ok()? } else { date };
        return Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond());
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp.as_millisecond());
    }
    let unit = text.chars().last()?;
    let count: i64 = text.strip_suffix(unit)?.parse().ok().filter(|count| *count >= 0)?;
    let unit_ms = match unit {
        's' => 1000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        'w' => 7 * 86_400_000,
        _ => return None,
    };
    now_ms.checked_sub(count.checked_mul(unit_ms)?)
}

/// The moment that `text` means on the clock of `zone`, or with a zone of its own, in milliseconds
/// since 1970.
pub(super) fn at_the_door(text: &str, zone: &TimeZone) -> Option<i64> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_millisecond());
    }
    local_time(text).and_then(|time| zone.to_timestamp(time).ok()).map(Timestamp::as_millisecond)
}

/// The beginning of a day, or a time.
pub(super) fn first(text: &str) -> Result<DateTime, String> {
    let date = read_date(text).ok().map(|date| date.at(0, 0, 0, 0));
    date.or_else(|| local_time(text)).ok_or_else(no_time)
}

/// The end of a day, or a time.
pub(super) fn last(text: &str) -> Result<DateTime, String> {
    let date = read_date(text).ok().and_then(|date| date.tomorrow().ok());
    let date = date.map(|next| next.at(0, 0, 0, 0));
    date.or_else(|| local_time(text)).ok_or_else(no_time)
}

fn no_time() -> String {
    "must be a date such as 2026-12-24, or a time such as '2026-12-24 18:30'".to_owned()
}

/// `2026-12-24 18:30`, also with a `T` between.
fn local_time(text: &str) -> Option<DateTime> {
    let read: DateTime = text.parse().ok()?;
    // Nothing more, such as an offset, which would be passed over.
    let same = |form: &str| read.strftime(form).to_string() == text;
    (same("%Y-%m-%d %H:%M") || same("%Y-%m-%dT%H:%M")).then_some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-28T07:15:00Z.
    const NOW_MS: i64 = 1_795_850_100_000;
    const DAY_MS: i64 = 86_400_000;

    #[test]
    fn dates_times_and_ages_are_understood_and_nothing_else() {
        let midnight = NOW_MS - (7 * 60 + 15) * 60_000;
        for (text, since, until) in [
            ("2026-11-28", midnight, midnight + DAY_MS),
            ("2026-11-28T07:15:00Z", NOW_MS, NOW_MS),
            ("2026-11-28T08:15:00+01:00", NOW_MS, NOW_MS),
            ("90m", NOW_MS - 5_400_000, NOW_MS - 5_400_000),
            ("7d", NOW_MS - 7 * DAY_MS, NOW_MS - 7 * DAY_MS),
            (" 0s ", NOW_MS, NOW_MS),
        ] {
            assert_eq!(parse(text, NOW_MS, false), Some(since), "{text}");
            assert_eq!(parse(text, NOW_MS, true), Some(until), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "7",
            "d",
            "-3d",
            "2026-02-30",
            "2026-11-28T07:15",
            "99999999999999999w",
            "3é",
        ] {
            assert_eq!(parse(text, NOW_MS, false), None, "{text}");
        }
    }
}
