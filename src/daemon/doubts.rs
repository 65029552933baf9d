//! What is recorded of doubtful cameras: enough to know of, too little to push decisions out.
//!
//! In: what is doubtful about the camera now, at every turn of the main thread. Out: a record for the
//! audit, now and then. Invariants: the first change is recorded at once and then one in
//! [`EVERY`], with how many changes it stands for; the newest of those that wait is the one that is
//! recorded, so that what lasts is never left out.
//! Deliberately absent: the log, which has every change, and the judgement (`capture::identity`).

use std::time::Duration;

use crate::capture::CameraDoubt;
use crate::clock::Monotonic;
use crate::store::Administrative;

/// The least time between two records.
const EVERY: Duration = Duration::from_secs(600);

/// What was seen of doubtful cameras, and recorded.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    seen: Option<CameraDoubt>,
    waiting: Option<CameraDoubt>,
    count: u32,
    recorded_at: Option<Monotonic>,
}

impl Doubts {
    /// What is to be recorded at `now`, while the camera is doubtful for `doubt`.
    pub(super) fn see(
        &mut self,
        doubt: Option<&CameraDoubt>,
        now: Monotonic,
    ) -> Option<Administrative> {
        let is_news = match (&self.seen, doubt) {
            (Some(seen), Some(doubt)) => !seen.says_the_same_as(doubt),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if is_news {
            self.waiting = doubt.cloned();
            self.count = self.count.saturating_add(1);
        }
        self.seen = doubt.cloned();
        if self.recorded_at.is_some_and(|at| now.since(at) < EVERY) {
            return None;
        }
        let CameraDoubt { kind, before, after, .. } = self.waiting.take()?;
        self.recorded_at = Some(now);
        let count = std::mem::take(&mut self.count);
        Some(Administrative::CameraChanged { doubt: kind, before, after, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::DoubtKind;

    fn doubt(after: &str) -> CameraDoubt {
        CameraDoubt {
            kind: DoubtKind::Changed,
            before: Some("A".to_owned()),
            after: after.to_owned(),
            remedy: String::new(),
            since: Monotonic::default(),
        }
    }

    #[test]
    fn the_first_change_is_recorded_at_once_and_the_newest_of_the_others_later() {
        let mut doubts = Doubts::default();
        let at = Monotonic::from_millis;
        let recorded = |record: Option<Administrative>| match record? {
            Administrative::CameraChanged { after, count, .. } => Some((after, count)),
            _ => None,
        };
        assert_eq!(doubts.see(None, at(0)), None);
        let first = recorded(doubts.see(Some(&doubt("B")), at(250)));
        assert_eq!(first, Some(("B".to_owned(), 1)));
        assert_eq!(doubts.see(Some(&doubt("B")), at(700_000)), None, "no news");
        // Somebody plugs in one camera after the other: at every turn another one.
        let mut records = Vec::new();
        for turn in 0..14_400_u64 {
            let camera = doubt(&turn.to_string());
            let seen = (turn % 2 == 0).then_some(&camera);
            records.extend(recorded(doubts.see(seen, at(700_000 + turn * 250))));
        }
        assert_eq!(records.len(), 6, "an hour of it: {records:?}");
        assert_eq!(records.first(), Some(&("0".to_owned(), 1)));
        assert!(records.iter().skip(1).all(|(_, count)| *count == 1200), "{records:?}");
        // What came last and stays is recorded, also where it has gone again by then.
        let last = doubt("last");
        assert_eq!(doubts.see(Some(&last), at(4_299_999)), None);
        let record = recorded(doubts.see(None, at(5_000_000)));
        assert_eq!(record.map(|(after, _)| after), Some("last".to_owned()));
        assert_eq!(doubts.see(None, at(9_000_000)), None);
    }
}
