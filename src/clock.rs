//! Time as a value: a monotonic instant for ordering and ageing, a wall clock for records.
//!
//! The only place of the library that reads a clock or sleeps; everyone else is handed
//! [`Monotonic`] and [`WallClock`] as arguments, which makes a replay byte-identical.
//!
//! [`Monotonic`] is Linux' `CLOCK_MONOTONIC`, the clock that V4L2 drivers stamp frames with, so that
//! the two may be subtracted. It stands still while the machine is suspended; `CLOCK_BOOTTIME`
//! would not, and is not used for that reason.
//!
//! Invariant: a wall clock that cannot be trusted says so in its type; nothing may grant on it.
//! Deliberately absent: time zones and calendars, which belong to whoever prints.
//! Source: `clock_gettime(2)`, `adjtimex(2)`, `systemd-timesyncd.service(8)`.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Touched by systemd-timesyncd whenever it has set the clock (systemd-timesyncd.service(8), FILES).
const TIMESYNCD_MARK: &str = "/run/systemd/timesync/synchronized";

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

/// Whether the wall clock may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockTrust {
    /// Meets what the configuration asks of it.
    Trusted,
    /// Unset, behind what is already recorded, or not synchronised though that is required.
    Untrusted,
}

/// A reading of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub unix_ms: i64,
    /// Whether that may be believed.
    pub trust: ClockTrust,
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

/// No wall clock before this instant is plausible: 2026-01-01T00:00:00Z, in milliseconds.
///
/// A board without a battery wakes up in 1970, or when its file system was last written. The value
/// is raised with releases; it can only be too early, never too late.
pub const PLAUSIBLE_FROM_UNIX_MS: i64 = 1_767_225_600_000;

/// No wall clock after this instant is plausible: fifty years (of 365 days) later.
pub const PLAUSIBLE_UNTIL_UNIX_MS: i64 = PLAUSIBLE_FROM_UNIX_MS + 50 * 365 * 86_400_000;

/// How far the wall clock may fall behind the newest record before it loses its trust, in
/// milliseconds: a synchronised clock is slewed and may step back by less than this.
pub const BACKWARD_TOLERANCE_MS: i64 = 1000;

/// What the wall clock must show before it is believed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ClockRequirement {
    /// Not before this software, not before the newest record, not absurdly late.
    #[default]
    Plausible,
    /// Plausible, and a time service keeps it synchronised.
    Synchronised,
}

/// Whether a wall clock that shows `unix_ms` may be believed.
///
/// `floor_unix_ms` is the time of the newest record, `synchronised` whether a time service keeps the
/// clock.
#[must_use]
pub const fn judge_wall(
    unix_ms: i64,
    synchronised: bool,
    requirement: ClockRequirement,
    floor_unix_ms: i64,
) -> ClockTrust {
    let plausible = unix_ms >= PLAUSIBLE_FROM_UNIX_MS
        && unix_ms <= PLAUSIBLE_UNTIL_UNIX_MS
        && unix_ms >= floor_unix_ms.saturating_sub(BACKWARD_TOLERANCE_MS);
    let enough = match requirement {
        ClockRequirement::Plausible => true,
        ClockRequirement::Synchronised => synchronised,
    };
    if plausible && enough { ClockTrust::Trusted } else { ClockTrust::Untrusted }
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    requirement: ClockRequirement,
    floor_unix_ms: AtomicI64,
}

impl SystemClock {
    /// The machine's clocks; the wall clock is trusted when it meets `requirement` and is not
    /// behind `floor_unix_ms`, the time of the newest record (`i64::MIN` when there is none).
    #[must_use]
    pub const fn new(requirement: ClockRequirement, floor_unix_ms: i64) -> Self {
        Self { requirement, floor_unix_ms: AtomicI64::new(floor_unix_ms) }
    }

    /// Tells of a newer record: the wall clock must not fall behind it. Never lowers the floor, and
    /// a time that was not trusted says nothing: a clock that once stood far ahead would otherwise
    /// be distrusted for good after it was set right.
    pub fn raise_floor(&self, record: WallClock) {
        if record.trust == ClockTrust::Trusted {
            self.floor_unix_ms.fetch_max(record.unix_ms, Ordering::Relaxed);
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Monotonic {
        monotonic_now()
    }

    fn wall(&self) -> WallClock {
        let unix_ms = unix_ms_now();
        let synchronised = match self.requirement {
            ClockRequirement::Plausible => false,
            ClockRequirement::Synchronised => synchronised(),
        };
        let floor = self.floor_unix_ms.load(Ordering::Relaxed);
        WallClock { unix_ms, trust: judge_wall(unix_ms, synchronised, self.requirement, floor) }
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// Whether a time service keeps the wall clock: by the kernel's word; where a sandbox forbids to ask
/// it, by the mark of systemd-timesyncd, which other time services do not leave. A machine that
/// cannot tell counts as not synchronised.
#[must_use]
pub fn synchronised() -> bool {
    kernel_synchronised().unwrap_or_else(|| Path::new(TIMESYNCD_MARK).exists())
}

/// What the kernel says; nothing when it may not be asked.
#[expect(unsafe_code, reason = "adjtimex has no safe face in the standard library")]
fn kernel_synchronised() -> Option<bool> {
    // SAFETY: `timex` is plain integers for which zero is valid; with `modes` 0 the call changes
    // nothing, only fills the structure, which outlives it.
    let (state, status) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        let state = libc::adjtimex(&raw mut timex);
        (state, timex.status)
    };
    // With `modes` 0 it fails for nothing but a filter of system calls (systemd.exec(5), @clock).
    (state >= 0).then_some(state < libc::TIME_ERROR && status & libc::STA_UNSYNC == 0)
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
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

/// A clock that moves only when it is told to, or when somebody sleeps on it: for replays, tests
/// and the simulation. Its wall clock runs along, from a given start, with the trust it is given.
#[derive(Debug)]
pub struct ManualClock {
    now_micros: AtomicU64,
    wall_offset_ms: AtomicI64,
    trusted: AtomicBool,
}

impl ManualClock {
    /// A clock at `now`, whose wall clock shows `unix_ms` at that instant and is trusted.
    #[must_use]
    pub fn new(now: Monotonic, unix_ms: i64) -> Self {
        Self {
            now_micros: AtomicU64::new(now.as_micros()),
            wall_offset_ms: AtomicI64::new(unix_ms.saturating_sub(as_signed_millis(now))),
            trusted: AtomicBool::new(true),
        }
    }

    /// Moves on by `duration`.
    pub fn advance(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let step = |now: u64| Some(now.saturating_add(micros));
        // The closure always gives a value, so the update cannot fail.
        let _ = self.now_micros.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step);
    }

    /// Moves on to `instant`; an instant in the past changes nothing.
    pub fn advance_to(&self, instant: Monotonic) {
        self.now_micros.fetch_max(instant.as_micros(), Ordering::SeqCst);
    }

    /// Steps the wall clock, as a time service or a person would; the monotonic clock goes on.
    pub fn set_wall(&self, wall: WallClock) {
        let offset = wall.unix_ms.saturating_sub(as_signed_millis(self.now()));
        self.wall_offset_ms.store(offset, Ordering::SeqCst);
        self.trusted.store(wall.trust == ClockTrust::Trusted, Ordering::SeqCst);
    }
}

fn as_signed_millis(instant: Monotonic) -> i64 {
    i64::try_from(instant.as_millis()).unwrap_or(i64::MAX)
}

impl Clock for ManualClock {
    fn now(&self) -> Monotonic {
        Monotonic(self.now_micros.load(Ordering::SeqCst))
    }

    fn wall(&self) -> WallClock {
        let offset = self.wall_offset_ms.load(Ordering::SeqCst);
        let trusted = self.trusted.load(Ordering::SeqCst);
        WallClock {
            unix_ms: offset.saturating_add(as_signed_millis(self.now())),
            trust: if trusted { ClockTrust::Trusted } else { ClockTrust::Untrusted },
        }
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_clock_is_judged_by_floor_and_requirement() {
        use ClockRequirement::{Plausible, Synchronised};
        use ClockTrust::{Trusted, Untrusted};
        let later = PLAUSIBLE_FROM_UNIX_MS + 86_400_000;
        let cases = [
            (0, true, Plausible, i64::MIN, Untrusted),
            (PLAUSIBLE_FROM_UNIX_MS - 1, true, Plausible, i64::MIN, Untrusted),
            (PLAUSIBLE_FROM_UNIX_MS, false, Plausible, i64::MIN, Trusted),
            (PLAUSIBLE_UNTIL_UNIX_MS + 1, true, Plausible, i64::MIN, Untrusted),
            (later, false, Synchronised, i64::MIN, Untrusted),
            (later, true, Synchronised, i64::MIN, Trusted),
            (later, true, Synchronised, later + BACKWARD_TOLERANCE_MS, Trusted),
            (later, true, Synchronised, later + BACKWARD_TOLERANCE_MS + 1, Untrusted),
            (later, true, Plausible, i64::MAX, Untrusted),
        ];
        for (unix_ms, synchronised, requirement, floor, expected) in cases {
            assert_eq!(
                judge_wall(unix_ms, synchronised, requirement, floor),
                expected,
                "{unix_ms} {synchronised} {requirement:?} {floor}"
            );
        }
    }

    #[test]
    fn system_clock_goes_forward_and_its_floor_only_rises() {
        let clock = SystemClock::new(ClockRequirement::Plausible, i64::MIN);
        let before = clock.now();
        assert!(before > Monotonic::default());
        clock.sleep(Duration::from_millis(2));
        assert!(clock.now().since(before) >= Duration::from_millis(2));
        let at = |unix_ms, trust| WallClock { unix_ms, trust };
        let before = clock.wall().trust;
        clock.raise_floor(at(i64::MAX, ClockTrust::Untrusted));
        assert_eq!(clock.wall().trust, before, "what was not trusted raises nothing");
        clock.raise_floor(at(i64::MAX, ClockTrust::Trusted));
        clock.raise_floor(at(0, ClockTrust::Trusted));
        assert_eq!(clock.wall().trust, ClockTrust::Untrusted);
    }

    #[test]
    fn manual_clock_moves_by_sleep_and_keeps_the_wall_beside_it() {
        let clock = ManualClock::new(Monotonic::from_millis(5000), PLAUSIBLE_FROM_UNIX_MS);
        clock.sleep(Duration::from_millis(250));
        assert_eq!(clock.now(), Monotonic::from_millis(5250));
        assert_eq!(clock.wall().unix_ms, PLAUSIBLE_FROM_UNIX_MS + 250);
        clock.advance_to(Monotonic::from_millis(100));
        assert_eq!(clock.now(), Monotonic::from_millis(5250));
        clock.set_wall(WallClock { unix_ms: 7, trust: ClockTrust::Untrusted });
        assert_eq!(clock.wall(), WallClock { unix_ms: 7, trust: ClockTrust::Untrusted });
        assert_eq!(clock.now(), Monotonic::from_millis(5250));
    }
}
