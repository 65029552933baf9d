//! Audit records on their way to the broker, so that they leave the outbox in order.
//!
//! In: numbers handed over and numbers acknowledged, in any order. Out: up to which number all have
//! been acknowledged. Pure.

use std::collections::BTreeMap;

/// Audit records on their way, so that they leave the outbox in order.
#[derive(Debug, Default)]
pub(super) struct AuditWindow {
    /// Whether each of them has been acknowledged.
    on_their_way: BTreeMap<u64, bool>,
    /// The last one that was handed over on this connection.
    pub(super) handed_up_to: u64,
}

impl AuditWindow {
    pub(super) fn hand(&mut self, seq: u64) {
        self.on_their_way.insert(seq, false);
        self.handed_up_to = seq;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.on_their_way.is_empty()
    }

    /// Notes an acknowledgement; gives the last record up to which all have been acknowledged.
    pub(super) fn acknowledge(&mut self, seq: u64) -> Option<u64> {
        if let Some(acknowledged) = self.on_their_way.get_mut(&seq) {
            *acknowledged = true;
        }
        let mut last = None;
        while let Some(first) = self.on_their_way.first_entry() {
            if !first.get() {
                break;
            }
            last = Some(first.remove_entry().0);
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_leave_the_outbox_in_order_whatever_the_order_of_acknowledgements() {
        let mut window = AuditWindow::default();
        for seq in [4, 5, 7] {
            window.hand(seq);
        }
        assert_eq!(window.acknowledge(5), None);
        assert_eq!(window.acknowledge(99), None);
        assert_eq!(window.acknowledge(4), Some(5));
        assert!(!window.is_empty());
        assert_eq!(window.acknowledge(7), Some(7));
        assert!(window.is_empty());
        assert_eq!(window.handed_up_to, 7);
    }
}
