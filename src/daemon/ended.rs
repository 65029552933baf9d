//! Erases people whose validity ended long enough ago: visitors.
//!
//! In: the rules in the database, how long ago is long enough, the time. Out: those people are erased, each
//! with the record of it in one transaction. Invariants: nobody without an end is erased, nobody by a clock
//! that no time service keeps, because it cannot be taken back, and nobody unless that is configured. What
//! cannot be erased now is tried again a minute later.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::clock::{ClockTrust, Monotonic};
use crate::compare::SubjectId;
use crate::config::Config;
use crate::policy::Rules;
use crate::store::{Change, Done, Error, ErrorKind, Signature, Store};

/// How often somebody is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// How long ago, and by which clocks an end is meant; `None`: nobody is erased.
    after: Option<(Duration, TimeZone)>,
    looked: Option<Monotonic>,
}

impl Ended {
    /// Goes by `config` from now on.
    pub(super) fn renew(&mut self, config: &Config) {
        self.after = config.erase_ended().map(|after| (after, config.time_zone()));
        self.looked = None;
    }

    /// Erases whoever is to be erased, where it is time to look; who was, and what kept it from going on.
    pub(super) fn erase(
        &mut self,
        store: &mut Store,
        by: Signature<'_>,
    ) -> (Vec<SubjectId>, Option<Error>) {
        let mut erased = Vec::new();
        let Some((after, zone)) = &self.after else { return (erased, None) };
        let early = self.looked.is_some_and(|looked| by.now.since(looked) < LOOK_EVERY);
        let sure = by.wall.trust == ClockTrust::Trusted && by.wall.synchronised;
        if early || !sure {
            return (erased, None);
        }
        self.looked = Some(by.now);
        let rules = match store.rule_book() {
            Ok(book) => Rules::new(book, zone.clone()),
            Err(error) => return (erased, Some(error)),
        };
        for subject in rules.ended(*after, by.wall.unix_ms) {
            match store.administer(Change::Remove { subject }, by) {
                Ok(Done { left_in_log, .. }) => {
                    tracing::info!(%subject, "erased: the validity has been over for policy.erase_ended_days");
                    if let Some(error) = left_in_log {
                        tracing::warn!(%error, "what was erased is still in the log beside the database; a restart cuts that");
                    }
                    erased.push(subject.clone());
                }
                // Somebody else has removed that one meanwhile.
                Err(error) if error.kind() == ErrorKind::Request => {}
                Err(error) => return (erased, Some(error)),
            }
        }
        (erased, None)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::DateTime;

    use super::*;
    use crate::clock::WallClock;
    use crate::config::{Flag, Sources};
    use crate::inference::ModelId;
    use crate::store::{Body, Enrolee, ReferenceSource, RuleChange, StoreSettings};

    fn by(time: &str, trust: ClockTrust, synchronised: bool, now_ms: u64) -> Signature<'static> {
        let unix_ms = time.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let wall = WallClock { unix_ms, trust, synchronised };
        let now = Monotonic::from_millis(now_ms);
        Signature { door: "front", boot: uuid::Uuid::nil(), now, wall }
    }

    fn ended(days: &str) -> Ended {
        let flags = [("policy.erase_ended_days", days), ("policy.time_zone", "Europe/Berlin")];
        let flags = flags.map(|(key, value)| Flag::set(key, value)).to_vec();
        let mut ended = Ended::default();
        ended.renew(&Config::load(&Sources { flags, ..Sources::default() }).unwrap());
        ended
    }

    /// A database with somebody whose validity ends then; `None`: never.
    fn visitors(until: &[Option<&str>]) -> (tempfile::TempDir, Store, Vec<SubjectId>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.db");
        let mut store = Store::open(&path, StoreSettings::default()).unwrap();
        let by = by("2026-10-01T00:00:00Z", ClockTrust::Trusted, true, 0);
        let model = ModelId::new("none").unwrap();
        let mut visitors = Vec::new();
        for (number, until) in until.iter().enumerate() {
            let who = format!("visitor {number}");
            let enrol = Change::Enrol {
                who: Enrolee::New(&who),
                references: &[],
                source: ReferenceSource::Image,
                model: &model,
            };
            let subject = store.administer(enrol, by).unwrap().subject.unwrap();
            if let Some(until) = until {
                let until = Some(until.parse::<DateTime>().unwrap());
                let limit = RuleChange::Validity { subject: &subject, from: None, until };
                store.change_rules(limit, by).unwrap();
            }
            visitors.push(subject);
        }
        (folder, store, visitors)
    }

    /// In Berlin 02:30 comes twice on that day: the later one counts.
    #[test]
    fn whoever_has_been_over_for_long_enough_is_erased_with_a_record_and_nobody_else() {
        let (_folder, mut store, visitors) =
            visitors(&[Some("2026-10-25T02:30"), Some("2026-10-27T00:00"), None]);
        let mut ended = ended("7");
        let sure = |time, now_ms| by(time, ClockTrust::Trusted, true, now_ms);
        let early = sure("2026-11-01T01:29:59Z", 0);
        assert_eq!(ended.erase(&mut store, early).0, []);
        let due = "2026-11-01T01:30:00Z";
        assert_eq!(ended.erase(&mut store, sure(due, 59_000)).0, [], "it has just looked");
        assert_eq!(ended.erase(&mut store, sure(due, 60_000)).0, visitors[..1]);
        let left: Vec<_> = store.subjects().unwrap().into_iter().map(|one| one.id).collect();
        assert_eq!(left.len(), 2);
        assert!(!left.contains(&visitors[0]));
        let last = store.audit(0, 99).unwrap().pop().unwrap();
        let removed = crate::store::Administrative::SubjectRemoved { subject: visitors[0].clone() };
        assert_eq!(last.body, Body::Administrative(removed));
        assert_eq!(
            ended.erase(&mut store, sure("2099-01-01T00:00:00Z", 120_000)).0,
            visitors[1..2]
        );
    }

    #[test]
    fn nobody_is_erased_by_a_clock_that_may_be_wrong_or_where_nobody_asked_for_it() {
        let (folder, mut store, _) = visitors(&[Some("2026-10-25T02:30")]);
        let long_after = "2099-01-01T00:00:00Z";
        for (trust, synchronised) in [(ClockTrust::Trusted, false), (ClockTrust::Untrusted, true)] {
            let (erased, failed) =
                ended("1").erase(&mut store, by(long_after, trust, synchronised, 0));
            assert!(erased.is_empty() && failed.is_none());
        }
        let sure = by(long_after, ClockTrust::Trusted, true, 0);
        assert_eq!(ended("0").erase(&mut store, sure).0, []);
        assert_eq!(Ended::default().erase(&mut store, sure).0, []);
        assert_eq!(store.subjects().unwrap().len(), 1);
        // What is not written as it must be erases nobody, and says so.
        let spoil = rusqlite::Connection::open(folder.path().join("door.db")).unwrap();
        spoil.execute_batch("INSERT INTO schedules VALUES ('a', 'whenever')").unwrap();
        let (erased, failed) = ended("1").erase(&mut store, sure);
        assert!(erased.is_empty() && failed.is_some());
    }
}
