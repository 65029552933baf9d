//! Time as a value: a monotonic instant for ordering and ageing, a wall clock for records.
//!
//! The only place of the library that reads a clock or sleeps; everyone else is handed
//! [`Monotonic`] and [`WallClock`] as arguments, which makes a replay byte-identical.
//!
//! [`Monotonic`] is Linux' `CLOCK_MONOTONIC`, the clock that V4L2 drivers stamp frames with, so that
//! the two may be subtracted. It stands still while the machine is suspended; `CLOCK_BOOTTIME`
//! would not, and is not used for that reason.
//!
//! When a wall clock is trusted stands in `trust`, times as text in `text`.
//!
//! Invariant: a wall clock that cannot be trusted says so in its type; nothing may grant on it.
//! Deliberately absent: time zones, which belong to whoever prints.
//! Source: `clock_gettime(2)`, `adjtimex(2)`, `systemd-timesyncd.service(8)`.

mod manual;
mod text;
mod trust;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

pub use manual::ManualClock;
pub use text::{rfc3339, utc};
pub use trust::{
    BACKWARD_TOLERANCE_MS, ClockDoubt, ClockRequirement, ClockTrust, Floor, Mark,
    PLAUSIBLE_FROM_UNIX_MS, PLAUSIBLE_UNTIL_UNIX_MS, SYNCHRONISED_TOLERANCE_MS, judge_wall,
};

/// Touched by systemd-timesyncd whenever it has set the clock (systemd-timesyncd.service(8), FILES).
const TIMESYNCD_MARK: &str = "/run/systemd/timesync/synchronized";

/// For how long after that the clock counts as kept, in milliseconds. In a week without a network a
/// board's crystal drifts by half a minute; a clock that was set by hand since is mostly off by more.
const TIMESYNCD_MARK_LIFE_MS: i64 = 7 * 86_400_000;

/// An instant of the machine's monotonic clock, in microseconds since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(u64);

impl Monotonic {
    /// The instant `micros` microseconds after boot.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The instant `millis` milliseconds after boot.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since boot.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since boot.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1000
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// This instant and `duration` more.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// A reading of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub unix_ms: i64,
    /// Whether that may be believed.
    pub trust: ClockTrust,
    /// Whether a time service kept the clock at that moment.
    pub synchronised: bool,
}

/// Where time comes from: the system in the daemon, the recording in a replay, the test in a test.
pub trait Clock: Send + Sync {
    /// The monotonic clock now.
    fn now(&self) -> Monotonic;
    /// The wall clock now.
    fn wall(&self) -> WallClock;
    /// Waits for `duration`; a simulated clock advances itself instead.
    fn sleep(&self, duration: Duration);
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    requirement: Mutex<ClockRequirement>,
    floor: Mutex<Floor>,
}

impl SystemClock {
    /// The machine's clocks; the wall clock is trusted when it meets `requirement` and does not
    /// stand behind the records of `floor`.
    #[must_use]
    pub const fn new(requirement: ClockRequirement, floor: Floor) -> Self {
        Self { requirement: Mutex::new(requirement), floor: Mutex::new(floor) }
    }

    /// Asks for another requirement from now on.
    pub fn require(&self, requirement: ClockRequirement) {
        *self.requirement.lock().unwrap_or_else(PoisonError::into_inner) = requirement;
    }

    /// Replaces the floor by what the database says.
    pub fn set_floor(&self, floor: Floor) {
        *self.floor.lock().unwrap_or_else(PoisonError::into_inner) = floor;
    }

    /// The wall clock now, and why it is not trusted, if it is not.
    #[must_use]
    pub fn wall_with_doubt(&self) -> (WallClock, Option<ClockDoubt>) {
        let unix_ms = unix_ms_now();
        let synchronised = synchronised_at(unix_ms);
        let requirement = *self.requirement.lock().unwrap_or_else(PoisonError::into_inner);
        let floor = *self.floor.lock().unwrap_or_else(PoisonError::into_inner);
        let doubt = judge_wall(unix_ms, synchronised, requirement, floor);
        let trust = if doubt.is_none() { ClockTrust::Trusted } else { ClockTrust::Untrusted };
        (WallClock { unix_ms, trust, synchronised }, doubt)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Monotonic {
        monotonic_now()
    }

    fn wall(&self) -> WallClock {
        self.wall_with_doubt().0
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// Whether a time service keeps the wall clock that shows `unix_ms`: by the kernel's word; where a
/// sandbox forbids to ask it, by the mark of systemd-timesyncd, which other time services do not
/// leave. A machine that cannot tell counts as not synchronised, and so does a wall clock that is
/// not the kernel's (one that libfaketime shows).
fn synchronised_at(unix_ms: i64) -> bool {
    match kernel_word() {
        KernelWord::Silent => std::fs::metadata(TIMESYNCD_MARK)
            .and_then(|about| about.modified())
            .is_ok_and(|marked| mark_vouches(unix_ms, unix_ms_of(marked))),
        KernelWord::NotKept => false,
        KernelWord::Kept { unix_s } => (unix_ms.div_euclid(1000) - unix_s).abs() <= 1,
    }
}

/// Whether timesyncd's mark of `marked_ms` vouches for a clock that shows `unix_ms`.
const fn mark_vouches(unix_ms: i64, marked_ms: i64) -> bool {
    let age_ms = unix_ms.saturating_sub(marked_ms);
    age_ms >= -SYNCHRONISED_TOLERANCE_MS && age_ms <= TIMESYNCD_MARK_LIFE_MS
}

/// What the kernel says of its wall clock.
enum KernelWord {
    /// It may not be asked.
    Silent,
    /// No time service keeps it.
    NotKept,
    /// A time service keeps it, and it shows this, in seconds since 1970.
    Kept { unix_s: i64 },
}

#[expect(unsafe_code, reason = "adjtimex has no safe face in the standard library")]
fn kernel_word() -> KernelWord {
    // SAFETY: `timex` is plain integers for which zero is valid; with `modes` 0 the call changes
    // nothing, only fills the structure, which outlives it.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        let state = libc::adjtimex(&raw mut timex);
        (state, timex)
    };
    // With `modes` 0 it fails for nothing but a filter of system calls (systemd.exec(5), @clock).
    if state < 0 {
        KernelWord::Silent
    } else if state < libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0 {
        KernelWord::Kept { unix_s: timex.time.tv_sec }
    } else {
        KernelWord::NotKept
    }
}

#[expect(unsafe_code, reason = "std's Instant hides the value that V4L2 timestamps compare with")]
fn monotonic_now() -> Monotonic {
    let mut reading = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live, writable `timespec`. CLOCK_MONOTONIC exists on every Linux,
    // so the call cannot fail; if it did, the zero above would stand.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut reading) };
    let seconds = u64::try_from(reading.tv_sec).unwrap_or(0);
    let micros = u64::try_from(reading.tv_nsec).unwrap_or(0) / 1000;
    Monotonic(seconds.saturating_mul(1_000_000).saturating_add(micros))
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn unix_ms_now() -> i64 {
    unix_ms_of(SystemTime::now())
}

fn unix_ms_of(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;
    const RIGHT_MS: i64 = PLAUSIBLE_FROM_UNIX_MS + 300 * DAY_MS;
    const YEAR_2036_MS: i64 = 2_085_978_495_000;

    #[test]
    fn timesyncds_mark_vouches_for_a_week_and_not_for_a_clock_set_since() {
        assert!(mark_vouches(RIGHT_MS, RIGHT_MS));
        assert!(mark_vouches(RIGHT_MS, RIGHT_MS - 7 * DAY_MS));
        assert!(!mark_vouches(RIGHT_MS, RIGHT_MS - 7 * DAY_MS - 1));
        assert!(!mark_vouches(YEAR_2036_MS, RIGHT_MS), "set ahead by hand");
        assert!(mark_vouches(RIGHT_MS - 120_000, RIGHT_MS));
        assert!(!mark_vouches(RIGHT_MS - DAY_MS, RIGHT_MS), "set back by hand");
    }

    #[test]
    fn system_clock_goes_forward_and_stands_on_the_floor_that_it_is_given() {
        let clock = SystemClock::new(ClockRequirement::Plausible, Floor::default());
        let before = clock.now();
        assert!(before > Monotonic::default());
        clock.sleep(Duration::from_millis(2));
        assert!(clock.now().since(before) >= Duration::from_millis(2));
        let at = |unix_ms, trust| WallClock { unix_ms, trust, synchronised: true };
        let before = clock.wall().trust;
        let untrusted = Floor::default().after(1, at(i64::MAX, ClockTrust::Untrusted));
        clock.set_floor(untrusted);
        assert_eq!(clock.wall().trust, before, "what was not trusted raises nothing");
        clock.set_floor(untrusted.after(2, at(i64::MAX, ClockTrust::Trusted)));
        assert_eq!(clock.wall().trust, ClockTrust::Untrusted);
        clock.set_floor(Floor::default());
        assert_eq!(clock.wall().trust, before);
    }

    #[test]
    fn a_requirement_can_change_while_the_clock_runs() {
        let clock = SystemClock::new(ClockRequirement::Plausible, Floor::default());
        for requirement in [ClockRequirement::Synchronised, ClockRequirement::Plausible] {
            clock.require(requirement);
            let same = SystemClock::new(requirement, Floor::default());
            assert_eq!(*clock.requirement.lock().unwrap(), requirement);
            assert_eq!(clock.wall().trust, same.wall().trust);
        }
    }
}
