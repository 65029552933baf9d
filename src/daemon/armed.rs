//! Whether the door is armed, as it is said to others, and the end of a time for which it was.
//!
//! In: what is written in the database, by which clocks it is meant, the time. Out: the state where it has
//! changed. Invariants: what cannot be read or written changes nothing that was said; a time that is over
//! is noted once, by a trusted clock alone, so that one that goes back arms nothing. Deliberately absent:
//! whether a grant is refused, which the door's own rules say at that moment.

use jiff::tz::TimeZone;

use crate::config::Config;
use crate::policy::{RuleBook, Rules};
use crate::publish::Armed;
use crate::store::{Error, Signature, Store};

/// See the module.
#[derive(Debug)]
pub(super) struct ArmedState {
    /// By which clocks a schedule is meant that arming follows.
    zone: TimeZone,
    /// What was said last.
    said: Option<Armed>,
}

/// What a look has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Whether the time is over for which the door was armed, and that was noted.
    pub(super) ended: bool,
    /// The state, where it is another than was said last, or the first.
    pub(super) news: Option<Armed>,
}

impl Default for ArmedState {
    fn default() -> Self {
        Self { zone: TimeZone::UTC, said: None }
    }
}

impl ArmedState {
    /// Goes by the clocks of `config` from now on.
    pub(super) fn renew(&mut self, config: &Config) {
        self.zone = config.time_zone();
    }

    /// Looks whether the door is armed.
    pub(super) fn look(&mut self, store: &mut Store, by: Signature<'_>) -> Found {
        let mut book = store.arming_book();
        let over = |end| by.wall.unix_ms >= end;
        let timed_out = matches!(&book, Ok(book) if book.arming.until_ms().is_some_and(over));
        // What cannot be written is judged by the time all the same, and tried again.
        let ended = timed_out && matches!(store.end_arming(by), Ok(Some(_)));
        if ended {
            tracing::info!("the time is over for which the door was armed");
            book = store.arming_book();
        }
        Found { ended, news: self.news(book, by) }
    }

    fn news(&mut self, book: Result<RuleBook, Error>, by: Signature<'_>) -> Option<Armed> {
        // The door says itself that rules cannot be read.
        let rules = Rules::new(book.ok()?, self.zone.clone());
        let armed = Armed::new(&rules, by.wall);
        if self.said.as_ref() == Some(&armed) {
            return None;
        }
        self.said = Some(armed.clone());
        Some(armed)
    }
}
