//! Messages that were handed to rumqttc and have no answer yet.
//!
//! In: what each message was, when it was handed over, and rumqttc's notice of it. Out: which message
//! an acknowledgement is for, how many wait, and since when the oldest does.
//!
//! Invariants: which packet id a message got is what its notice says, never what the order of handing
//! over suggests. Nothing waits here: a notice is looked at when an acknowledgement has been heard, so
//! that answers keep their place among everything else that the broker says.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rumqttc::{PublishNotice, PublishNoticeError, PublishResult};

use crate::clock::Monotonic;

/// What a message in flight was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    /// The record of this number.
    Audit(u64),
    /// The last word.
    Goodbye,
    /// Whatever else, on this topic.
    Other(String),
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// The broker has acknowledged it under this packet id.
    Acknowledged(u16),
    /// It was written, and is not to be acknowledged.
    Written,
    /// It will never be acknowledged: why.
    Never(PublishNoticeError),
}

/// Where the answer comes from.
enum Notice {
    Pending(Pin<Box<dyn Future<Output = Answer> + Send>>),
    Came(Answer),
}

struct Waiting {
    sent: Sent,
    handed_at: Monotonic,
    notice: Notice,
}

/// Messages without an answer, in the order in which they were handed over.
#[derive(Default)]
pub(super) struct InFlight {
    waiting: Vec<Waiting>,
}

impl InFlight {
    pub(super) fn hand(&mut self, sent: Sent, handed_at: Monotonic, notice: PublishNotice) {
        self.wait_for(sent, handed_at, async {
            match notice.wait_async().await {
                Ok(PublishResult::Qos1(ack)) => Answer::Acknowledged(ack.pkid),
                Ok(_) => Answer::Written,
                Err(error) => Answer::Never(error),
            }
        });
    }

    fn wait_for(
        &mut self,
        sent: Sent,
        handed_at: Monotonic,
        answer: impl Future<Output = Answer> + Send + 'static,
    ) {
        // Outside of tokio's budget: a notice that is there must be seen as there.
        let notice = Notice::Pending(Box::pin(tokio::task::unconstrained(answer)));
        self.waiting.push(Waiting { sent, handed_at, notice });
    }

    /// Takes the message out that the broker has acknowledged under this packet id. An id is used
    /// again, so it is the oldest of them.
    pub(super) fn acknowledged(&mut self, packet: u16) -> Option<Sent> {
        self.look();
        let acknowledged =
            |w: &Waiting| matches!(w.notice, Notice::Came(Answer::Acknowledged(p)) if p == packet);
        let place = self.waiting.iter().position(acknowledged)?;
        Some(self.waiting.remove(place).sent)
    }

    /// Takes those out that will never be acknowledged.
    pub(super) fn given_up(&mut self) -> Vec<(Sent, PublishNoticeError)> {
        self.look();
        let never = |w: &mut Waiting| matches!(w.notice, Notice::Came(Answer::Never(_)));
        let given_up = self.waiting.extract_if(.., never).filter_map(|w| match w.notice {
            Notice::Came(Answer::Never(error)) => Some((w.sent, error)),
            _ => None,
        });
        given_up.collect()
    }

    pub(super) fn len(&mut self) -> usize {
        self.look();
        self.waiting.len()
    }

    /// How long the oldest message has been waiting.
    pub(super) fn silence(&mut self, now: Monotonic) -> Duration {
        self.look();
        let oldest = self.waiting.iter().map(|w| w.handed_at).min();
        oldest.map_or(Duration::ZERO, |at| now.since(at))
    }

    /// Asks every notice whether it is there. What needs no acknowledgement leaves.
    fn look(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        self.waiting.retain_mut(|waiting| {
            if let Notice::Pending(notice) = &mut waiting.notice
                && let Poll::Ready(answer) = notice.as_mut().poll(&mut context)
            {
                waiting.notice = Notice::Came(answer);
            }
            !matches!(waiting.notice, Notice::Came(Answer::Written))
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const fn at(seconds: u64) -> Monotonic {
        Monotonic::from_millis(seconds * 1000)
    }

    #[test]
    fn an_acknowledgement_is_of_the_message_that_got_its_id_whatever_the_order() {
        let mut in_flight = InFlight::default();
        in_flight.wait_for(Sent::Audit(1), at(0), pending());
        in_flight.wait_for(Sent::Audit(2), at(0), ready(Answer::Acknowledged(9)));
        in_flight.wait_for(Sent::Audit(3), at(0), ready(Answer::Acknowledged(1)));
        in_flight.wait_for(Sent::Audit(4), at(0), ready(Answer::Acknowledged(9)));
        assert_eq!(in_flight.acknowledged(7), None);
        assert_eq!(in_flight.acknowledged(1), Some(Sent::Audit(3)));
        assert_eq!(in_flight.acknowledged(9), Some(Sent::Audit(2)), "the older of one id");
        assert_eq!(in_flight.acknowledged(9), Some(Sent::Audit(4)));
        assert_eq!((in_flight.acknowledged(9), in_flight.len()), (None, 1));
    }

    #[test]
    fn what_is_written_and_needs_no_acknowledgement_waits_for_none() {
        let mut in_flight = InFlight::default();
        in_flight.wait_for(Sent::Other("presence".to_owned()), at(0), ready(Answer::Written));
        in_flight.wait_for(Sent::Audit(1), at(2), pending());
        assert_eq!((in_flight.silence(at(5)), in_flight.len()), (Duration::from_secs(3), 1));
    }

    #[test]
    fn what_will_never_be_acknowledged_is_told_and_waits_no_longer() {
        let mut in_flight = InFlight::default();
        let refused = Answer::Never(PublishNoticeError::RetainNotSupported);
        in_flight.wait_for(Sent::Goodbye, at(0), ready(refused));
        in_flight.wait_for(Sent::Audit(1), at(0), ready(Answer::Acknowledged(1)));
        assert_eq!(in_flight.given_up(), [(Sent::Goodbye, PublishNoticeError::RetainNotSupported)]);
        assert_eq!(in_flight.len(), 1);
        assert_eq!(in_flight.silence(at(1)), Duration::from_secs(1));
    }
}
