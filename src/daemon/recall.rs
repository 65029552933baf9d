//! Strangers who have just been at the door, and how one of them is enrolled.
//!
//! In: what is remembered of each stranger's visit, with the number of its record; who asks for it to be
//! enrolled; the time. Out: references with their record, made as every enrolment is made, or why not.
//! Invariants: what is remembered is in memory alone, of [`VISITS_MAX`] visits, for `policy.recall_minutes`;
//! a visit is enrolled at most once; over MQTT only while a [`Permit`] holds, which the first enrolment uses
//! up, and never somebody who looks like another who is enrolled. Deliberately absent: threads and clocks.

use std::collections::VecDeque;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::Monotonic;
use crate::compare::SubjectId;
use crate::config::Config;
use crate::enrol::{Draft, EnrolError, Warning, Whom, Wish};
use crate::policy::Permit;
use crate::recognise::Recalled;
use crate::serve::visits::{self, Remembered, Wished};
use crate::store::{Error, ErrorKind, Signature, Store, Subject};

/// Visits that are remembered; the oldest is forgotten first.
const VISITS_MAX: usize = 8;

/// Makes a draft of what is remembered; made by whoever knows the networks.
pub type Drafter =
    Box<dyn Fn(&Config, &Store, Whom, &Recalled) -> Result<Draft, EnrolError> + Send>;

/// Which visit is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VisitName {
    /// By the id of its decision.
    Id(Uuid),
    /// By the number of its record.
    Seq(u64),
}

impl std::fmt::Display for VisitName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Seq(seq) => write!(f, "{seq}"),
        }
    }
}

impl std::str::FromStr for VisitName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(seq) = text.parse() {
            return Ok(Self::Seq(seq));
        }
        let id = text.parse().map_err(|_| {
            "must be the id of a decision, as 'access' has it, or the number of its record, as 'deepid-edge records list' shows it"
        });
        id.map(Self::Id)
    }
}

/// Whom an administrator wishes to enrol over MQTT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named<'a> {
    /// Somebody who is enrolled: more references.
    Subject(&'a SubjectId),
    /// Somebody new, of this name.
    Name(&'a str),
    /// Somebody new, who is called after the record of the visit until somebody says better.
    Nobody,
}

/// Who was enrolled.
#[derive(Debug)]
pub(super) struct Enrolled {
    pub subject: Subject,
    /// How many references were added.
    pub references: u64,
    pub warnings: Vec<Warning>,
}

/// Why nobody was.
#[derive(Debug)]
pub(super) enum NotEnrolled {
    /// What this file demands is not so.
    Refused {
        /// A word of the answers to signed requests.
        reason: &'static str,
        what: String,
    },
    /// The enrolment's own checks, or what failed at it.
    Enrol(Box<EnrolError>),
}

impl NotEnrolled {
    fn new(reason: &'static str, what: impl Into<String>) -> Self {
        Self::Refused { reason, what: what.into() }
    }

    /// A word of the answers to signed requests.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Refused { reason, .. } => reason,
            Self::Enrol(error) => match &**error {
                EnrolError::Store(error) if error.kind() != ErrorKind::Request => "fault",
                EnrolError::Equip(_) => "fault",
                _ => "not_possible",
            },
        }
    }

    /// The same for a person, with what helps.
    pub(super) fn what(&self) -> String {
        match self {
            Self::Refused { what, .. } => what.clone(),
            Self::Enrol(error) => match &**error {
                EnrolError::Store(error) => error.to_string(),
                EnrolError::Equip(error) => error.to_string(),
                error => {
                    let remedy = error.remedy().unwrap_or("look at the log of the door");
                    format!("{error}; {remedy}")
                }
            },
        }
    }

    /// What the database said, where it failed.
    pub(super) fn into_failed(self) -> Option<Error> {
        match self {
            Self::Enrol(error) => match *error {
                EnrolError::Store(error) if error.kind() != ErrorKind::Request => Some(error),
                _ => None,
            },
            Self::Refused { .. } => None,
        }
    }
}

impl From<Error> for NotEnrolled {
    fn from(error: Error) -> Self {
        EnrolError::from(error).into()
    }
}

impl From<EnrolError> for NotEnrolled {
    fn from(error: EnrolError) -> Self {
        Self::Enrol(Box::new(error))
    }
}

#[derive(Debug)]
struct Visit {
    id: Uuid,
    seq: u64,
    at: Monotonic,
    faces: Recalled,
}

/// See the module.
#[derive(Default)]
pub(super) struct Recalls {
    life: Duration,
    visits: VecDeque<Visit>,
    permit: Permit,
    by: Option<(Config, Drafter)>,
}

impl std::fmt::Debug for Recalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recalls").field("visits", &self.visits).finish_non_exhaustive()
    }
}

impl Recalls {
    /// Enrols by `drafter`, which goes by `config`.
    pub(super) fn enrol_by(&mut self, config: Config, drafter: Drafter) {
        self.life = config.recall();
        self.by = Some((config, drafter));
    }

    /// Goes on by another configuration.
    pub(super) fn renew(&mut self, config: &Config) {
        self.life = config.recall();
        if let Some((known, _)) = &mut self.by {
            *known = config.clone();
        }
    }

    /// Remembers the visit whose decision is `record`.
    pub(super) fn remember(&mut self, record: (Uuid, u64), faces: Recalled, now: Monotonic) {
        self.forget_old(now);
        if self.life.is_zero() {
            return;
        }
        if self.visits.len() >= VISITS_MAX {
            self.visits.pop_front();
        }
        self.visits.push_back(Visit { id: record.0, seq: record.1, at: now, faces });
    }

    /// Forgets what is too old.
    pub(super) fn forget_old(&mut self, now: Monotonic) {
        let life = self.life;
        self.visits.retain(|visit| now.since(visit.at) < life);
    }

    /// Whether a permit makes sense.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn may_permit(&self, lasting: Duration) -> Result<(), NotEnrolled> {
        if self.life.is_zero() {
            return Err(off());
        }
        if !(Permit::SHORTEST..=Permit::LONGEST).contains(&lasting) {
            return Err(NotEnrolled::new("not_possible", "'for_s' must be 30 to 300 seconds"));
        }
        Ok(())
    }

    /// From now on somebody may be enrolled over MQTT, for a while and once.
    pub(super) fn permit(&mut self, lasting: Duration, now: Monotonic) {
        self.permit.give(lasting, now);
    }

    /// Enrols over MQTT: while it is permitted, and never somebody who would be taken for another. Where no
    /// visit is named, the only one since it was permitted is meant.
    pub(super) fn enrol_remotely(
        &mut self,
        visit: Option<VisitName>,
        whom: &Named<'_>,
        store: &mut Store,
        by: Signature<'_>,
    ) -> Result<Enrolled, NotEnrolled> {
        let Some(since) = self.permit.since(by.now) else {
            return Err(NotEnrolled::new(
                "not_permitted",
                "nobody has permitted an enrolment just now: ask 'permit_enroll' first, which holds for a few minutes and for one enrolment",
            ));
        };
        self.forget_old(by.now);
        let at = match visit {
            Some(name) => self.find(name)?,
            None => self.only_since(since)?,
        };
        let seq = self.visits.get(at).map_or(0, |visit| visit.seq);
        let whom = match whom {
            Named::Subject(subject) => Whom::Also(store.subject(subject.as_str())?.id),
            Named::Name(name) => Whom::find(Some(store), name, Wish::New)?,
            Named::Nobody => Whom::find(Some(store), &format!("visit {seq}"), Wish::New)?,
        };
        let enrolled = self.enrol(at, whom, true, store, by)?;
        self.permit.end();
        Ok(enrolled)
    }

    /// Enrols for somebody at the board.
    pub(super) fn enrol_locally(
        &mut self,
        visit: VisitName,
        (name, wish): (&str, Wish),
        store: &mut Store,
        by: Signature<'_>,
    ) -> Result<Enrolled, NotEnrolled> {
        self.forget_old(by.now);
        let at = self.find(visit)?;
        let whom = Whom::find(Some(store), name, wish)?;
        self.enrol(at, whom, false, store, by)
    }

    /// What is remembered at `now`, the newest first.
    pub(super) fn remembered(&mut self, now: Monotonic) -> Vec<Remembered> {
        self.forget_old(now);
        let told = |visit: &Visit| {
            let faces = visit.faces.faces();
            let weights = faces.iter().map(|face| face.quality.weight);
            Remembered {
                id: visit.id,
                seq: visit.seq,
                faces: faces.len(),
                quality: weights.fold(0.0, f32::max),
                left: self.life.saturating_sub(now.since(visit.at)),
            }
        };
        self.visits.iter().rev().map(told).collect()
    }

    /// Enrols for an administrator at the page, who sees the warnings.
    pub(super) fn enrol_for_page(
        &mut self,
        wished: &Wished,
        store: &mut Store,
        by: Signature<'_>,
    ) -> Result<visits::Enrolled, visits::Refused> {
        self.forget_old(by.now);
        let gone = |refused: NotEnrolled| visits::Refused::Gone(refused.what());
        let at = self.find(VisitName::Id(wished.visit)).map_err(gone)?;
        let enrolled = Whom::find(Some(store), &wished.name, wished.wish)
            .map_err(NotEnrolled::from)
            .and_then(|whom| self.enrol(at, whom, false, store, by));
        match enrolled {
            Ok(Enrolled { subject, references, warnings }) => {
                Ok(visits::Enrolled { subject: subject.id, references, warnings })
            }
            Err(NotEnrolled::Enrol(error)) => Err(visits::Refused::Enrol(error)),
            Err(refused) => Err(gone(refused)),
        }
    }

    fn find(&self, name: VisitName) -> Result<usize, NotEnrolled> {
        if self.life.is_zero() {
            return Err(off());
        }
        let is_meant = |visit: &Visit| match name {
            VisitName::Id(id) => visit.id == id,
            VisitName::Seq(seq) => visit.seq == seq,
        };
        self.visits.iter().position(is_meant).ok_or_else(|| {
            NotEnrolled::new(
                "not_possible",
                format!(
                    "no stranger's visit {name} is remembered: visits are for {} minutes, the last {VISITS_MAX} of them, until they are enrolled or the daemon restarts, and only where a good face was seen alone",
                    self.life.as_secs() / 60
                ),
            )
        })
    }

    fn only_since(&self, since: Monotonic) -> Result<usize, NotEnrolled> {
        let mut recent = self.visits.iter().enumerate().filter(|(_, visit)| visit.at >= since);
        match (recent.next(), recent.next()) {
            (Some((at, _)), None) => Ok(at),
            (None, _) => Err(NotEnrolled::new(
                "not_possible",
                "no stranger was seen well enough since the enrolment was permitted: have that person come, or name the visit",
            )),
            (Some(_), Some(_)) => Err(NotEnrolled::new(
                "not_possible",
                "several strangers were seen since the enrolment was permitted: name the visit, by the id on 'access'",
            )),
        }
    }

    fn enrol(
        &mut self,
        at: usize,
        whom: Whom,
        strict: bool,
        store: &mut Store,
        by: Signature<'_>,
    ) -> Result<Enrolled, NotEnrolled> {
        let (Some((config, drafter)), Some(visit)) = (&self.by, self.visits.get(at)) else {
            return Err(NotEnrolled::new("fault", "this door has no networks to enrol with"));
        };
        let draft = drafter(config, store, whom, &visit.faces)?;
        let alike = draft.warnings().iter().find_map(|warning| match warning {
            Warning::Alike { subject, .. } => Some(subject),
            Warning::OutOfLine { .. } | Warning::Name(_) => None,
        });
        if let Some(subject) = alike.filter(|_| strict) {
            return Err(NotEnrolled::new(
                "not_possible",
                format!(
                    "the visitor would be taken for {subject}: enrol at the board, where somebody can look"
                ),
            ));
        }
        let (subject, done) = draft.write(store, &config.models.embedder, by)?;
        if let Some(error) = done.left_in_log {
            tracing::warn!(%error, "what was erased is still in the log beside the database; 'systemctl restart deepid-edge' cuts it");
        }
        self.visits.remove(at);
        let warnings = draft.warnings().to_vec();
        Ok(Enrolled { subject, references: done.references, warnings })
    }
}

fn off() -> NotEnrolled {
    NotEnrolled::new("not_possible", "this door remembers no visits: policy.recall_minutes is 0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flag, Sources};
    use crate::embed::{FeatureVector, Quality};
    use crate::inference::ModelKey;
    use crate::recognise::RecalledFace;

    fn config(minutes: &str) -> Config {
        let flags = vec![Flag::set("policy.recall_minutes", minutes)];
        Config::load(&Sources { flags, ..Sources::default() }).unwrap()
    }

    fn recalls(minutes: &str) -> Recalls {
        let mut recalls = Recalls::default();
        let refuse = |_: &Config, _: &Store, _: Whom, _: &Recalled| Err(EnrolError::NetworkFailed);
        recalls.enrol_by(config(minutes), Box::new(refuse));
        recalls
    }

    fn faces() -> Recalled {
        let key = ModelKey::made_up();
        let quality = Quality::made_up(0.5, None);
        let vector = FeatureVector::new(key, vec![1.0, 2.0]).unwrap();
        Recalled::of(vec![RecalledFace { quality, vector, confirming: None }]).unwrap()
    }

    const fn at(second: u64) -> Monotonic {
        Monotonic::from_millis(second * 1000)
    }

    fn remembered(recalls: &mut Recalls, seq: u64, second: u64) -> Uuid {
        let id = Uuid::from_u128(seq.into());
        recalls.remember((id, seq), faces(), at(second));
        id
    }

    #[test]
    fn visits_are_remembered_for_their_minutes_and_no_more_than_a_few() {
        let mut recalls = recalls("10");
        let first = remembered(&mut recalls, 1, 100);
        assert_eq!(recalls.find(VisitName::Id(first)).unwrap(), 0);
        assert_eq!(recalls.find(VisitName::Seq(1)).unwrap(), 0);
        recalls.forget_old(at(699));
        assert!(recalls.find(VisitName::Seq(1)).is_ok());
        recalls.forget_old(at(700));
        assert_eq!(recalls.find(VisitName::Seq(1)).unwrap_err().reason(), "not_possible");
        for seq in 10..30 {
            remembered(&mut recalls, seq, 800);
        }
        assert_eq!(recalls.visits.len(), VISITS_MAX);
        assert!(recalls.find(VisitName::Seq(29)).is_ok());
        assert!(recalls.find(VisitName::Seq(21)).is_err());
    }

    #[test]
    fn the_page_is_told_what_is_remembered_and_for_how_long_still() {
        let mut recalls = recalls("10");
        let first = remembered(&mut recalls, 1, 100);
        let second = remembered(&mut recalls, 2, 150);
        let told = recalls.remembered(at(160));
        let left = |visit: &Remembered| (visit.id, visit.seq, visit.faces, visit.left.as_secs());
        assert_eq!(
            told.iter().map(left).collect::<Vec<_>>(),
            [(second, 2, 1, 590), (first, 1, 1, 540)]
        );
        assert!((told[0].quality - 0.5).abs() < 1e-6, "{told:?}");
        assert_eq!(recalls.remembered(at(749)).len(), 1, "minutes later the first is forgotten");
    }

    #[test]
    fn where_nothing_is_to_be_remembered_nothing_is_and_a_reload_forgets() {
        let mut recalls = recalls("0");
        remembered(&mut recalls, 1, 100);
        assert!(recalls.visits.is_empty());
        assert!(recalls.may_permit(Duration::from_secs(60)).is_err());
        recalls.renew(&config("1"));
        remembered(&mut recalls, 2, 100);
        assert!(recalls.may_permit(Duration::from_secs(60)).is_ok());
        for seconds in [29, 301] {
            assert!(recalls.may_permit(Duration::from_secs(seconds)).is_err(), "{seconds}");
        }
        recalls.renew(&config("0"));
        recalls.forget_old(at(100));
        assert!(recalls.visits.is_empty());
    }

    #[test]
    fn who_was_just_seen_is_the_only_one_since_the_permit() {
        let mut recalls = recalls("10");
        remembered(&mut recalls, 1, 100);
        assert!(recalls.only_since(at(101)).is_err(), "nobody since");
        remembered(&mut recalls, 2, 102);
        assert_eq!(recalls.only_since(at(101)).unwrap(), 1);
        remembered(&mut recalls, 3, 103);
        let several = recalls.only_since(at(101)).unwrap_err();
        assert!(several.what().contains("several strangers"), "{several:?}");
    }

    #[test]
    fn a_visit_is_named_by_its_number_or_its_id() {
        let id = Uuid::from_u128(7);
        assert_eq!("42".parse(), Ok(VisitName::Seq(42)));
        assert_eq!(id.to_string().parse(), Ok(VisitName::Id(id)));
        for wrong in ["", "-1", "front", "0196f3c2-0a0b"] {
            assert!(wrong.parse::<VisitName>().is_err(), "{wrong}");
        }
    }
}
