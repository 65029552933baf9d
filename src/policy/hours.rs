//! The hours of one day: spans of a clock, by the minute.
//!
//! `08:00-12:00,13:00-18:00`, `22:00-06:00` (until six of the next morning), `open` (all day),
//! `closed` → [`Hours`], and back. A span begins with its first minute and ends before its last; one
//! across midnight belongs to the day on which it begins. Deliberately absent: dates and time zones.

use std::fmt;

/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// Spans of one day, at most.
const SPANS_MAX: usize = 12;

/// When something is open on one day; closed without any span.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hours(Vec<Span>);

/// From a minute of the day until another one, which is of the next day where it is not later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    /// 0 to 1439.
    from: u16,
    /// 1 to 1440, and never `from`.
    until: u16,
}

impl Span {
    const fn crosses_midnight(self) -> bool {
        self.until < self.from
    }
}

impl Hours {
    /// Never.
    #[must_use]
    pub const fn closed() -> Self {
        Self(Vec::new())
    }

    /// Reads hours as a person writes them.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text {
            "closed" => return Ok(Self::closed()),
            "open" => return Ok(Self(vec![Span { from: 0, until: DAY }])),
            _ => {}
        }
        let mut spans = text.split(',').map(span).collect::<Result<Vec<_>, _>>()?;
        if spans.len() > SPANS_MAX {
            return Err(format!("'{text}' has more than {SPANS_MAX} spans"));
        }
        spans.sort_unstable();
        spans.dedup();
        Ok(Self(spans))
    }

    /// Whether a span that begins on this day has `minute` of this day.
    pub(super) fn has(&self, minute: u16) -> bool {
        self.0
            .iter()
            .any(|span| span.from <= minute && (span.crosses_midnight() || minute < span.until))
    }

    /// Whether a span that begins on this day still has `minute` of the next day.
    pub(super) fn reaches(&self, minute: u16) -> bool {
        self.0.iter().any(|span| span.crosses_midnight() && minute < span.until)
    }

    /// When on the next day the last span that begins on this day ends, such as `06:00`; `None` where
    /// all of them end on this day.
    pub(super) fn end_on_next_day(&self) -> Option<String> {
        let across = self.0.iter().filter(|span| span.crosses_midnight());
        across.map(|span| span.until).max().map(written)
    }
}

fn span(text: &str) -> Result<Span, String> {
    let wanted = || {
        format!(
            "'{}' is no span such as 08:00-17:30; 'open' and 'closed' are whole days",
            text.trim()
        )
    };
    let (from, until) = text.trim().split_once('-').ok_or_else(wanted)?;
    let (from, until) = (minute(from).ok_or_else(wanted)?, minute(until).ok_or_else(wanted)?);
    // Midnight as an end is that of this day.
    let until = if until == 0 { DAY } else { until };
    if from == DAY {
        return Err(wanted());
    }
    if from == until {
        return Err(format!("'{}' begins where it ends; 'open' is the whole day", text.trim()));
    }
    Ok(Span { from, until })
}

/// `HH:MM` up to `24:00`.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if hour.is_empty() || hour.len() > 2 || minute.len() != 2 || !digits(hour) || !digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let all = hour * 60 + minute;
    (minute < 60 && all <= DAY).then_some(all)
}

/// A minute of the day as [`minute`] reads it.
fn written(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => return f.write_str("closed"),
            [Span { from: 0, until: DAY }] => return f.write_str("open"),
            _ => {}
        }
        for (place, Span { from, until }) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{}-{}", written(*from), written(*until))?;
        }
        Ok(())
    }
}
