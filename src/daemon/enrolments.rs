//! The enrolled set, and the rules of who may pass, on their way from the database to the door, at the
//! start and while running.
//!
//! In: the database, whatever makes galleries of it, the time. Out: the newest enrolled set in a
//! [`Handover`], with the rules; how many are enrolled; whether they can be read, as [`Looked`].
//!
//! The database's version is read before its references: a change between the two is a newer
//! version, so that it is read again and never missed. While the references cannot be read or
//! compared, or the rules not be read, for whatever reason, nobody is enrolled: whom an administrator has just removed may be
//! among those in memory. It is tried again at each look.
//! Invariant: no clock is read here. Deliberately absent: the thread, which is `desk_thread`'s.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::DaemonError;
use super::reload::{Adjustment, Renewal};
use crate::clock::Monotonic;
use crate::compare::SubjectId;
use crate::config::Config;
use crate::policy::{FaceAlone, Rules, Whereabouts};
use crate::recognise::Galleries;
use crate::store::{Store, Usable};

/// How often the database is looked at for enrolments made by another program.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// References of which each has a line in the log.
const TOLD_MAX: usize = 8;

/// Makes the enrolled set of what the database has; made by whoever knows cards and configuration.
pub(super) type GalleriesMaker =
    Box<dyn Fn(&Config, &Store) -> Result<Galleries, DaemonError> + Send>;

/// An enrolled set with its rules, and the version of the database that they are not older than.
#[derive(Debug)]
pub(super) struct Loaded {
    pub galleries: Galleries,
    pub rules: Rules,
    pub version: i64,
}

impl Loaded {
    /// Reads version, then references, then rules.
    pub(super) fn read(
        config: &Config,
        store: &Store,
        make: impl Fn(&Config, &Store) -> Result<Galleries, DaemonError>,
    ) -> Result<Self, DaemonError> {
        let version = store.data_version()?;
        let galleries = make(config, store)?;
        let claimed = galleries.deciding().operating().claimed_fpir;
        let rules = config.rules(store.rule_book()?, claimed);
        Ok(Self { galleries, rules, version })
    }
}

/// What the recogniser is to compare with from now on.
#[derive(Debug)]
pub(super) enum Change {
    /// These, by these rules.
    Replace(Box<Galleries>, Box<Rules>),
    /// Nobody.
    Withdraw,
}

/// What the recogniser is to take over between two frames.
#[derive(Debug, Default)]
pub(super) struct News {
    pub change: Option<Change>,
    /// Set by a reload of the configuration; the change beside it was made by that.
    pub adjustment: Option<Adjustment>,
    /// Whether the door is to forget its failed visits.
    pub reset_lockout: bool,
    /// Whose second factor has come.
    pub factors: Vec<SubjectId>,
    /// Who went in or out by the other door.
    pub passages: Vec<(SubjectId, Whereabouts)>,
}

/// One place between the desk and the door thread, in which the newest change wins. An
/// adjustment stays until it is taken: what is made after it is made by its configuration.
#[derive(Debug, Default)]
pub(super) struct Handover(Mutex<News>);

impl Handover {
    fn put(&self, change: Change, adjustment: Option<Adjustment>) {
        let mut news = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        news.change = Some(change);
        news.adjustment = adjustment.or(news.adjustment.take());
    }

    /// Has the door forget its failed visits.
    pub(super) fn reset_lockout(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).reset_lockout = true;
    }

    /// Tells the door whose second factor has come.
    fn bring(&self, factors: Vec<SubjectId>) {
        let mut news = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<_> = factors.into_iter().filter(|one| !news.factors.contains(one)).collect();
        news.factors.extend(new);
    }

    /// Tells the door who went in or out by the other one.
    fn pass(&self, passages: Vec<(SubjectId, Whereabouts)>) {
        let mut news = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        news.passages.extend(passages);
    }

    /// What is new since the last call.
    pub(super) fn take(&self) -> News {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How many are enrolled, and what can be claimed of the gallery that decides.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Enrolled {
    pub subjects: u64,
    pub references: u64,
    /// References that no network in use has made, those of an unknown file included.
    pub never_compared: u64,
    /// References of an unknown file.
    pub of_unknown_file: u64,
    /// References that do not open.
    pub unreadable: u64,
    /// Subjects with references, none of which can be compared.
    pub unreachable: u64,
    pub claimed_fpir: Option<f64>,
    pub beyond_calibration: bool,
    /// Whether a face alone is enough.
    pub face_alone: FaceAlone,
    /// What a score has to reach.
    pub threshold: f32,
}

impl Enrolled {
    /// Counts what `galleries` hold, and the references that are never compared; by `rules` a face alone is
    /// enough, or not.
    pub(super) fn of(galleries: &Galleries, rules: &Rules, store: &Store) -> Self {
        let held = store.held().unwrap_or_default();
        let usable = Usable::of(&held, &galleries.keys());
        let operating = galleries.deciding().operating();
        let references = galleries.gallery.references() as u64;
        Self {
            subjects: galleries.gallery.subjects() as u64,
            references,
            never_compared: usable.never_compared(),
            of_unknown_file: usable.of_unknown_file(),
            unreadable: tell_of_unreadable(store),
            unreachable: usable.subjects_unreachable,
            claimed_fpir: operating.claimed_fpir,
            beyond_calibration: operating.beyond_accepted && references > 0,
            face_alone: *rules.face_alone(),
            threshold: galleries.gallery.operating().threshold,
        }
    }
}

/// How many references do not open; in the log, which.
fn tell_of_unreadable(store: &Store) -> u64 {
    let unreadable = store.unreadable_references().unwrap_or_default();
    for one in unreadable.iter().take(TOLD_MAX) {
        tracing::error!(
            reference = one.reference,
            subject = one.subject,
            model = one.model,
            why = one.what,
            "a reference cannot be read and is never compared; the others are; enroll that person again"
        );
    }
    if unreadable.len() > TOLD_MAX {
        tracing::error!(
            references = unreadable.len(),
            "references cannot be read; 'deepid-edge subjects list' says whose"
        );
    }
    unreadable.len() as u64
}

/// What a look at the enrolments has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    /// It is too early to look.
    TooEarly,
    /// Nothing has changed.
    Same,
    /// There is a new enrolled set.
    Loaded,
    /// They cannot be read; nobody is enrolled.
    Withdrawn {
        /// Whether the database is the cause.
        by_store: bool,
    },
}

/// What the desk thread knows of the enrolments.
pub(super) struct Enrolments {
    make: GalleriesMaker,
    /// By which the galleries are made.
    config: Config,
    /// Version of what the recogniser has; `None` while it has nobody because of a fault.
    version: Option<i64>,
    looked: Option<Monotonic>,
    handover: Arc<Handover>,
    /// Told of every gallery that was loaded.
    enrolled: Arc<Mutex<Enrolled>>,
    /// Why the gallery cannot be read, as it was last logged.
    fault: Option<String>,
}

impl Enrolments {
    /// Enrolments of which the recogniser has those of `version`.
    pub(super) fn new(
        make: GalleriesMaker,
        config: Config,
        version: i64,
        handover: Arc<Handover>,
        enrolled: Arc<Mutex<Enrolled>>,
    ) -> Self {
        Self { make, config, version: Some(version), looked: None, handover, enrolled, fault: None }
    }

    /// Looks, once in a while, whether another program has changed the enrolments, and reads them
    /// again when it has, when they could not be read before, or when the database has `failed`.
    pub(super) fn look(&mut self, store: &Store, failed: bool, now: Monotonic) -> Looked {
        if self.looked.is_some_and(|looked| now.since(looked) < LOOK_EVERY) {
            return Looked::TooEarly;
        }
        self.looked = Some(now);
        let unchanged = |version: i64| Some(version) == self.version && !failed;
        if store.data_version().is_ok_and(unchanged) {
            return Looked::Same;
        }
        match Loaded::read(&self.config, store, &self.make) {
            Ok(loaded) => {
                self.replace(loaded, None, store);
                Looked::Loaded
            }
            Err(error) => {
                self.withdraw(&error);
                Looked::Withdrawn { by_store: matches!(error, DaemonError::Store(_)) }
            }
        }
    }

    /// Reads everything again at the next look: the desk itself has changed what is there.
    pub(super) const fn read_again(&mut self) {
        self.version = None;
    }

    /// Has the door forget its failed visits.
    pub(super) fn reset_lockout(&self) {
        self.handover.reset_lockout();
    }

    /// Tells the door whose second factor has come.
    pub(super) fn bring(&self, factors: Vec<SubjectId>) {
        self.handover.bring(factors);
    }

    /// Tells the door who went in or out by the other one.
    pub(super) fn pass(&self, passages: Vec<(SubjectId, Whereabouts)>) {
        self.handover.pass(passages);
    }

    /// Goes on by another configuration where a gallery can be made by it, and says whether; the
    /// recogniser gives the answer when it has both.
    pub(super) fn renew(&mut self, Renewal { config, answer }: Renewal, store: &Store) -> bool {
        match Loaded::read(&config, store, &self.make) {
            Ok(loaded) => {
                let adjustment = Adjustment::of(&config, answer);
                self.config = config;
                self.replace(loaded, Some(adjustment), store);
                true
            }
            Err(error) => {
                // Nobody listens any more where the daemon ends.
                drop(answer.send(Err(error)));
                false
            }
        }
    }

    fn replace(&mut self, loaded: Loaded, adjustment: Option<Adjustment>, store: &Store) {
        let Loaded { galleries, rules, version } = loaded;
        let enrolled = Enrolled::of(&galleries, &rules, store);
        tracing::info!(
            subjects = enrolled.subjects,
            references = enrolled.references,
            never_compared = enrolled.never_compared,
            unconfirmable = galleries.unconfirmable(),
            "enrolments reloaded"
        );
        *self.enrolled.lock().unwrap_or_else(PoisonError::into_inner) = enrolled;
        self.handover.put(Change::Replace(Box::new(galleries), Box::new(rules)), adjustment);
        (self.version, self.fault) = (Some(version), None);
    }

    fn withdraw(&mut self, error: &DaemonError) {
        self.handover.put(Change::Withdraw, None);
        self.version = None;
        let fault = error.to_string();
        // Tried every second: a line for each try would wear out the card.
        if self.fault.as_ref() != Some(&fault) {
            tracing::error!(
                %error,
                "the enrolments cannot be read; nobody is granted until they can, which is tried every second"
            );
            self.fault = Some(fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::clock::{ClockTrust, WallClock};
    use crate::compare::{Comparer, Gallery, GalleryEntry, Metric, Operating, SubjectId};
    use crate::config::{Flag, Sources};
    use crate::embed::FeatureVector;
    use crate::equip::EquipError;
    use crate::inference::ModelKey;
    use crate::policy::{Arming, Asked, Refusal};
    use crate::store::{self, StoreSettings};

    fn key() -> ModelKey {
        ModelKey::made_up()
    }

    /// One made-up reference of each subject in the database, compared by cosine.
    fn made(_: &Config, store: &Store) -> Result<Galleries, DaemonError> {
        let entry = |subject: store::Subject| GalleryEntry {
            subject: subject.id,
            enabled: subject.enabled,
            feature: vector([1.0, 0.5]),
        };
        let entries = store.subjects()?.into_iter().map(entry).collect();
        let operating = Operating {
            threshold: 0.5,
            claimed_fmr: None,
            claimed_fpir: None,
            falls_short: false,
            other_averaging: false,
            beyond_accepted: false,
        };
        let gallery = Gallery::build(comparer(), entries, |_| operating);
        Ok(gallery.map_err(EquipError::from)?.into())
    }

    fn comparer() -> Comparer {
        Comparer::new(key(), 2, &[], Metric::Cosine)
    }

    fn vector(values: [f32; 2]) -> FeatureVector {
        FeatureVector::new(key(), values.to_vec()).unwrap()
    }

    fn by() -> store::Signature<'static> {
        let wall = WallClock {
            unix_ms: 1_800_000_000_000,
            trust: ClockTrust::Trusted,
            synchronised: false,
        };
        let (boot, now) = (uuid::Uuid::nil(), Monotonic::default());
        store::Signature { door: "front", boot, now, wall }
    }

    fn change(store: &mut Store, change: store::Change<'_>) -> Option<SubjectId> {
        store.administer(change, by()).unwrap().subject
    }

    fn enrol(store: &mut Store, name: &str) -> SubjectId {
        let enrolled = store::Change::Enrol {
            who: store::Enrolee::New(name),
            references: &[],
            source: store::ReferenceSource::Image,
            model: &key().id,
        };
        change(store, enrolled).unwrap()
    }

    /// The database of a daemon, and the one of an administrator beside it.
    fn two(folder: &tempfile::TempDir) -> (Store, Store) {
        let path = folder.path().join("door.db");
        let open = || Store::open(&path, StoreSettings::default()).unwrap();
        (open(), open())
    }

    fn config(flags: &[(&str, &str)]) -> Config {
        let flag = |(key, value): &(&str, &str)| Flag {
            given_as: "--set".to_owned(),
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        let flags = flags.iter().map(flag).collect();
        Config::load(&Sources { flags, ..Sources::default() }).unwrap()
    }

    fn enrolments(make: GalleriesMaker, version: i64, handover: &Arc<Handover>) -> Enrolments {
        Enrolments::new(make, config(&[]), version, Arc::clone(handover), Arc::default())
    }

    fn replacement(store: &Store) -> Change {
        let galleries = made(&config(&[]), store).unwrap();
        Change::Replace(Box::new(galleries), Box::default())
    }

    fn subjects(change: Option<Change>) -> Option<usize> {
        match change {
            Some(Change::Replace(galleries, _)) => Some(galleries.gallery.subjects()),
            Some(Change::Withdraw) => Some(0),
            None => None,
        }
    }

    #[test]
    fn the_newest_change_wins() {
        let folder = tempfile::tempdir().unwrap();
        let (_, mut beside) = two(&folder);
        let handover = Handover::default();
        for index in 0..6 {
            enrol(&mut beside, &format!("somebody {index}"));
            handover.put(replacement(&beside), None);
        }
        assert_eq!(subjects(handover.take().change), Some(6));
        assert!(handover.take().change.is_none(), "it is handed over once");
        handover.put(replacement(&beside), None);
        handover.put(Change::Withdraw, None);
        assert_eq!(subjects(handover.take().change), Some(0));
    }

    #[test]
    fn whatever_keeps_the_enrolments_from_being_read_withdraws_them_until_they_can() {
        let folder = tempfile::tempdir().unwrap();
        let (store, mut beside) = two(&folder);
        let removed = enrol(&mut beside, "removed");
        enrol(&mut beside, "stays");
        let broken = Arc::new(AtomicBool::new(false));
        let make = {
            let broken = Arc::clone(&broken);
            move |config: &Config, store: &Store| {
                if broken.load(Ordering::Relaxed) {
                    let nothing = vector([0.0, 0.0]);
                    let error = comparer().score(&nothing, &nothing).unwrap_err();
                    return Err(EquipError::from(error).into());
                }
                made(config, store)
            }
        };
        let loaded = Loaded::read(&config(&[]), &store, &make).unwrap();
        let (handover, enrolled) = (Arc::default(), Arc::default());
        let mut enrolments = Enrolments::new(
            Box::new(make),
            config(&[]),
            loaded.version,
            Arc::clone(&handover),
            Arc::clone(&enrolled),
        );
        let mut look = |second: u64| {
            let looked = enrolments.look(&store, false, Monotonic::from_millis(second * 1000));
            (subjects(handover.take().change), looked)
        };
        assert_eq!(look(1), (None, Looked::Same), "nothing has changed");

        broken.store(true, Ordering::Relaxed);
        change(&mut beside, store::Change::Remove { subject: &removed });
        assert_eq!(
            look(2),
            (Some(0), Looked::Withdrawn { by_store: false }),
            "nobody, and not the removed one"
        );
        assert_eq!(look(3), (Some(0), Looked::Withdrawn { by_store: false }));

        broken.store(false, Ordering::Relaxed);
        assert_eq!(look(4), (Some(1), Looked::Loaded), "tried again without another change");
        assert_eq!(look(5), (None, Looked::Same));
        assert_eq!(enrolled.lock().unwrap().subjects, 1);
    }

    #[test]
    fn a_change_while_the_first_gallery_is_made_is_not_missed() {
        let folder = tempfile::tempdir().unwrap();
        let (store, beside) = two(&folder);
        let beside = Mutex::new(beside);
        // Somebody is enrolled after the references were read.
        let loaded = Loaded::read(&config(&[]), &store, |config, store| {
            let read = made(config, store);
            enrol(&mut beside.lock().unwrap(), "late");
            read
        })
        .unwrap();
        assert_eq!(loaded.galleries.gallery.subjects(), 0);
        let handover = Arc::default();
        let mut enrolments = enrolments(Box::new(made), loaded.version, &handover);
        enrolments.look(&store, false, Monotonic::default());
        assert_eq!(subjects(handover.take().change), Some(1));
    }

    #[test]
    fn rules_come_with_the_enrolled_and_while_they_cannot_be_read_nobody_is_enrolled() {
        let folder = tempfile::tempdir().unwrap();
        let (store, mut beside) = two(&folder);
        let somebody = enrol(&mut beside, "somebody");
        let handover = Arc::default();
        let version = store.data_version().unwrap();
        let mut enrolments = enrolments(Box::new(made), version, &handover);
        let arm = store::RuleChange::Arm(Arming::Off);
        beside.change_rules(arm, by()).unwrap();
        assert_eq!(enrolments.look(&store, false, Monotonic::from_millis(1000)), Looked::Loaded);
        let Some(Change::Replace(galleries, rules)) = handover.take().change else { panic!() };
        assert_eq!(galleries.gallery.subjects(), 1);
        let asked = Asked {
            subject: &somebody,
            enabled: true,
            wall: Some(by().wall),
            locked_out: false,
            factor: false,
            before: &[],
        };
        assert_eq!(rules.judge(&asked).refusal, Some(Refusal::NotArmed));
        assert!(!rules.face_alone().is_enough(), "nothing is claimed of this gallery");
        assert_eq!(enrolments.look(&store, false, Monotonic::from_millis(2000)), Looked::Same);

        let spoil = rusqlite::Connection::open(folder.path().join("door.db")).unwrap();
        spoil.execute_batch("INSERT INTO schedules VALUES ('a', 'whenever')").unwrap();
        let looked = enrolments.look(&store, false, Monotonic::from_millis(3000));
        assert_eq!(looked, Looked::Withdrawn { by_store: true });
        assert_eq!(subjects(handover.take().change), Some(0));
        spoil.execute_batch("DELETE FROM schedules").unwrap();
        assert_eq!(enrolments.look(&store, false, Monotonic::from_millis(4000)), Looked::Loaded);
    }

    #[test]
    fn another_configuration_counts_with_a_gallery_that_is_made_by_it_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (store, mut beside) = two(&folder);
        enrol(&mut beside, "somebody");
        // No gallery can be made by a door called 'back'; others are told by their metric.
        let make = |config: &Config, store: &Store| {
            if config.door.id == "back" {
                let nothing = vector([0.0, 0.0]);
                let error = comparer().score(&nothing, &nothing).unwrap_err();
                return Err(EquipError::from(error).into());
            }
            let mut galleries = made(config, store)?;
            if config.recognise.metric == Metric::Euclidean {
                galleries.gallery.clear();
            }
            Ok(galleries)
        };
        let handover = Arc::default();
        let version = store.data_version().unwrap();
        let mut enrolments = enrolments(Box::new(make), version, &handover);
        let mut renew = |flags: &[(&str, &str)]| {
            let (answer, mut answered) = tokio::sync::oneshot::channel();
            let renewal = Renewal { config: config(flags), answer };
            let renewed = enrolments.renew(renewal, &store);
            (renewed, answered.try_recv().ok().map(|answer| answer.is_err()))
        };
        assert_eq!(renew(&[("door.id", "back"), ("visit.agreeing", "4")]), (false, Some(true)));
        assert!(handover.take().change.is_none(), "nothing has changed");

        // Not answered before the recogniser has it.
        assert_eq!(renew(&[("recognise.metric", "euclidean")]), (true, None));
        // Somebody is enrolled before the recogniser looks: read again by the new configuration.
        enrol(&mut beside, "another");
        enrolments.look(&store, false, Monotonic::from_millis(5000));
        let News { change, adjustment, .. } = handover.take();
        assert_eq!(subjects(change), Some(0), "by the metric of the new configuration");
        let adjustment = adjustment.expect("it is not lost");
        assert_eq!(adjustment.visit, config(&[]).visit_policy());
        assert!(handover.take().adjustment.is_none(), "it is handed over once");
    }
}
