//! A time as a person types it.
//!
//! In: a date, a time, or an age, and the time now. Out: milliseconds since 1970, in UTC. Pure.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// The moment that `text` means at `now_ms`; of a date its beginning, or with `whole_day` its end.
/// `None` for what is no time.
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
