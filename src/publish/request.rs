//! Whether a client's request is answered.
//!
//! A message below `request/` → a verdict; pure, time is an argument. Invariants: what is retained
//! is refused (a request is made now or not at all); the answer goes neither to our own topics nor
//! to Home Assistant's nor the broker's own, so that nobody can borrow our rights there; of the
//! refusals for haste one record stands for many, so that nobody can fill the disk.

use super::topic::Topics;
use crate::clock::Monotonic;
use crate::store::RequestVerdict;

/// Bytes that a request may carry.
pub const PAYLOAD_BYTES_MAX: usize = 1024;
/// Characters that a response topic may have.
const RESPONSE_TOPIC_BYTES_MAX: usize = 256;
/// Bytes that correlation data may have.
const CORRELATION_BYTES_MAX: usize = 256;
/// Requests that may come at once.
const BURST: u32 = 5;
/// Milliseconds after which one more may come.
const REFILL_MS: u64 = 1_000;
/// Milliseconds between records of refusals for haste.
const HASTE_RECORD_MS: u64 = 10_000;

/// What a client may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// `request/ping`: answered with `info`.
    Ping,
    /// `request/snapshot_health`: answered with `health`.
    SnapshotHealth,
}

/// A message below `request/`, as it came.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The topic below `request/`.
    pub name: &'a str,
    /// Whether it was published as retained.
    pub retained: bool,
    /// Size of its payload.
    pub payload_bytes: usize,
    /// Size of its correlation data.
    pub correlation_bytes: usize,
    /// Where the answer shall go.
    pub response_topic: Option<&'a str>,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Answer it, and record that.
    Answer(RequestKind),
    /// Do not; record why.
    Refuse(RequestVerdict),
    /// Do not; it is counted, and recorded later with others.
    Count,
}

/// Judges requests one after the other.
#[derive(Debug, Clone)]
pub struct Gate {
    tokens: u32,
    refilled_at: Monotonic,
    hasty: u32,
    hasty_recorded_at: Option<Monotonic>,
}

impl Gate {
    /// A gate that has seen nothing by `now`.
    #[must_use]
    pub const fn new(now: Monotonic) -> Self {
        Self { tokens: BURST, refilled_at: now, hasty: 0, hasty_recorded_at: None }
    }

    /// What becomes of `asked`.
    pub fn judge(
        &mut self,
        asked: Asked<'_>,
        topics: &Topics,
        foreign_prefix: Option<&str>,
        now: Monotonic,
    ) -> Judgement {
        if !self.take_token(now) {
            self.hasty = self.hasty.saturating_add(1);
            return Judgement::Count;
        }
        let refuse = Judgement::Refuse;
        if asked.retained {
            return refuse(RequestVerdict::RefusedRetained);
        }
        if asked.payload_bytes > PAYLOAD_BYTES_MAX
            || asked.correlation_bytes > CORRELATION_BYTES_MAX
        {
            return refuse(RequestVerdict::RefusedTooLarge);
        }
        let kind = match asked.name {
            "ping" => RequestKind::Ping,
            "snapshot_health" => RequestKind::SnapshotHealth,
            _ => return refuse(RequestVerdict::RefusedUnknown),
        };
        match asked.response_topic {
            Some(topic) if may_answer_on(topic, topics, foreign_prefix) => Judgement::Answer(kind),
            _ => refuse(RequestVerdict::RefusedResponseTopic),
        }
    }

    /// How many requests have been refused for haste and not been recorded yet, when it is time to
    /// record them.
    pub fn hasty(&mut self, now: Monotonic) -> Option<u32> {
        let due = self
            .hasty_recorded_at
            .is_none_or(|at| now.since(at).as_millis() >= u128::from(HASTE_RECORD_MS));
        if self.hasty == 0 || !due {
            return None;
        }
        self.hasty_recorded_at = Some(now);
        Some(std::mem::take(&mut self.hasty))
    }

    fn take_token(&mut self, now: Monotonic) -> bool {
        let elapsed_ms = now.as_millis().saturating_sub(self.refilled_at.as_millis());
        let new = elapsed_ms / REFILL_MS;
        if new > 0 {
            self.tokens =
                BURST.min(self.tokens.saturating_add(u32::try_from(new).unwrap_or(BURST)));
            self.refilled_at = now;
        }
        match self.tokens.checked_sub(1) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}

fn may_answer_on(topic: &str, topics: &Topics, foreign_prefix: Option<&str>) -> bool {
    let below = |prefix: &str| {
        topic.strip_prefix(prefix).is_some_and(|r| r.is_empty() || r.starts_with('/'))
    };
    !topic.is_empty()
        && topic.len() <= RESPONSE_TOPIC_BYTES_MAX
        && !topic.starts_with('$')
        && !topic.contains(|c: char| c == '+' || c == '#' || c.is_control())
        && !topics.owns(topic)
        && !foreign_prefix.is_some_and(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Asked<'_> = Asked {
        name: "ping",
        retained: false,
        payload_bytes: 0,
        correlation_bytes: 0,
        response_topic: Some("answers/me"),
    };

    fn judge(asked: Asked<'_>) -> Judgement {
        let topics = Topics::new("deepid-edge", "front").unwrap();
        let now = Monotonic::from_millis(0);
        Gate::new(now).judge(asked, &topics, Some("homeassistant"), now)
    }

    #[test]
    fn each_rule_refuses_what_it_is_for() {
        use RequestVerdict as V;
        assert_eq!(judge(GOOD), Judgement::Answer(RequestKind::Ping));
        let health = Asked { name: "snapshot_health", ..GOOD };
        assert_eq!(judge(health), Judgement::Answer(RequestKind::SnapshotHealth));
        let edge = Asked { payload_bytes: 1024, correlation_bytes: 256, ..GOOD };
        assert_eq!(judge(edge), Judgement::Answer(RequestKind::Ping));
        for (asked, why) in [
            (Asked { retained: true, ..GOOD }, V::RefusedRetained),
            (Asked { payload_bytes: 1025, ..GOOD }, V::RefusedTooLarge),
            (Asked { correlation_bytes: 257, ..GOOD }, V::RefusedTooLarge),
            (Asked { name: "open", ..GOOD }, V::RefusedUnknown),
            (Asked { name: "", ..GOOD }, V::RefusedUnknown),
            (Asked { response_topic: None, ..GOOD }, V::RefusedResponseTopic),
        ] {
            assert_eq!(judge(asked), Judgement::Refuse(why), "{asked:?}");
        }
    }

    #[test]
    fn nobody_borrows_our_rights() {
        for topic in [
            "",
            "deepid-edge/front/access",
            "deepid-edge/back/access",
            "deepid-edge",
            "homeassistant/lock/x/config",
            "$SYS/x",
            "a/+",
            "a/#",
            "a\u{0}b",
            &"x".repeat(257),
        ] {
            let asked = Asked { response_topic: Some(topic), ..GOOD };
            let refused = Judgement::Refuse(RequestVerdict::RefusedResponseTopic);
            assert_eq!(judge(asked), refused, "{topic:?}");
        }
    }

    #[test]
    fn haste_is_refused_and_recorded_once_for_many() {
        let topics = Topics::new("deepid-edge", "front").unwrap();
        let at = Monotonic::from_millis;
        let mut gate = Gate::new(at(0));
        let answered =
            (0..100).filter(|_| gate.judge(GOOD, &topics, None, at(1)) != Judgement::Count).count();
        assert_eq!(answered, 5);
        assert_eq!(gate.hasty(at(1)), Some(95));
        assert_eq!(gate.hasty(at(2)), None, "nothing new");
        assert_eq!(gate.judge(GOOD, &topics, None, at(500)), Judgement::Count);
        assert_eq!(gate.hasty(at(600)), None, "too soon for another record");
        assert_eq!(gate.hasty(at(10_001)), Some(1));
        let refilled = gate.judge(GOOD, &topics, None, at(11_000));
        assert_eq!(refilled, Judgement::Answer(RequestKind::Ping));
    }
}
