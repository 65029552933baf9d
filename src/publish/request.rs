//! Whether a client's request is answered.
//!
//! A message below `request/` → a verdict; pure, time is an argument. Invariants: what is retained
//! is refused (a request is made now or not at all); the answer goes neither to our own topics nor
//! to Home Assistant's nor the broker's own, so that nobody can borrow our rights there; of requests
//! alike one record stands for many, so that nobody can fill the disk or wear it out: the first is
//! recorded at once, the others with their number ten minutes later. Requests are alike in what they
//! ask (`ping`, `snapshot_health`, `nonce`, `signed`, anything else) and in the verdict, so that there
//! are twenty-one kinds, and at most 126 records an hour. Who may ask for what, is not judged here.

use super::bucket::Bucket;
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
/// Milliseconds between records of requests that are alike.
const RECORD_EVERY_MS: u64 = 600_000;
/// Characters of a request's name that are recorded.
const NAME_CHARACTERS_MAX: usize = 64;

/// The topic that arms, below the door's, as records name it.
pub const ARMING: &str = "armed/set";

/// What a client may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// `request/ping`: answered with `info`.
    Ping,
    /// `request/snapshot_health`: answered with `health`.
    SnapshotHealth,
    /// `request/nonce`: answered with a nonce for one signed request.
    Nonce,
    /// `request/signed`: answered with what came of it.
    Signed,
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
}

/// Requests that are to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What was asked, cut to 64 characters; `*` where it was not the same each time.
    pub request: String,
    /// What became of it.
    pub verdict: RequestVerdict,
    /// How many, at least 1.
    pub count: u32,
}

/// Requests that are alike.
#[derive(Debug, Clone)]
struct Alike {
    kind: Option<RequestKind>,
    verdict: RequestVerdict,
    /// Of those that were not recorded yet.
    request: String,
    count: u32,
    recorded_at: Monotonic,
}

/// Judges requests one after the other.
#[derive(Debug, Clone)]
pub struct Gate {
    bucket: Bucket,
    /// One for each kind and verdict that has come: never more than twenty-one.
    alike: Vec<Alike>,
}

impl Gate {
    /// A gate that has seen nothing by `now`.
    #[must_use]
    pub const fn new(now: Monotonic) -> Self {
        Self { bucket: Bucket::new(BURST, now), alike: Vec::new() }
    }

    /// What becomes of `asked`.
    pub fn judge(
        &mut self,
        asked: Asked<'_>,
        topics: &Topics,
        foreign_prefix: Option<&str>,
        now: Monotonic,
    ) -> Judgement {
        if !self.bucket.take(now) {
            return Judgement::Refuse(RequestVerdict::RefusedTooMany);
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
        let Some(kind) = kind_of(asked.name) else {
            return refuse(RequestVerdict::RefusedUnknown);
        };
        match asked.response_topic {
            Some(topic) if may_answer_on(topic, topics, foreign_prefix) => Judgement::Answer(kind),
            _ => refuse(RequestVerdict::RefusedResponseTopic),
        }
    }

    /// Whether a message on the topic that arms is taken, and what it says: `on` or `off`, never
    /// retained.
    ///
    /// # Errors
    /// Why it is not.
    pub fn judge_arming(
        &mut self,
        retained: bool,
        payload: &[u8],
        now: Monotonic,
    ) -> Result<bool, RequestVerdict> {
        if !self.bucket.take(now) {
            return Err(RequestVerdict::RefusedTooMany);
        }
        match payload {
            _ if retained => Err(RequestVerdict::RefusedRetained),
            b"on" => Ok(true),
            b"off" => Ok(false),
            _ => Err(RequestVerdict::RefusedUnknown),
        }
    }

    /// Notes a request `name` that was judged; what is to be recorded now: the first of those alike,
    /// with those that wait.
    pub fn note(&mut self, name: &str, verdict: RequestVerdict, now: Monotonic) -> Option<Record> {
        let hasty = verdict == RequestVerdict::RefusedTooMany;
        let (kind, name) = if hasty { (None, "*") } else { (kind_of(name), name) };
        let request: String = name.chars().take(NAME_CHARACTERS_MAX).collect();
        let known = self.alike.iter_mut().find(|one| one.kind == kind && one.verdict == verdict);
        let Some(alike) = known else {
            let first = Alike { kind, verdict, request, count: 1, recorded_at: now };
            self.alike.push(first);
            return self.alike.last_mut().map(|alike| alike.record(now));
        };
        if alike.count > 0 && alike.request != request {
            "*".clone_into(&mut alike.request);
        } else {
            alike.request = request;
        }
        alike.count = alike.count.saturating_add(1);
        alike.is_due(now).then(|| alike.record(now))
    }

    /// What is to be recorded because it has waited long enough.
    pub fn due(&mut self, now: Monotonic) -> Vec<Record> {
        let due = self.alike.iter_mut().filter(|alike| alike.count > 0 && alike.is_due(now));
        due.map(|alike| alike.record(now)).collect()
    }
}

impl Alike {
    const fn is_due(&self, now: Monotonic) -> bool {
        now.since(self.recorded_at).as_millis() >= RECORD_EVERY_MS as u128
    }

    fn record(&mut self, now: Monotonic) -> Record {
        self.recorded_at = now;
        let count = std::mem::take(&mut self.count);
        Record { request: self.request.clone(), verdict: self.verdict, count }
    }
}

fn kind_of(name: &str) -> Option<RequestKind> {
    match name {
        "ping" => Some(RequestKind::Ping),
        "snapshot_health" => Some(RequestKind::SnapshotHealth),
        "nonce" => Some(RequestKind::Nonce),
        "signed" => Some(RequestKind::Signed),
        _ => None,
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

    const fn at(millis: u64) -> Monotonic {
        Monotonic::from_millis(millis)
    }

    /// Judges and notes a request, as the session does; what is to be recorded.
    fn ask(gate: &mut Gate, asked: Asked<'_>, now: Monotonic) -> Option<Record> {
        let topics = Topics::new("deepid-edge", "front").unwrap();
        let verdict = match gate.judge(asked, &topics, None, now) {
            Judgement::Answer(_) => RequestVerdict::Answered,
            Judgement::Refuse(verdict) => verdict,
        };
        gate.note(asked.name, verdict, now)
    }

    fn record(request: &str, verdict: RequestVerdict, count: u32) -> Record {
        Record { request: request.to_owned(), verdict, count }
    }

    #[test]
    fn one_ping_a_second_for_a_day_is_one_record_in_ten_minutes() {
        let mut gate = Gate::new(at(0));
        let mut records = Vec::new();
        for second in 0..86_400 {
            let now = at(second * 1000);
            records.extend(ask(&mut gate, GOOD, now));
            records.extend(gate.due(now));
        }
        assert_eq!(records[0], record("ping", RequestVerdict::Answered, 1), "the first at once");
        assert_eq!(records[1], record("ping", RequestVerdict::Answered, 600));
        assert_eq!(records.len(), 144);
    }

    #[test]
    fn haste_is_refused_and_recorded_once_for_many() {
        let mut gate = Gate::new(at(0));
        let records: Vec<Record> = (0..100).filter_map(|_| ask(&mut gate, GOOD, at(1))).collect();
        assert_eq!(
            records,
            [
                record("ping", RequestVerdict::Answered, 1),
                record("*", RequestVerdict::RefusedTooMany, 1)
            ]
        );
        assert_eq!(gate.due(at(600_000)), [], "too soon");
        assert_eq!(
            gate.due(at(600_001)),
            [
                record("ping", RequestVerdict::Answered, 4),
                record("*", RequestVerdict::RefusedTooMany, 94)
            ]
        );
        assert_eq!(gate.due(at(9_000_000)), [], "nothing new");
        let refilled = ask(&mut gate, GOOD, at(9_000_000));
        assert_eq!(refilled, Some(record("ping", RequestVerdict::Answered, 1)));
    }

    #[test]
    fn whatever_a_client_asks_the_kinds_of_records_are_bounded() {
        let mut gate = Gate::new(at(0));
        let mut records = Vec::new();
        for second in 0..3600 {
            let now = at(second * 1000);
            let name = format!("open{second}");
            let bad = Asked { name: &name, response_topic: None, ..GOOD };
            let asked = match second % 6 {
                0 => GOOD,
                1 => Asked { name: "snapshot_health", ..GOOD },
                2 => Asked { retained: true, ..GOOD },
                3 => Asked { retained: true, ..bad },
                4 => Asked { payload_bytes: 9999, ..bad },
                _ => bad,
            };
            records.extend(ask(&mut gate, asked, now));
            records.extend(gate.due(now));
        }
        assert!(gate.alike.len() <= 12, "{gate:?}");
        assert_eq!(records.len(), 6 * 6, "each kind once in ten minutes");
        let several = records.iter().find(|record| record.count > 1 && record.request == "*");
        assert!(several.is_some(), "of different names none stands for all: {records:?}");
    }
}
