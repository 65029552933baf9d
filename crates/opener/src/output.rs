//! The line that opens, in a thread of its own that ends every pulse by itself.
//!
//! In: orders to unlock for a while, or to lock. Out: calls of a [`Line`], and the first fault.
//! Always: locked at the start; locked when the time is over, whatever the rest of the program does;
//! locked when the [`Keeper`] goes away, also because of a panic. A pulse is at most
//! [`PULSE_MS_MAX`] long, however long the order says.
//! Deliberately absent: what the kernel does with a line after `kill -9`: docs/opener.md.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::time::instant;

/// The longest pulse, in milliseconds.
pub const PULSE_MS_MAX: u64 = 10_000;
/// How often a locked line is held.
const HOLD: Duration = Duration::from_secs(1);

/// Something that is locked or unlocked.
pub trait Line: Send {
    /// Unlocks, without waiting.
    ///
    /// # Errors
    /// What went wrong, as a sentence.
    fn unlock(&mut self) -> Result<(), String>;

    /// Locks, also where it is locked, and also after a fault.
    ///
    /// # Errors
    /// What went wrong, as a sentence.
    fn lock(&mut self) -> Result<(), String>;

    /// Keeps it locked where it is: called every second, so that a line that is gone is noticed before
    /// somebody stands before the door.
    ///
    /// # Errors
    /// What went wrong, as a sentence.
    fn hold(&mut self) -> Result<(), String> {
        Ok(())
    }
}

enum Order {
    Unlock(Duration),
    Lock,
}

/// Keeps a line: the only one who calls it.
pub struct Keeper {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Locks `line` and keeps it. Faults after that go to `faults`.
    ///
    /// # Errors
    /// Why the line cannot be locked, or that there is no thread.
    pub fn start(
        line: impl Line + 'static,
        faults: UnboundedSender<String>,
    ) -> Result<Self, String> {
        let mut guarded = Guarded { line, faults };
        guarded.line.lock()?;
        let (orders, received) = channel();
        let thread = std::thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || guarded.keep(&received))
            .map_err(|error| format!("no thread for the output: {error}"))?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Unlocks for `ms` milliseconds from now; a pulse that runs then ends later, never sooner.
    pub fn unlock(&self, ms: u64) {
        self.order(Order::Unlock(Duration::from_millis(ms.min(PULSE_MS_MAX))));
    }

    /// Locks.
    pub fn lock(&self) {
        self.order(Order::Lock);
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // Without the thread the line is locked already, and the fault was told.
            drop(orders.send(order));
        }
    }
}

impl Drop for Keeper {
    /// Locks, and waits until that is done.
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A line that is locked when it goes away.
struct Guarded<L: Line> {
    line: L,
    faults: UnboundedSender<String>,
}

impl<L: Line> Guarded<L> {
    fn keep(mut self, orders: &Receiver<Order>) {
        let mut until: Option<Instant> = None;
        loop {
            let wait = until.map_or(HOLD, |until| until.saturating_duration_since(instant()));
            match orders.recv_timeout(wait) {
                Ok(Order::Unlock(length)) => {
                    let end = instant() + length;
                    if until.is_none() {
                        let done = self.line.unlock();
                        self.tell(done);
                    }
                    until = until.max(Some(end));
                }
                // The pulse has ended by itself: it is locked.
                Ok(Order::Lock) if until.is_none() => {}
                Err(RecvTimeoutError::Timeout) if until.is_none() => {
                    let done = self.line.hold();
                    self.tell(done);
                }
                Ok(Order::Lock) | Err(RecvTimeoutError::Timeout) => {
                    until = None;
                    let done = self.line.lock();
                    self.tell(done);
                }
                // Locked as it goes away.
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn tell(&self, done: Result<(), String>) {
        if let Err(what) = done {
            // Nobody listens: the program ends, and the line is locked with it.
            drop(self.faults.send(what));
        }
    }
}

impl<L: Line> Drop for Guarded<L> {
    fn drop(&mut self) {
        let done = self.line.lock();
        self.tell(done);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel as tell_channel;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    struct Simulated {
        said: Sender<&'static str>,
        panics: bool,
    }

    impl Line for Simulated {
        fn unlock(&mut self) -> Result<(), String> {
            self.said.send("unlock").unwrap();
            assert!(!self.panics, "a fault of the program, on purpose");
            Ok(())
        }

        fn lock(&mut self) -> Result<(), String> {
            self.said.send("lock").unwrap();
            Ok(())
        }
    }

    fn simulated(panics: bool) -> (Keeper, Receiver<&'static str>) {
        let (said, heard) = tell_channel();
        let faults = tokio::sync::mpsc::unbounded_channel().0;
        (Keeper::start(Simulated { said, panics }, faults).unwrap(), heard)
    }

    #[test]
    fn a_pulse_ends_though_nobody_says_so() {
        let (keeper, heard) = simulated(false);
        let next = || heard.recv_timeout(PATIENCE).unwrap();
        assert_eq!(next(), "lock", "at the start");
        let begun = instant();
        keeper.unlock(100);
        assert_eq!((next(), next()), ("unlock", "lock"));
        assert!(begun.elapsed() >= Duration::from_millis(100));
        drop(keeper);
        assert_eq!(next(), "lock", "at the end");
        assert!(heard.recv().is_err());
    }

    #[test]
    fn a_second_order_prolongs_and_an_order_to_lock_ends() {
        let (keeper, heard) = simulated(false);
        let next = || heard.recv_timeout(PATIENCE).unwrap();
        assert_eq!(next(), "lock");
        keeper.unlock(PULSE_MS_MAX);
        keeper.unlock(1);
        assert_eq!(next(), "unlock");
        assert!(heard.recv_timeout(Duration::from_millis(50)).is_err(), "one pulse, not yet over");
        keeper.lock();
        assert_eq!(next(), "lock");
    }

    #[test]
    fn a_keeper_that_goes_away_in_a_pulse_locks() {
        let (keeper, heard) = simulated(false);
        keeper.unlock(PULSE_MS_MAX);
        drop(keeper);
        let all: Vec<_> = heard.iter().collect();
        assert_eq!(all, ["lock", "unlock", "lock"]);
    }

    struct Gone;

    impl Line for Gone {
        fn unlock(&mut self) -> Result<(), String> {
            Ok(())
        }

        fn lock(&mut self) -> Result<(), String> {
            Ok(())
        }

        fn hold(&mut self) -> Result<(), String> {
            Err("gone".to_owned())
        }
    }

    #[test]
    fn a_line_that_is_gone_is_noticed_though_nobody_wants_in() {
        let (faults, mut failed) = tokio::sync::mpsc::unbounded_channel();
        let keeper = Keeper::start(Gone, faults).unwrap();
        assert_eq!(failed.blocking_recv().as_deref(), Some("gone"));
        drop(keeper);
    }

    #[test]
    fn a_panic_in_the_midst_locks() {
        let (keeper, heard) = simulated(true);
        keeper.unlock(PULSE_MS_MAX);
        let all: Vec<_> = heard.iter().collect();
        assert_eq!(all, ["lock", "unlock", "lock"]);
        drop(keeper);
    }
}
