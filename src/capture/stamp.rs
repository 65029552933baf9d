//! A driver's sequence numbers and time stamps, doubted.
//!
//! In: what the driver says of a buffer, and the time at which it was fetched. Out: a running
//! number that only grows and a capture time that neither lies in the future nor goes back.
//! Pure. Frames that the driver skipped stay visible as gaps in the running number.
//!
//! Why: v4l2loopback hands on whatever its writer stamped; some UVC cameras count each field, begin
//! again after an error, or do not count at all; older drivers stamp with the wall clock. A wrong
//! capture time would make a frame look fresh, or stale, that is not.
//! Source: V4L2's `struct v4l2_buffer`, fields `sequence`, `timestamp`, and the timestamp flags.

use std::time::Duration;

use crate::clock::Monotonic;

/// How old a frame may be when it is fetched; an older stamp is another clock's.
const MAX_AGE: Duration = Duration::from_secs(2);

/// How many frames may be missing at once; a larger jump is another count.
const MAX_GAP: u32 = 300;

/// What a driver says of one buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriverStamp {
    /// Its count of frames, which wraps around.
    pub sequence: u32,
    /// Its time stamp; `None` where the driver does not say that it is of the monotonic clock.
    pub captured_at: Option<Monotonic>,
}

/// Turns what the driver says into what can be relied on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stamps {
    last: Option<Last>,
    distrusted: u64,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    driver_sequence: u32,
    sequence: u64,
    captured_at: Monotonic,
}

impl Stamps {
    /// The running number and capture time of a frame that was fetched at `now`.
    pub fn judge(&mut self, driver: DriverStamp, now: Monotonic) -> (u64, Monotonic) {
        let sequence = self.last.map_or(0, |last| {
            let step = driver.sequence.wrapping_sub(last.driver_sequence);
            let plausible = (1..=MAX_GAP).contains(&step);
            last.sequence + if plausible { u64::from(step) } else { 1 }
        });
        let floor = self.last.map_or(Monotonic::default(), |last| last.captured_at);
        let believable = |at: &Monotonic| *at <= now && now.since(*at) <= MAX_AGE && *at > floor;
        let captured_at = driver.captured_at.filter(believable).unwrap_or_else(|| {
            self.distrusted += 1;
            now.max(floor)
        });
        self.last = Some(Last { driver_sequence: driver.sequence, sequence, captured_at });
        (sequence, captured_at)
    }

    /// How many time stamps were not believed.
    #[must_use]
    pub const fn distrusted(&self) -> u64 {
        self.distrusted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Driver's sequence, its stamp in ms (or -1), fetched at; expected number and time.
    fn check(rows: &[(u32, i64, u64, u64, u64)]) -> u64 {
        let mut stamps = Stamps::default();
        for (index, (sequence, stamp, now, number, at)) in rows.iter().enumerate() {
            let captured_at = u64::try_from(*stamp).ok().map(Monotonic::from_millis);
            let driver = DriverStamp { sequence: *sequence, captured_at };
            let found = stamps.judge(driver, Monotonic::from_millis(*now));
            assert_eq!(found, (*number, Monotonic::from_millis(*at)), "row {index}");
        }
        stamps.distrusted()
    }

    #[test]
    fn an_honest_driver_is_believed_and_its_gaps_are_kept() {
        let rows = [(7, 1000, 1005, 0, 1000), (8, 1033, 1040, 1, 1033), (11, 1133, 1140, 4, 1133)];
        assert_eq!(check(&rows), 0);
        assert_eq!(check(&[(u32::MAX, 10, 10, 0, 10), (0, 20, 20, 1, 20)]), 0);
    }

    #[test]
    fn a_count_that_stands_runs_back_or_jumps_goes_on_by_one() {
        let rows = [
            (5, 10, 10, 0, 10),
            (5, 20, 20, 1, 20),
            (2, 30, 30, 2, 30),
            (900_000, 40, 40, 3, 40),
            (900_001, 50, 50, 4, 50),
        ];
        assert_eq!(check(&rows), 0);
    }

    #[test]
    fn a_time_of_another_clock_is_replaced() {
        let rows = [
            // Not said to be monotonic; from the future; far too old; running back; standing.
            (0, -1, 5000, 0, 5000),
            (1, 1_700_000_000_000, 5033, 1, 5033),
            (2, 17, 5066, 2, 5066),
            (3, 5000, 5100, 3, 5100),
            (4, 5100, 5133, 4, 5133),
            (5, 5160, 5166, 5, 5160),
        ];
        assert_eq!(check(&rows), 5);
    }
}
