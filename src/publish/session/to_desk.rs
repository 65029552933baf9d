//! The session's way to the desk, which keeps the outbox: requests wait here while the desk has no
//! room.
//!
//! In: [`DeskRequest`]s. Out: the same, in the order in which they were made, over the closure that
//! the daemon gives. It outlives connections, so that an acknowledgement that came with the last
//! bytes of one still reaches the desk. Invariant: at most [`WAITING_MAX`] wait. Deliberately absent:
//! the desk's answers, which come as [`Outgoing`](super::Outgoing).

use std::collections::VecDeque;

use super::Reply;
use crate::publish::Challenge;
use crate::store::RequestVerdict;

/// Requests that may wait. An acknowledgement or a record that finds no room is lost; the outbox
/// keeps what was not acknowledged, and it is sent again.
const WAITING_MAX: usize = 64;

/// What the session asks of the desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeskRequest {
    /// Hand out up to `limit` outbox records after `after`, as [`Outgoing::Audit`](super::Outgoing).
    Outbox {
        /// The last record that is already in flight or acknowledged; 0 for none.
        after: u64,
        /// How many at most.
        limit: usize,
    },
    /// The broker has this record: take it, and no other, from the outbox.
    Acknowledged {
        /// The record.
        seq: u64,
    },
    /// A listener sent a nonce: the next grant repeats it.
    Challenge(Challenge),
    /// A client wants a nonce for one signed request.
    Nonce {
        /// To whom.
        reply: Reply,
    },
    /// A client sent a signed request.
    Signed {
        /// Who is answered.
        reply: Reply,
        /// The message as it came.
        message: Vec<u8>,
    },
    /// The broker says that the door is to be armed, or not, and that is enough here.
    Arm {
        /// Which of the two.
        armed: bool,
    },
    /// Another door's signed grant, as it came.
    GrantedElsewhere {
        /// The message.
        message: Vec<u8>,
    },
    /// A client asked for something: record it.
    Requested {
        /// The topic below `request/`.
        request: String,
        /// What became of it.
        verdict: RequestVerdict,
        /// How many alike this stands for.
        count: u32,
    },
}

/// Gives the desk a request without waiting, or gives it back where the desk has no room.
pub type AskDesk = Box<dyn FnMut(DeskRequest) -> Result<(), DeskRequest> + Send>;

/// See the module.
pub(super) struct ToDesk {
    ask: AskDesk,
    waiting: VecDeque<DeskRequest>,
}

impl ToDesk {
    pub(super) const fn new(ask: AskDesk) -> Self {
        Self { ask, waiting: VecDeque::new() }
    }

    /// Asks, behind what waits already.
    pub(super) fn ask(&mut self, request: DeskRequest) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(request);
        } else {
            tracing::warn!("the desk does not read the broker session's requests");
        }
        self.retry();
    }

    /// Asks what waits, as far as there is room.
    pub(super) fn retry(&mut self) {
        while let Some(request) = self.waiting.pop_front() {
            if let Err(request) = (self.ask)(request) {
                self.waiting.push_front(request);
                return;
            }
        }
    }
}

impl std::fmt::Debug for ToDesk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToDesk").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{TrySendError, sync_channel};

    use super::*;

    #[test]
    fn what_finds_no_room_waits_in_its_order_and_no_longer_than_the_bound() {
        let (desk, asked) = sync_channel(1);
        let mut to_desk = ToDesk::new(Box::new(move |request| {
            desk.try_send(request).map_err(|error| match error {
                TrySendError::Full(request) | TrySendError::Disconnected(request) => request,
            })
        }));
        let most = u64::try_from(WAITING_MAX).unwrap() + 1;
        for seq in 1..most + 5 {
            to_desk.ask(DeskRequest::Acknowledged { seq });
        }
        let mut seen = Vec::new();
        while let Ok(DeskRequest::Acknowledged { seq }) = asked.try_recv() {
            seen.push(seq);
            to_desk.retry();
        }
        assert_eq!(seen, (1..=most).collect::<Vec<_>>());
    }
}
