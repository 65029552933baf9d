//! Records of the outbox that this version cannot read: each is told once, and counted.
//!
//! In: what the outbox has shown. Out: one line of the log for each, and their count.
//! Bounded: of more than [`KNOWN_MAX`] the count stands still and nothing more is told.

use std::collections::BTreeSet;

use crate::store::UnreadableRecord;

/// Records that are told one by one.
const KNOWN_MAX: usize = 1000;

/// The numbers that were told.
#[derive(Debug, Default)]
pub(super) struct Unreadable(BTreeSet<u64>);

impl Unreadable {
    /// Tells and counts those that are new.
    pub(super) fn note(&mut self, records: &[UnreadableRecord]) {
        for record in self.add(records) {
            tracing::error!(
                seq = record.seq,
                what = record.what,
                "an audit record cannot be read: it is not published, and stays in the database; the version that wrote it can read it; 'deepid-edge doctor' counts them"
            );
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// Those of `records` that are new.
    fn add<'a>(&mut self, records: &'a [UnreadableRecord]) -> Vec<&'a UnreadableRecord> {
        let new =
            |record: &&UnreadableRecord| self.0.len() < KNOWN_MAX && self.0.insert(record.seq);
        records.iter().filter(new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unreadable_record_is_told_once_and_not_without_end() {
        let of = |seq| UnreadableRecord { seq, issued_ms: 0, what: "body: odd".to_owned() };
        let mut known = Unreadable::default();
        assert_eq!(known.add(&[of(3), of(5)]).len(), 2);
        assert_eq!(known.add(&[of(3), of(7)]).len(), 1);
        let many: Vec<_> = (10..5000).map(of).collect();
        assert_eq!(known.add(&many).len(), KNOWN_MAX - 3);
        assert_eq!(known.0.len(), KNOWN_MAX);
    }
}
