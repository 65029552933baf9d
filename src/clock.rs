//! Time as a value: a monotonic instant for ordering and ageing, a wall clock for records.
//!
//! The only place of the library that reads a clock or sleeps; everyone else is handed
//! [`Monotonic`] and [`WallClock`] as arguments, which makes a replay byte-identical.
//!
//! Invariant: a wall clock that cannot be trusted says so in its type; nothing may grant on it.

use std::time::Duration;

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
