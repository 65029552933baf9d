//! Whether another client speaks as this door: a second board with the same `door.id`, which the
//! broker tells by nothing but lost connections.
//!
//! In: what is heard on the door's own topics, and how connections end. Out: whether the door is
//! *contested*: then nothing is granted, because who stands before the other door would open this
//! one. Pure; time is an argument.
//!
//! | sign | contested for |
//! |---|---|
//! | the broker says that another client took our id (`0x8E`, mosquitto 2.0.15 and newer) | [`HOLD`] |
//! | after a loss, the retained `info` is of another run, although ours was there | [`HOLD`] |
//! | [`LOSSES`] accepted connections were closed without a reason within [`HOLD`] | [`HOLD`] |
//! | `info` or `access` of another run comes while we are connected | [`HOLD`], in all at most [`WORDS_MAX`] of [`WORDS_PERIOD`] |
//!
//! Invariants: doubt ends by itself, [`HOLD`] after its last sign. Whoever merely writes to our
//! topics holds grants back for a bounded part of the time; without that bound he could lock the
//! door for ever. The other signs need no bound: whoever takes our id keeps us off the broker
//! anyway, and grants with us.
//! A record is made at most once an hour.
//! Deliberately absent: which of the two is the right one, which neither can know.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;
use uuid::Uuid;

use super::BrokerError;
use crate::clock::Monotonic;
pub use crate::store::TwinSign;

/// How long a sign counts. Two boards that push each other out meet again within the sum of their
/// longest waits, 20 s.
pub const HOLD: Duration = Duration::from_secs(60);
/// Connections closed without a reason that are a sign together.
pub const LOSSES: usize = 3;
/// For how long of [`WORDS_PERIOD`] mere words count.
pub const WORDS_MAX: Duration = Duration::from_secs(10 * 60);
/// The time to which [`WORDS_MAX`] belongs.
pub const WORDS_PERIOD: Duration = Duration::from_secs(60 * 60);

/// How long no further record is made: the audit is no place for what comes every minute.
const RECORD_EVERY: Duration = Duration::from_secs(60 * 60);
/// Signs that prolong the doubt by less than this are not told on.
const TELL_MIN: Duration = Duration::from_secs(1);

/// What was noticed of another client that speaks as this door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contest {
    /// By what it was noticed.
    pub by: TwinSign,
    /// Until when it counts.
    pub until: Monotonic,
    /// Whether it is to be recorded: one an hour is.
    pub record: bool,
}

/// Whose an `info` or `access` is; `None` where it is neither.
#[must_use]
pub fn whose(payload: &[u8]) -> Option<Uuid> {
    #[derive(Deserialize)]
    struct Whose {
        boot: Uuid,
    }
    serde_json::from_slice::<Whose>(payload).ok().map(|whose| whose.boot)
}

/// Watches for another client with our id; see the module.
#[derive(Debug)]
pub struct TwinWatch {
    boot: Uuid,
    /// Whether the broker has had an `info` of this run.
    told: bool,
    until: Option<Monotonic>,
    losses: VecDeque<Monotonic>,
    /// When the period began in which mere words are counted.
    words_since: Option<Monotonic>,
    recorded_at: Option<Monotonic>,
}

impl TwinWatch {
    /// Watches for others than the run `boot`.
    #[must_use]
    pub const fn new(boot: Uuid) -> Self {
        let losses = VecDeque::new();
        Self { boot, told: false, until: None, losses, words_since: None, recorded_at: None }
    }

    /// Whether there were signs of another client lately.
    #[must_use]
    pub fn is_contested(&self, now: Monotonic) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// The broker has an `info` of ours: from now on another one there is a sign.
    pub const fn note_published(&mut self) {
        self.told = true;
    }

    /// The connections to come are to another broker, or with another id there: what lies on it is
    /// of a run before, as at the start. Doubts stay.
    pub fn moved(&mut self) {
        self.told = false;
        self.losses.clear();
    }

    /// A connection has ended, and why.
    pub fn ended(&mut self, why: &BrokerError, now: Monotonic) -> Option<Contest> {
        match why {
            BrokerError::TakenOver { .. } => self.hold(TwinSign::TakenOver, now.plus(HOLD), now),
            BrokerError::Closed { .. } => self.closed(now),
            _ => None,
        }
    }

    /// The broker, which had accepted us, has closed the connection and not said why.
    fn closed(&mut self, now: Monotonic) -> Option<Contest> {
        while self.losses.front().is_some_and(|at| now.since(*at) > HOLD) {
            self.losses.pop_front();
        }
        self.losses.push_back(now);
        if self.losses.len() < LOSSES {
            return None;
        }
        self.losses.pop_front();
        self.hold(TwinSign::Losses, now.plus(HOLD), now)
    }

    /// `payload` came on our `info` or `access`; `retained` where it had lain there before we came.
    pub fn on_message(
        &mut self,
        retained: bool,
        payload: &[u8],
        now: Monotonic,
    ) -> Option<Contest> {
        match (whose(payload)? == self.boot, retained) {
            (true, _) => {
                // Our own echo may come before the acknowledgement.
                self.note_published();
                None
            }
            // Before our first `info`, what lies there is of the run before this one.
            (false, true) if !self.told => None,
            (false, true) => self.hold(TwinSign::InfoReplaced, now.plus(HOLD), now),
            (false, false) => self.words(now),
        }
    }

    /// Somebody publishes as we do while we are connected: another board on a bridged broker, or
    /// anybody who may write there.
    fn words(&mut self, now: Monotonic) -> Option<Contest> {
        let since = match self.words_since {
            Some(since) if now.since(since) < WORDS_PERIOD => since,
            _ => now,
        };
        self.words_since = Some(since);
        self.hold(TwinSign::Heard, now.plus(HOLD).min(since.plus(WORDS_MAX)), now)
    }

    /// Doubts until then, where that is later than known.
    fn hold(&mut self, by: TwinSign, until: Monotonic, now: Monotonic) -> Option<Contest> {
        let known = self.until.unwrap_or_default().max(now);
        if until <= known || (self.is_contested(now) && until.since(known) < TELL_MIN) {
            return None;
        }
        self.until = Some(until);
        let record = self.recorded_at.is_none_or(|at| now.since(at) >= RECORD_EVERY);
        if record {
            self.recorded_at = Some(now);
        }
        Some(Contest { by, until, record })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Uuid = Uuid::from_u128(1);

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_millis(seconds * 1000)
    }

    fn of(boot: u128) -> Vec<u8> {
        format!(r#"{{"schema":"deepid-edge/info/1","boot":"{}"}}"#, Uuid::from_u128(boot)).into()
    }

    fn by(contest: Option<Contest>) -> Option<TwinSign> {
        contest.map(|contest| contest.by)
    }

    fn closed() -> BrokerError {
        BrokerError::Closed { at: "broker:1883".to_owned() }
    }

    fn taken_over() -> BrokerError {
        BrokerError::TakenOver { at: "broker:1883".to_owned() }
    }

    #[test]
    fn a_retained_info_of_another_run_is_a_sign_once_ours_was_there() {
        let mut watch = TwinWatch::new(OURS);
        assert_eq!(watch.on_message(true, &of(2), at(0)), None, "the run before this one");
        assert_eq!(watch.on_message(false, &of(1), at(10)), None, "our own");
        assert!(!watch.is_contested(at(10)));
        let contest = watch.on_message(true, &of(2), at(20));
        let until = at(80);
        assert_eq!(contest, Some(Contest { by: TwinSign::InfoReplaced, until, record: true }));
        assert!(watch.is_contested(at(79)) && !watch.is_contested(at(80)));
        let mut watch = TwinWatch::new(OURS);
        watch.note_published();
        watch.moved();
        assert_eq!(watch.on_message(true, &of(2), at(0)), None, "what lies on another broker");
        watch.note_published();
        assert_eq!(by(watch.on_message(true, &of(2), at(0))), Some(TwinSign::InfoReplaced));
    }

    #[test]
    fn one_loss_is_none_and_three_within_a_minute_are_a_sign() {
        let mut watch = TwinWatch::new(OURS);
        let mut lost = |seconds| by(watch.ended(&closed(), at(seconds)));
        assert_eq!(lost(0), None);
        assert_eq!(lost(50), None);
        assert_eq!(lost(100), None, "the first is too long ago");
        assert_eq!(lost(105), Some(TwinSign::Losses));
        assert_eq!(lost(120), Some(TwinSign::Losses), "and each that follows");
        assert!(watch.is_contested(at(179)) && !watch.is_contested(at(180)));
        assert_eq!(watch.ended(&closed(), at(400)), None);
        let stuck = BrokerError::Lost { at: String::new(), what: "no answer".to_owned() };
        for second in 401..410 {
            assert_eq!(watch.ended(&stuck, at(second)), None, "a network that fails is no board");
        }
    }

    #[test]
    fn what_a_broker_says_is_a_sign_at_once() {
        let mut watch = TwinWatch::new(OURS);
        assert_eq!(by(watch.ended(&taken_over(), at(5))), Some(TwinSign::TakenOver));
        assert!(watch.is_contested(at(64)) && !watch.is_contested(at(65)));
    }

    #[test]
    fn whoever_merely_writes_to_our_topics_holds_grants_back_for_a_bounded_time() {
        let mut watch = TwinWatch::new(OURS);
        let (mut held_s, mut records, mut told) = (0_u64, 0, 0);
        for second in 0..4 * 3600 {
            // Four in a second, of which one is told on at most.
            for _ in 0..4 {
                let contest = watch.on_message(false, &of(2), at(second));
                told += u32::from(contest.is_some());
                records += u32::from(contest.is_some_and(|contest| contest.record));
            }
            held_s += u64::from(watch.is_contested(at(second)));
        }
        assert_eq!(held_s, 4 * WORDS_MAX.as_secs(), "of four hours");
        assert_eq!(records, 4);
        assert!(told <= 4 * 600, "{told}");
    }

    #[test]
    fn words_do_not_shorten_what_a_loss_says_and_nonsense_says_nothing() {
        let mut watch = TwinWatch::new(OURS);
        for second in 0..3000 {
            watch.on_message(false, &of(2), at(second));
        }
        assert_eq!(by(watch.ended(&taken_over(), at(3000))), Some(TwinSign::TakenOver));
        assert_eq!(watch.on_message(false, &of(2), at(3001)), None, "its time is spent");
        assert!(watch.is_contested(at(3059)));
        let mut watch = TwinWatch::new(OURS);
        for payload in [&b""[..], b"offline", b"{}", br#"{"boot":"x"}"#, b"\xff", &of(1)] {
            assert_eq!(watch.on_message(false, payload, at(0)), None, "{payload:?}");
        }
    }
}
