//! Who is logged in, and who has to wait before the next try.
//!
//! In: cookies' values, names, addresses, the time. Out: the session, or for how long still. Pure but
//! for the values that it is given. Invariants: a session is known by the SHA-256 of its cookie, never
//! by that; it ends after a while without use and after a while at all; each list has a bound, of which
//! the oldest goes; a failed try makes the next one wait, for the account and for the address; a wrong
//! PIN, for the subject and for the screen, and no failed login makes that forgotten. Of IPv6
//! the first 64 bits count: the others are whoever has them to choose (RFC 4291, section 2.5.1).

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::password::token_hash;
use crate::clock::Monotonic;
use crate::compare::SubjectId;
use crate::policy::RuleName;

/// A session that is not used for so long ends.
pub(super) const IDLE: Duration = Duration::from_secs(30 * 60);
/// No session is longer.
pub(super) const ABSOLUTE: Duration = Duration::from_secs(12 * 3600);
const SESSIONS_MAX: usize = 200;
const WAITING_MAX: usize = 1024;
/// Screens that are remembered: more than all accounts together may have.
const SCREENS_MAX: usize = 2048;
/// Longer than a page that has lost the daemon waits before its next try (`app/stream.js`, 18 s).
const SETTLING: Duration = Duration::from_secs(20);
/// So many failures are free.
const FREE: u32 = 3;
const ACCOUNT_WAIT_MAX: Duration = Duration::from_secs(60);
const ADDRESS_WAIT_MAX: Duration = Duration::from_secs(900);
const PIN_WAIT_MAX: Duration = Duration::from_secs(900);
/// Several people type on one screen.
const SCREEN_WAIT_MAX: Duration = Duration::from_secs(60);
/// After so long without a failure everything is forgotten.
const FORGET: Duration = Duration::from_secs(3600);

/// One who is logged in.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub account: RuleName,
    /// The SHA-256 of what the database has of the password: another one ends the session.
    pub password: String,
    began: Monotonic,
    used: Monotonic,
}

/// All who are logged in.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<String, Session>);

impl Sessions {
    /// Begins a session of `token`.
    pub(super) fn begin(&mut self, token: &str, account: RuleName, phc: &str, now: Monotonic) {
        self.0.retain(|_, session| session.lives(now));
        if self.0.len() >= SESSIONS_MAX
            && let Some(oldest) =
                self.0.iter().min_by_key(|(_, s)| s.used).map(|(key, _)| key.clone())
        {
            self.0.remove(&oldest);
        }
        let session = Session { account, password: token_hash(phc), began: now, used: now };
        self.0.insert(token_hash(token), session);
    }

    /// The session of `token`, which was used now.
    pub(super) fn find(&mut self, token: &str, now: Monotonic) -> Option<Session> {
        let key = token_hash(token);
        let session = self.0.get_mut(&key)?;
        if !session.lives(now) {
            self.0.remove(&key);
            return None;
        }
        session.used = now;
        Some(session.clone())
    }

    pub(super) fn end(&mut self, token: &str) {
        self.0.remove(&token_hash(token));
    }
}

impl Session {
    fn lives(&self, now: Monotonic) -> bool {
        now.since(self.used) < IDLE && now.since(self.began) < ABSOLUTE
    }
}

/// Screens at the door that have shown their token since the page's start, by its SHA-256.
#[derive(Debug, Default)]
pub(super) struct Screens(HashMap<String, Monotonic>);

impl Screens {
    /// Notes that the screen of this token was there.
    pub(super) fn saw(&mut self, hash: &str, now: Monotonic) {
        if self.0.len() >= SCREENS_MAX
            && !self.0.contains_key(hash)
            && let Some(oldest) =
                self.0.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone())
        {
            self.0.remove(&oldest);
        }
        self.0.insert(hash.to_owned(), now);
    }

    /// Which of `held`, the one that was made first first, makes room for another: none that listens;
    /// one that was not there since the start, and else that which was there longest ago.
    pub(super) fn spare(&self, held: &[String], listens: impl Fn(&str) -> bool) -> Option<String> {
        let spare = held.iter().filter(|hash| !listens(hash));
        spare.min_by_key(|hash| self.0.get(*hash).copied()).cloned()
    }
}

/// For how long still, at `now`, it cannot be told which screens are used: those that were cut off by a
/// restart come back within [`SETTLING`].
pub(super) fn settling(started: Monotonic, now: Monotonic) -> Duration {
    SETTLING.saturating_sub(now.since(started))
}

/// What a request that changes something has to carry: bound to the session's cookie, and of no use
/// without it.
pub(super) fn csrf(token: &str) -> String {
    token_hash(&format!("deepid-edge/csrf/1:{token}"))
}

/// Who has failed to log in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Account(String),
    Address(IpAddr),
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Monotonic,
}

/// Waits after failed tries.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    logins: HashMap<Who, Failures>,
    /// Of whoever's PIN was typed. On their own, lest names that somebody makes up push them out; no more than
    /// are enrolled.
    subjects: HashMap<SubjectId, Failures>,
    /// Of screens on which PINs were typed, by the hash of what they show of themselves.
    screens: HashMap<String, Failures>,
}

impl Throttle {
    /// For how long still nobody may try this account from this address; zero where at once.
    pub(super) fn wait(&self, account: &str, address: IpAddr, now: Monotonic) -> Duration {
        let of = |who, most| wait_of(&self.logins, &who, most, now);
        of(Who::Account(short(account)), ACCOUNT_WAIT_MAX)
            .max(of(Who::Address(network(address)), ADDRESS_WAIT_MAX))
    }

    /// For how long still no PIN of `subject` may be tried on this screen; zero where at once.
    pub(super) fn wait_for_pin(
        &self,
        subject: &SubjectId,
        screen: &str,
        now: Monotonic,
    ) -> Duration {
        let screen = wait_of(&self.screens, screen, SCREEN_WAIT_MAX, now);
        wait_of(&self.subjects, subject, PIN_WAIT_MAX, now).max(screen)
    }

    /// Notes a failed try.
    pub(super) fn failed(&mut self, account: &str, address: IpAddr, now: Monotonic) {
        for who in [Who::Account(short(account)), Who::Address(network(address))] {
            note(&mut self.logins, who, WAITING_MAX, now);
        }
    }

    /// Notes a wrong PIN of `subject` that was typed on this screen.
    pub(super) fn pin_was_wrong(&mut self, subject: &SubjectId, screen: &str, now: Monotonic) {
        note(&mut self.subjects, subject.clone(), usize::MAX, now);
        note(&mut self.screens, screen.to_owned(), SCREENS_MAX, now);
    }

    /// Forgets what failed before a try that did not.
    pub(super) fn succeeded(&mut self, account: &str, address: IpAddr) {
        self.logins.remove(&Who::Account(short(account)));
        self.logins.remove(&Who::Address(network(address)));
    }

    /// The same of a subject's PIN, and of the screen.
    pub(super) fn pin_was_right(&mut self, subject: &SubjectId, screen: &str) {
        self.subjects.remove(subject);
        self.screens.remove(screen);
    }
}

/// For how long `who` has to wait still, `most` at most.
fn wait_of<K: Borrow<Q> + Eq + Hash, Q: Eq + Hash + ?Sized>(
    failed: &HashMap<K, Failures>,
    who: &Q,
    most: Duration,
    now: Monotonic,
) -> Duration {
    let Some(Failures { count, last }) = failed.get(who).copied() else {
        return Duration::ZERO;
    };
    let over = count.saturating_sub(FREE);
    if over == 0 {
        return Duration::ZERO;
    }
    let wait = Duration::from_secs(1_u64 << over.min(12)).min(most);
    wait.saturating_sub(now.since(last))
}

/// Notes that `who` has failed, of `most` at most.
fn note<K: Clone + Eq + Hash>(
    failed: &mut HashMap<K, Failures>,
    who: K,
    most: usize,
    now: Monotonic,
) {
    failed.retain(|_, failures| now.since(failures.last) < FORGET);
    if failed.len() >= most
        && !failed.contains_key(&who)
        && let Some(oldest) = failed.iter().min_by_key(|(_, f)| f.last).map(|(key, _)| key.clone())
    {
        failed.remove(&oldest);
    }
    let failures = failed.entry(who).or_insert(Failures { count: 0, last: now });
    failures.count = failures.count.saturating_add(1);
    failures.last = now;
}

/// What of an address its owner cannot choose.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// Names of accounts are short; what is longer is none, and must not take memory.
fn short(account: &str) -> String {
    account.chars().take(33).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_millis(1000 * seconds)
    }

    #[test]
    fn a_session_ends_by_itself() {
        let mut sessions = Sessions::default();
        let anna = RuleName::new("anna").unwrap();
        sessions.begin("cookie", anna, "$argon2id$", at(0));
        assert!(sessions.find("other", at(1)).is_none());
        let mut now = 1;
        while now < ABSOLUTE.as_secs() {
            assert!(sessions.find("cookie", at(now)).is_some(), "in use at {now}");
            now += IDLE.as_secs() - 1;
        }
        assert!(sessions.find("cookie", at(ABSOLUTE.as_secs())).is_none(), "no session is longer");
        sessions.begin("cookie", RuleName::new("anna").unwrap(), "$argon2id$", at(now));
        assert!(sessions.find("cookie", at(now + IDLE.as_secs())).is_none(), "not used");
    }

    #[test]
    fn sessions_have_a_bound_and_the_least_used_goes() {
        let mut sessions = Sessions::default();
        for number in 0..=SESSIONS_MAX as u64 {
            let anna = RuleName::new("anna").unwrap();
            sessions.begin(&number.to_string(), anna, "", at(number));
        }
        assert_eq!(sessions.0.len(), SESSIONS_MAX);
        assert!(sessions.find("0", at(300)).is_none() && sessions.find("1", at(300)).is_some());
    }

    #[test]
    fn a_screen_that_nobody_looks_at_makes_room_and_none_that_listens() {
        let mut screens = Screens::default();
        let held: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let spare = |screens: &Screens, listening: &[&str]| {
            screens.spare(&held, |hash| listening.contains(&hash))
        };
        assert_eq!(spare(&screens, &[]).as_deref(), Some("a"), "the first that was made");
        screens.saw("a", at(10));
        screens.saw("b", at(5));
        assert_eq!(spare(&screens, &[]).as_deref(), Some("c"), "not there since the start");
        screens.saw("c", at(20));
        screens.saw("d", at(30));
        assert_eq!(spare(&screens, &[]).as_deref(), Some("b"), "there longest ago");
        assert_eq!(spare(&screens, &["b"]).as_deref(), Some("a"));
        assert_eq!(spare(&screens, &["a", "b", "c", "d"]), None, "all are used");
        assert_eq!(settling(at(100), at(100)), SETTLING);
        assert_eq!(settling(at(100), at(100 + SETTLING.as_secs())), Duration::ZERO);
        for number in 0..5000 {
            screens.saw(&number.to_string(), at(number));
        }
        assert!(screens.0.len() <= SCREENS_MAX && screens.0.contains_key("4999"));
    }

    #[test]
    fn failures_make_the_next_try_wait_longer_and_longer() {
        let mut throttle = Throttle::default();
        let mut waits = Vec::new();
        for _ in 0..14 {
            throttle.failed("anna", HOME, at(10));
            waits.push(throttle.wait("anna", HOME, at(10)).as_secs());
        }
        assert_eq!(waits, [0, 0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        let elsewhere = "192.168.1.9".parse().unwrap();
        assert_eq!(throttle.wait("anna", elsewhere, at(10)).as_secs(), 60, "the account waits too");
        assert_eq!(throttle.wait("berta", elsewhere, at(10)), Duration::ZERO);
        throttle.succeeded("anna", HOME);
        assert_eq!(throttle.wait("anna", HOME, at(10)), Duration::ZERO);
    }

    #[test]
    fn who_has_a_network_waits_with_all_of_its_addresses() {
        let of = |text: &str| -> IpAddr { text.parse().unwrap() };
        let mut throttle = Throttle::default();
        for number in 0..=FREE {
            throttle.failed("x", of(&format!("2001:db8:1:2::{number}")), at(10));
        }
        for number in 0..=FREE {
            throttle.failed("y", of("::ffff:192.0.2.1"), at(10));
            throttle.failed("z", of(&format!("2001:db8:{number:x}::1")), at(10));
        }
        let wait = |address: &str| throttle.wait("anna", of(address), at(10)).as_secs();
        assert_eq!(wait("2001:db8:1:2:ffff::9"), 2, "the same /64");
        assert_eq!(wait("2001:db8:1:3::1"), 0, "another one");
        assert_eq!((wait("192.0.2.1"), wait("192.0.2.2")), (2, 0), "IPv4 counts whole");
    }

    #[test]
    fn a_wrong_pin_waits_for_its_subject_and_its_screen_whatever_names_are_tried() {
        let mut throttle = Throttle::default();
        let [anna, berta] = ["s-000001", "s-000002"].map(|id| SubjectId::new(id).unwrap());
        for _ in 0..20 {
            throttle.pin_was_wrong(&anna, "hall", at(10));
        }
        for number in 0..2 * WAITING_MAX as u64 {
            throttle.failed(&format!("name-{number}"), HOME, at(11 + number / 10));
        }
        let wait = |throttle: &Throttle, subject, screen| {
            throttle.wait_for_pin(subject, screen, at(10)).as_secs()
        };
        assert_eq!(wait(&throttle, &anna, "hall"), 900);
        assert_eq!(wait(&throttle, &anna, "yard"), 900, "the subject waits everywhere");
        assert_eq!(wait(&throttle, &berta, "hall"), 60, "the screen waits for everybody");
        assert_eq!(wait(&throttle, &berta, "yard"), 0);
        throttle.pin_was_right(&berta, "hall");
        assert_eq!(wait(&throttle, &berta, "hall"), 0);
        assert_eq!(wait(&throttle, &anna, "yard"), 900, "hers was not right");
        // An hour after the last wrong one all are forgotten, with the next.
        let later = at(10 + FORGET.as_secs());
        throttle.pin_was_wrong(&anna, "hall", later);
        assert_eq!(throttle.wait_for_pin(&anna, "hall", later), Duration::ZERO);
    }

    #[test]
    fn who_tries_many_names_takes_no_memory() {
        let mut throttle = Throttle::default();
        for number in 0..5000 {
            throttle.failed(&format!("name-{number}-{}", "x".repeat(500)), HOME, at(number));
        }
        assert!(throttle.logins.len() <= WAITING_MAX);
    }
}
