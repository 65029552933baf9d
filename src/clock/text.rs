//! Times as text: RFC 3339 in UTC, the one form in which this program writes a time.
//!
//! In: milliseconds since 1970. Out: to the second for people, with milliseconds for machines.
//! Deliberately absent: other time zones, which belong to whoever prints; times that people type,
//! which the command line reads.

use jiff::Timestamp;

/// `unix_ms` to the second; `?` for a time that no calendar has.
#[must_use]
pub fn utc(unix_ms: i64) -> String {
    Timestamp::from_millisecond(unix_ms)
        .map_or_else(|_| "?".to_owned(), |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// `unix_ms` with milliseconds; a time that no calendar has counts as 1970, because a schema asks for
/// a time.
#[must_use]
pub fn rfc3339(unix_ms: i64) -> String {
    let time = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        // 2026-11-28T07:15:00.042Z.
        let time = 1_795_850_100_042;
        assert_eq!(utc(time), "2026-11-28T07:15:00Z");
        assert_eq!(rfc3339(time), "2026-11-28T07:15:00.042Z");
        assert_eq!(
            (utc(-1).as_str(), rfc3339(-1).as_str()),
            ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59.999Z")
        );
        assert_eq!(
            (utc(i64::MAX).as_str(), rfc3339(i64::MAX).as_str()),
            ("?", "1970-01-01T00:00:00.000Z")
        );
    }
}
