//! The nonces of listeners, until the next grant.
//!
//! In: a listener, its nonce, the monotonic time. Out: the nonces that are still fresh, once. Pure.
//! Invariants: at most [`LISTENERS_MAX`] listeners, the oldest gives way; a nonce is kept for
//! [`LIFE`] and goes into one grant, also where a broker delivers its challenge twice; nothing is
//! written to the disk, so that a restart forgets all of them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Monotonic;

/// Listeners whose nonces are kept.
pub const LISTENERS_MAX: usize = 8;
/// How long a nonce is kept.
const LIFE: Duration = Duration::from_secs(60);
/// Spent nonces that are remembered, so that they are not taken again.
const SPENT_MAX: usize = 4 * LISTENERS_MAX;

#[derive(Debug, Clone)]
struct Held {
    listener: String,
    nonce: String,
    at: Monotonic,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Nonces {
    /// Oldest first.
    held: VecDeque<Held>,
    spent: VecDeque<String>,
}

impl Nonces {
    /// Keeps the nonce in place of what the listener sent before. One that has been in a grant is not
    /// taken again.
    pub fn keep(&mut self, listener: String, nonce: String, now: Monotonic) {
        if self.spent.contains(&nonce) {
            return;
        }
        self.held.retain(|held| held.listener != listener && now.since(held.at) < LIFE);
        while self.held.len() >= LISTENERS_MAX {
            self.held.pop_front();
        }
        self.held.push_back(Held { listener, nonce, at: now });
    }

    /// Takes all that are still fresh, oldest first.
    pub fn take(&mut self, now: Monotonic) -> Vec<String> {
        let fresh: Vec<String> = self
            .held
            .drain(..)
            .filter(|held| now.since(held.at) < LIFE)
            .map(|held| held.nonce)
            .collect();
        self.spent.extend(fresh.iter().cloned());
        while self.spent.len() > SPENT_MAX {
            self.spent.pop_front();
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Monotonic {
        Monotonic::from_millis(seconds * 1000)
    }

    fn keep(nonces: &mut Nonces, listener: &str, nonce: &str, seconds: u64) {
        nonces.keep(listener.to_owned(), nonce.to_owned(), at(seconds));
    }

    #[test]
    fn a_nonce_goes_into_one_grant_although_its_challenge_comes_twice() {
        let mut nonces = Nonces::default();
        keep(&mut nonces, "garage", "a", 0);
        assert_eq!(nonces.take(at(1)), ["a"]);
        keep(&mut nonces, "garage", "a", 2);
        assert!(nonces.take(at(3)).is_empty(), "spent");
        keep(&mut nonces, "garage", "b", 4);
        assert_eq!(nonces.take(at(5)), ["b"]);
    }

    #[test]
    fn the_latest_of_a_listener_counts_for_a_minute() {
        let mut nonces = Nonces::default();
        keep(&mut nonces, "garage", "a", 0);
        keep(&mut nonces, "porch", "b", 1);
        keep(&mut nonces, "garage", "c", 2);
        assert_eq!(nonces.clone().take(at(60)), ["b", "c"]);
        assert_eq!(nonces.clone().take(at(61)), ["c"]);
        assert!(nonces.take(at(62)).is_empty());
    }

    #[test]
    fn a_ninth_listener_takes_the_place_of_the_oldest() {
        let mut nonces = Nonces::default();
        for listener in 0..9 {
            keep(&mut nonces, &listener.to_string(), &format!("n{listener}"), listener);
        }
        let taken = nonces.take(at(10));
        assert_eq!(taken, ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"]);
        for round in 0..1000 {
            keep(&mut nonces, "garage", &round.to_string(), 11);
            nonces.take(at(11));
        }
        assert!(nonces.spent.len() <= SPENT_MAX);
    }
}
