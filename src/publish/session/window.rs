//! Audit records on their way to the broker, so that they leave the outbox in order.
//!
//! In: numbers handed over, acknowledged and refused, in any order, and what was said of a refusal.
//! Out: which records the broker has, in order; from where the outbox is to be read next, and when.
//! Pure; time is an argument.
//!
//! | the broker refuses a record because | then |
//! |---|---|
//! | nothing of ours is taken now (not authorised, quota, topic) | it is sent again after 30 s, and nothing past it until it is taken |
//! | it says nothing certain (unspecified, implementation specific) | the same; after the third time in a row it is stepped over |
//! | of what it says (payload format) | it is stepped over |
//!
//! Invariants: only what the broker has accepted leaves the outbox, so that a record that was stepped
//! over stays there; it is sent again within the hour, and on the next connection. A record that
//! waits longer than a few tries never holds up all others for good.

use std::collections::BTreeMap;
use std::time::Duration;

use rumqttc::PubAckReason;

use crate::clock::Monotonic;

/// How long a refused record waits.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// How often a record is refused without a certain reason before it is stepped over.
const TRIES_MAX: u32 = 3;
/// How often the outbox is read from its beginning: for what was stepped over, and for
/// acknowledgements that were lost between us and the database.
const FROM_THE_BEGINNING: Duration = Duration::from_secs(3600);

/// What a refusal means for the records behind the refused one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Everything,
    Uncertain,
    ThisRecord,
}

impl Refusal {
    /// `None` where the broker has taken the message.
    const fn of(reason: PubAckReason) -> Option<Self> {
        match reason {
            PubAckReason::Success | PubAckReason::NoMatchingSubscribers => None,
            PubAckReason::NotAuthorized
            | PubAckReason::QuotaExceeded
            | PubAckReason::TopicNameInvalid
            | PubAckReason::PacketIdentifierInUse => Some(Self::Everything),
            PubAckReason::UnspecifiedError | PubAckReason::ImplementationSpecificError => {
                Some(Self::Uncertain)
            }
            PubAckReason::PayloadFormatInvalid => Some(Self::ThisRecord),
        }
    }
}

/// Whether the broker has taken a message.
pub(super) const fn accepted(reason: PubAckReason) -> bool {
    Refusal::of(reason).is_none()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Acknowledged,
    Refused,
    SteppedOver,
}

/// What an acknowledgement means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Outcome {
    /// The records that leave the outbox now, oldest first.
    pub delivered: Vec<u64>,
    /// Whether a refusal is news: the first since something was taken, or for another reason.
    pub news: bool,
}

/// Audit records on their way.
#[derive(Debug)]
pub(super) struct AuditWindow {
    on_their_way: BTreeMap<u64, State>,
    /// The last one that was handed over on this connection.
    pub(super) handed_up_to: u64,
    /// The record that was refused last, and how often in a row.
    tries: Option<(u64, u32)>,
    /// Until when nothing is handed over.
    resting_until: Option<Monotonic>,
    /// The reason that was last told.
    told: Option<PubAckReason>,
    /// When the outbox was last read from its beginning.
    begun_at: Monotonic,
}

impl AuditWindow {
    /// A window over an outbox that is read from its beginning at `now`.
    pub(super) const fn new(now: Monotonic) -> Self {
        Self {
            on_their_way: BTreeMap::new(),
            handed_up_to: 0,
            tries: None,
            resting_until: None,
            told: None,
            begun_at: now,
        }
    }

    pub(super) fn hand(&mut self, seq: u64) {
        self.on_their_way.insert(seq, State::Waiting);
        self.handed_up_to = seq;
    }

    /// Whether the outbox may be asked for more.
    pub(super) fn is_free(&self, now: Monotonic) -> bool {
        self.on_their_way.is_empty() && self.resting_until.is_none_or(|until| now >= until)
    }

    /// How many records may be on their way: one, while it is not known whether they are taken.
    pub(super) const fn limit(&self, most: usize) -> usize {
        if self.tries.is_some() { 1 } else { most }
    }

    /// Reads the outbox from its beginning again when that is due; whether it is.
    pub(super) fn begin_anew(&mut self, now: Monotonic) -> bool {
        let due = now.since(self.begun_at) >= FROM_THE_BEGINNING && self.is_free(now);
        if due {
            self.begun_at = now;
            self.handed_up_to = 0;
        }
        due
    }

    /// Notes what the broker says of `seq`.
    pub(super) fn settle(&mut self, seq: u64, reason: PubAckReason, now: Monotonic) -> Outcome {
        let Some(state) = self.on_their_way.get_mut(&seq) else { return Outcome::default() };
        let mut news = false;
        match Refusal::of(reason) {
            None => {
                *state = State::Acknowledged;
                (self.tries, self.told) = (None, None);
            }
            Some(refusal) => {
                let before = self.tries.filter(|(tried, _)| *tried == seq).map_or(0, |(_, n)| n);
                let step_over = refusal == Refusal::ThisRecord
                    || (refusal == Refusal::Uncertain && before + 1 >= TRIES_MAX);
                *state = if step_over { State::SteppedOver } else { State::Refused };
                if step_over {
                    self.tries = None;
                } else {
                    self.resting_until = Some(now.plus(RETRY_AFTER));
                    if self.tries.is_none_or(|(tried, _)| seq <= tried) {
                        self.tries = Some((seq, before + 1));
                    }
                }
                news = step_over || self.told != Some(reason);
                self.told = Some(reason);
            }
        }
        Outcome { delivered: self.leave(), news }
    }

    /// What leaves the outbox: all before the first that still waits or was refused. When nothing
    /// waits any more and one was refused, the outbox is read from that one on again.
    fn leave(&mut self) -> Vec<u64> {
        let mut delivered = Vec::new();
        while let Some(first) = self.on_their_way.first_entry() {
            match first.get() {
                State::Acknowledged => delivered.push(first.remove_entry().0),
                State::SteppedOver => drop(first.remove_entry()),
                State::Waiting | State::Refused => break,
            }
        }
        if let Some((&first, State::Refused)) = self.on_their_way.first_key_value()
            && self.on_their_way.values().all(|state| *state != State::Waiting)
        {
            self.on_their_way.clear();
            self.handed_up_to = first.saturating_sub(1);
        }
        delivered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Monotonic {
        Monotonic::from_millis(seconds * 1000)
    }

    /// A window with these records on their way.
    fn with(records: &[u64]) -> AuditWindow {
        let mut window = AuditWindow::new(at(0));
        for seq in records {
            window.hand(*seq);
        }
        window
    }

    fn delivered(window: &mut AuditWindow, seq: u64) -> Vec<u64> {
        window.settle(seq, PubAckReason::Success, at(0)).delivered
    }

    #[test]
    fn records_leave_the_outbox_in_order_whatever_the_order_of_acknowledgements() {
        let mut window = with(&[4, 5, 7]);
        assert!(delivered(&mut window, 5).is_empty());
        assert!(delivered(&mut window, 99).is_empty());
        assert_eq!(delivered(&mut window, 4), [4, 5]);
        assert!(!window.is_free(at(0)));
        assert_eq!(delivered(&mut window, 7), [7]);
        assert!(window.is_free(at(0)));
        assert_eq!(window.handed_up_to, 7);
    }

    #[test]
    fn a_refused_record_is_sent_again_after_half_a_minute_and_nothing_before_it() {
        for reason in [PubAckReason::QuotaExceeded, PubAckReason::NotAuthorized] {
            let mut window = with(&[4, 5, 6]);
            assert_eq!(delivered(&mut window, 4), [4]);
            assert!(window.settle(5, reason, at(10)).news);
            assert!(!window.is_free(at(10)), "6 is still on its way");
            assert!(delivered(&mut window, 6).is_empty(), "not before 5");
            assert_eq!(window.handed_up_to, 4);
            assert!(!window.is_free(at(39)));
            assert!(window.is_free(at(40)));
        }
    }

    #[test]
    fn while_nothing_is_taken_one_record_is_tried_and_one_line_told() {
        let mut window = with(&[4, 5]);
        assert!(window.settle(4, PubAckReason::NotAuthorized, at(0)).news);
        assert!(!window.settle(5, PubAckReason::NotAuthorized, at(0)).news);
        for round in 1..100 {
            assert_eq!((window.handed_up_to, window.limit(8)), (3, 1));
            window.hand(4);
            let outcome = window.settle(4, PubAckReason::NotAuthorized, at(round * 30));
            assert_eq!(outcome, Outcome::default());
        }
        window.hand(4);
        assert_eq!(delivered(&mut window, 4), [4]);
        assert_eq!(window.limit(8), 8, "it flows again");
    }

    #[test]
    fn what_is_refused_for_what_it_says_is_stepped_over_and_stays_in_the_outbox() {
        let mut window = with(&[4, 5, 6]);
        assert_eq!(delivered(&mut window, 4), [4]);
        assert!(window.settle(5, PubAckReason::PayloadFormatInvalid, at(0)).news);
        assert_eq!(delivered(&mut window, 6), [6], "5 is not among what leaves");
        assert!(window.is_free(at(0)), "and holds nobody up");
    }

    #[test]
    fn what_is_refused_without_a_certain_reason_is_stepped_over_after_three_tries() {
        let unclear = PubAckReason::ImplementationSpecificError;
        let mut window = with(&[4]);
        window.settle(4, unclear, at(0));
        assert_eq!(window.handed_up_to, 3);
        window.hand(4);
        window.settle(4, unclear, at(30));
        assert_eq!(window.handed_up_to, 3);
        window.hand(4);
        assert!(window.settle(4, unclear, at(60)).news);
        assert_eq!(window.handed_up_to, 4);
        window.hand(5);
        assert_eq!(delivered(&mut window, 5), [5]);
    }

    #[test]
    fn the_outbox_is_read_from_its_beginning_within_the_hour() {
        let mut window = with(&[4]);
        assert!(!window.begin_anew(at(3600)), "4 is on its way");
        window.settle(4, PubAckReason::PayloadFormatInvalid, at(1));
        assert!(!window.begin_anew(at(3599)));
        assert!(window.begin_anew(at(3600)));
        assert_eq!(window.handed_up_to, 0);
        assert!(!window.begin_anew(at(3601)));
    }
}
