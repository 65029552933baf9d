//! A clock for replays, tests and the simulation.
//!
//! In: instants and steps that its holder gives. Out: a monotonic clock that moves only by them, and
//! a wall clock beside it with the trust that it was given. Reads nothing of the machine.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::{Clock, ClockTrust, Monotonic, WallClock};

/// A clock that moves only when it is told to, or when somebody sleeps on it: for replays, tests
/// and the simulation. Its wall clock runs along, from a given start, with the trust it is given.
#[derive(Debug)]
pub struct ManualClock {
    now_micros: AtomicU64,
    wall_offset_ms: AtomicI64,
    trusted: AtomicBool,
    synchronised: AtomicBool,
}

impl ManualClock {
    /// A clock at `now`, whose wall clock shows `unix_ms` at that instant and is trusted.
    #[must_use]
    pub fn new(now: Monotonic, unix_ms: i64) -> Self {
        Self {
            now_micros: AtomicU64::new(now.as_micros()),
            wall_offset_ms: AtomicI64::new(unix_ms.saturating_sub(as_signed_millis(now))),
            trusted: AtomicBool::new(true),
            synchronised: AtomicBool::new(false),
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
        self.synchronised.store(wall.synchronised, Ordering::SeqCst);
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
            synchronised: self.synchronised.load(Ordering::SeqCst),
        }
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}

#[cfg(test)]
mod tests {
    use super::super::PLAUSIBLE_FROM_UNIX_MS;
    use super::*;

    #[test]
    fn manual_clock_moves_by_sleep_and_keeps_the_wall_beside_it() {
        let clock = ManualClock::new(Monotonic::from_millis(5000), PLAUSIBLE_FROM_UNIX_MS);
        clock.sleep(Duration::from_millis(250));
        assert_eq!(clock.now(), Monotonic::from_millis(5250));
        assert_eq!(clock.wall().unix_ms, PLAUSIBLE_FROM_UNIX_MS + 250);
        clock.advance_to(Monotonic::from_millis(100));
        assert_eq!(clock.now(), Monotonic::from_millis(5250));
        let wrong = WallClock { unix_ms: 7, trust: ClockTrust::Untrusted, synchronised: true };
        clock.set_wall(wrong);
        assert_eq!(clock.wall(), wrong);
        assert_eq!(clock.now(), Monotonic::from_millis(5250));
    }
}
