//! Feeds systemd's watchdog while every thread makes progress, and says which one does not.
//!
//! In: the threads' beats ([`Pulse`]). Out: notifications for systemd, a line in the log when a hang
//! begins and when it is over. One hung thread is a restart of the whole.
//!
//! Invariant: it waits for nobody. It runs in a thread of its own and touches numbers that need no
//! lock, so that a thread which stands still while it holds one cannot keep it from saying so.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sd_notify::NotifyState;

use super::pulse::{Pulse, Thread};
use super::service::notify;
use super::shared::Shared;
use crate::clock::{Clock as _, Monotonic};

/// How often the beats are looked at.
const TURN: Duration = Duration::from_millis(250);
/// How often the watchdog is fed; the unit's `WatchdogSec` is many times that.
const FEED_EVERY: Duration = Duration::from_secs(2);

/// Keeps the watchdog until the daemon stops.
pub(super) fn keep(shared: &Shared) {
    let mut keeper = Keeper::default();
    while !shared.stop.load(Ordering::Relaxed) {
        let (news, feed) = keeper.turn(&shared.pulse, shared.clock.now());
        match news {
            Some(HangNews::Begun(thread)) => {
                tracing::error!(thread = thread.name(), "a thread hangs; the watchdog is not fed");
            }
            Some(HangNews::Over(thread)) => {
                tracing::warn!(thread = thread.name(), "the thread goes on");
            }
            None => {}
        }
        if feed {
            notify(&[NotifyState::Watchdog]);
        }
        shared.clock.sleep(TURN);
    }
}

/// What is remembered from turn to turn.
#[derive(Debug, Default)]
struct Keeper {
    hangs: Hangs,
    fed_at: Option<Monotonic>,
}

impl Keeper {
    /// What is new, and whether to feed now.
    fn turn(&mut self, pulse: &Pulse, now: Monotonic) -> (Option<HangNews>, bool) {
        let hung = pulse.hung(now);
        let due = self.fed_at.is_none_or(|at| now.since(at) >= FEED_EVERY);
        let feed = hung.is_none() && due;
        if feed {
            self.fed_at = Some(now);
        }
        (self.hangs.observe(hung), feed)
    }
}

/// Notices when a hang begins and when it is over, so that each is told once.
#[derive(Debug, Default)]
struct Hangs(Option<Thread>);

/// What is new about hanging threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HangNews {
    /// This thread hangs.
    Begun(Thread),
    /// This one did, and goes on.
    Over(Thread),
}

impl Hangs {
    /// Takes in what [`Pulse::hung`] says now.
    fn observe(&mut self, hung: Option<Thread>) -> Option<HangNews> {
        let before = std::mem::replace(&mut self.0, hung);
        match (before, hung) {
            (before, Some(thread)) if before != hung => Some(HangNews::Begun(thread)),
            (Some(thread), None) => Some(HangNews::Over(thread)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hang_is_told_once_and_so_is_its_end() {
        let mut hangs = Hangs::default();
        let (capture, record) = (Some(Thread::Capture), Some(Thread::Desk));
        let said: Vec<_> = [None, capture, capture, capture, record, None, None, capture]
            .map(|hung| hangs.observe(hung))
            .into_iter()
            .flatten()
            .collect();
        let expected = [
            HangNews::Begun(Thread::Capture),
            HangNews::Begun(Thread::Desk),
            HangNews::Over(Thread::Desk),
            HangNews::Begun(Thread::Capture),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn the_watchdog_is_fed_while_all_threads_beat_and_not_while_one_hangs() {
        let pulse = Pulse::new(Monotonic::default());
        let mut keeper = Keeper::default();
        let mut turn = |ms, beating: &[Thread]| {
            let now = Monotonic::from_millis(ms);
            for &thread in beating {
                pulse.beat(thread, now);
            }
            keeper.turn(&pulse, now)
        };
        let others = [Thread::Capture, Thread::Desk, Thread::Front];
        assert_eq!(turn(0, &[]), (None, true));
        assert_eq!(turn(1_000, &others), (None, false), "it was fed a second ago");
        assert_eq!(turn(2_000, &others), (None, true));
        assert_eq!(turn(4_900, &others), (None, true), "within the bound of the one that hangs");
        assert_eq!(turn(5_100, &others), (Some(HangNews::Begun(Thread::Door)), false));
        assert_eq!(turn(9_000, &others), (None, false), "said once, and not fed");
        let all = [Thread::Door, Thread::Capture, Thread::Desk, Thread::Front];
        assert_eq!(turn(9_100, &all), (Some(HangNews::Over(Thread::Door)), true));
        assert_eq!(turn(14_200, &all[..3]), (Some(HangNews::Begun(Thread::Front)), false));
    }
}
