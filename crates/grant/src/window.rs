//! What was taken before: a grant opens once.
//!
//! In: the number and the id of a grant that is right in all else. Out: whether it is new.
//! Always: the number grows over the life of a door's database, whatever the run, so that the largest
//! one taken is enough to know; the ids of the last 16 are a second line, should the numbers ever fail.
//! Deliberately absent: the run (`boot`): a number that must grow over all runs grows within each.

use crate::claims::Uuid;

/// How many ids of grants are remembered.
pub const REMEMBERED_IDS: usize = 16;

/// The window of one door.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    largest: Option<u64>,
    ids: [Option<Uuid>; REMEMBERED_IDS],
    next: usize,
}

impl Window {
    /// The largest number that was taken.
    pub(crate) const fn largest(&self) -> Option<u64> {
        self.largest
    }

    /// Goes on after a number that was taken in an earlier life of the listener.
    pub(crate) fn resume_after(&mut self, seq: u64) {
        self.largest = self.largest.max(Some(seq));
    }

    /// Takes a grant, once: `false` where it, or a later one, was taken before.
    pub(crate) fn take(&mut self, seq: u64, id: Uuid) -> bool {
        if self.largest.is_some_and(|largest| seq <= largest) || self.ids.contains(&Some(id)) {
            return false;
        }
        self.largest = Some(seq);
        if let Some(place) = self.ids.get_mut(self.next) {
            *place = Some(id);
        }
        self.next = (self.next + 1) % REMEMBERED_IDS;
        true
    }
}
