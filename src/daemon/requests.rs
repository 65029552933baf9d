//! What administrators ask over MQTT: who may, what becomes of it, and what is recorded.
//!
//! In: a request as it came, the database, the time. Out: the answer; what has changed is in the
//! database, with its record and one that says who asked. Invariants: nothing is read, shown or
//! changed for anybody but the holder of a key that this database knows now, for this door and a nonce
//! of this run, once; whatever is wrong, something stands in the answer and, of those alike once in
//! ten minutes, in a record. Deliberately absent: how often somebody may ask (`publish::request`).

use std::time::Duration;

use super::desk::Wanted;
use super::recall::{Enrolled, Named, NotEnrolled, Recalls, VisitName};
use crate::clock::{ClockTrust, Monotonic};
use crate::compare::SubjectId;
use crate::policy::{Arming, RuleName};
use crate::publish::ask::{
    ARMED_MAX_S, ARMED_MIN_S, Answer, Ask, Content, LISTED_MAX, ListedSubject, NonceAnswer,
};
use crate::publish::message::Audit;
use crate::publish::request::{Gate, Record};
use crate::sign::{PublicKey, RequestNonces, VerifiedRequest, verify_request};
use crate::store::{
    Administrative, Administrator, Change, Error, May, RequestVerdict, RuleChange, Selection,
    Signature, Store,
};

/// The topic below `request/` under which what came of signed requests is recorded.
const SIGNED: &str = "signed";
/// Records that are read at once.
const PAGE: u32 = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Requests {
    nonces: RequestNonces,
    records: Gate,
}

/// What a request may need beside the database.
#[derive(Debug)]
pub(super) struct Circumstances<'c> {
    /// Strangers who were just here.
    pub recalls: &'c mut Recalls,
    /// Whether the broker may know names.
    pub names: bool,
}

/// What came of a signed request.
#[derive(Debug)]
pub(super) struct Carried {
    pub answer: Answer,
    /// Whether there is a new record.
    pub recorded: bool,
    /// What kept the database from being read or written.
    pub failed: Option<Error>,
    pub wanted: Wanted,
}

impl Carried {
    /// An answer, and nothing else has come of the request.
    pub(super) fn of(answer: Answer) -> Self {
        Self { answer, recorded: false, failed: None, wanted: Wanted::default() }
    }

    /// The same, with what came of recording it: whether there is a record.
    pub(super) fn noted(self, noted: Result<bool, Error>) -> Self {
        match noted {
            Ok(recorded) => Self { recorded, ..self },
            Err(error) => Self { failed: Some(error), ..self },
        }
    }
}

/// Why an authorised request is not carried out.
struct Refused {
    reason: &'static str,
    what: String,
    /// What the database said, where that is why.
    failed: Option<Box<Error>>,
}

impl From<NotEnrolled> for Refused {
    fn from(refused: NotEnrolled) -> Self {
        let (reason, what) = (refused.reason(), refused.what());
        Self { reason, what, failed: refused.into_failed().map(Box::new) }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let possible = error.kind() != crate::store::ErrorKind::Request;
        let what = error.to_string();
        if possible {
            Self { reason: "fault", what, failed: Some(Box::new(error)) }
        } else {
            Self { reason: "not_possible", what, failed: None }
        }
    }
}

impl Requests {
    pub(super) const fn new(now: Monotonic) -> Self {
        Self { nonces: RequestNonces::new(), records: Gate::new(now) }
    }

    /// A nonce for one request; `None` where the system has no randomness.
    pub(super) fn nonce(&mut self, door: &str, now: Monotonic) -> Option<NonceAnswer> {
        let given = self.nonces.give(now);
        given
            .inspect_err(|error| tracing::error!(%error, "no nonce could be made for a request"))
            .map(|nonce| NonceAnswer::new(door, nonce))
            .ok()
    }

    /// Carries a signed request out, or says why not.
    pub(super) fn carry_out(
        &mut self,
        message: &[u8],
        store: &mut Store,
        circumstances: Circumstances<'_>,
        by: Signature<'_>,
    ) -> Carried {
        let known = match store.administrators() {
            Ok(known) => known,
            Err(error) => {
                let answer = Answer::refused(by.door, None, "fault", error.to_string());
                return Carried { failed: Some(error), ..Carried::of(answer) };
            }
        };
        let keys: Vec<PublicKey> = known.iter().map(|one| one.key.clone()).collect();
        let verified = verify_request(message, by.door, &keys, &mut self.nonces, by.now);
        let VerifiedRequest { key, ask } = match verified {
            Ok(verified) => verified,
            Err(fault) => {
                tracing::warn!(why = %fault, "a request over MQTT counts for nothing");
                let answer = Answer::refused(by.door, None, fault.name(), fault.to_string());
                let noted = self.note(RequestVerdict::RefusedUnauthorised, store, by);
                return Carried::of(answer).noted(noted);
            }
        };
        let asking = known.into_iter().find(|one| one.key.thumbprint() == &key);
        let may =
            |one: &Administrator| one.may == May::Everything || matches!(ask, Ask::Factor { .. });
        let Some(Administrator { name, .. }) = asking.filter(may) else {
            let what = "its key may say that a second factor has come, and nothing else; 'deepid-edge admins' changes that".to_owned();
            let answer = Answer::refused(by.door, Some(&ask), "not_allowed", what);
            let noted = self.note(RequestVerdict::RefusedUnauthorised, store, by);
            return Carried::of(answer).noted(noted);
        };
        self.carry_out_for(&name, &ask, store, circumstances, by)
    }

    /// Arms or disarms by the broker's word alone, where the configuration lets it.
    pub(super) fn arm_for_broker(
        &mut self,
        armed: bool,
        store: &mut Store,
        circumstances: Circumstances<'_>,
        by: Signature<'_>,
    ) -> Carried {
        let ask = Ask::Arm { armed, for_s: None };
        self.carry_out_for(&RuleName::broker(), &ask, store, circumstances, by)
    }

    fn carry_out_for(
        &mut self,
        name: &RuleName,
        ask: &Ask,
        store: &mut Store,
        circumstances: Circumstances<'_>,
        by: Signature<'_>,
    ) -> Carried {
        let Circumstances { recalls, names } = circumstances;
        if is_so_already(ask, store) {
            let answer = Answer::done(by.door, ask, Content::default());
            return Carried::of(answer).noted(self.note(RequestVerdict::Answered, store, by));
        }
        let result = perform(ask, store, recalls, names, by);
        let noted = if ask.changes() {
            record_asked(name, ask, result.as_ref().ok(), store, by).map(|()| true)
        } else {
            self.note(RequestVerdict::Answered, store, by)
        };
        let result = match (result, noted) {
            // Of what the door does this is the only record, so that without it nothing is done.
            (Ok(_), Err(error)) if ask.is_for_the_door() => Err(Refused::from(error)),
            (result, noted) => {
                if let (Ok(_), Ask::PermitEnroll { for_s }) = (&result, ask) {
                    recalls.permit(Duration::from_secs((*for_s).into()), by.now);
                }
                return carried(ask, result, by).noted(noted);
            }
        };
        carried(ask, result, by)
    }

    /// Records what came of a request, together with those alike; whether there is a record now.
    fn note(
        &mut self,
        verdict: RequestVerdict,
        store: &mut Store,
        by: Signature<'_>,
    ) -> Result<bool, Error> {
        let Some(record) = self.records.note(SIGNED, verdict, by.now) else { return Ok(false) };
        write(record, store, by).map(|()| true)
    }

    /// Records what has waited long enough; whether there is a record now.
    pub(super) fn settle(&mut self, store: &mut Store, by: Signature<'_>) -> bool {
        let due = self.records.due(by.now);
        // Each of them, also behind one that was written.
        due.into_iter()
            .filter(|record| {
                let made = write(record.clone(), store, by);
                made.inspect_err(|error| tracing::error!(%error, "a request was not recorded"))
                    .is_ok()
            })
            .count()
            > 0
    }
}

/// What came of a request that was looked at to the end.
fn carried(ask: &Ask, result: Result<Content, Refused>, by: Signature<'_>) -> Carried {
    match result {
        Ok(content) => {
            let mut wanted = Wanted::default();
            match ask {
                Ask::ResetLockout {} => wanted.reset_lockout = true,
                Ask::Factor { subject } => wanted.factors.push(subject.clone()),
                Ask::PermitEnroll { .. } => {}
                _ => wanted.read_again = ask.changes(),
            }
            Carried { wanted, ..Carried::of(Answer::done(by.door, ask, content)) }
        }
        Err(Refused { reason, what, failed }) => {
            let failed = failed.map(|error| *error);
            Carried { failed, ..Carried::of(Answer::refused(by.door, Some(ask), reason, what)) }
        }
    }
}

/// Whether the door is armed, or disarmed, as is asked, so that there is nothing to change.
fn is_so_already(ask: &Ask, store: &Store) -> bool {
    let Ask::Arm { armed, for_s: None } = ask else { return false };
    let wanted = if *armed { Arming::On } else { Arming::Off };
    store.arming().is_ok_and(|arming| arming == wanted)
}

fn record_asked(
    name: &RuleName,
    ask: &Ask,
    content: Option<&Content>,
    store: &mut Store,
    by: Signature<'_>,
) -> Result<(), Error> {
    let done = content.is_some();
    let enrolled = content.and_then(|content| content.subject.as_ref());
    tracing::info!(administrator = %name, request = ask.name(), done, "asked over MQTT");
    let event = Administrative::Asked {
        administrator: name.clone(),
        request: ask.name().to_owned(),
        subject: ask.subject().or(enrolled).cloned(),
        done,
    };
    store.record_admin(event, by.door, by.boot, by.now, by.wall).map(drop)
}

fn write(record: Record, store: &mut Store, by: Signature<'_>) -> Result<(), Error> {
    let Record { request, verdict, count } = record;
    let event = Administrative::Requested { request, verdict, count };
    store.record_admin(event, by.door, by.boot, by.now, by.wall).map(drop)
}

/// Does what is asked.
fn perform(
    ask: &Ask,
    store: &mut Store,
    recalls: &mut Recalls,
    names: bool,
    by: Signature<'_>,
) -> Result<Content, Refused> {
    match ask {
        Ask::Arm { armed, for_s } => {
            let arming = arming(*armed, *for_s, by)?;
            store.change_rules(RuleChange::Arm(arming), by)?;
        }
        Ask::ArmFollow { schedule } => {
            store.change_rules(RuleChange::ArmBy(schedule.as_ref()), by)?;
        }
        // The door thread does it: failed visits are in its memory alone.
        Ask::ResetLockout {} => {}
        // And so are second factors.
        Ask::Factor { subject } => {
            store.subject(subject.as_str())?;
        }
        // It is given behind its record.
        Ask::PermitEnroll { for_s } => recalls.may_permit(Duration::from_secs((*for_s).into()))?,
        Ask::Enroll { visit, subject, name } => {
            let whom = named(subject.as_ref(), name.as_deref(), names)?;
            let visit = visit.map(VisitName::Id);
            let Enrolled { subject, references, .. } =
                recalls.enrol_remotely(visit, &whom, store, by)?;
            let (subject, references) = (Some(subject.id), Some(references));
            return Ok(Content { subject, references, ..Content::default() });
        }
        Ask::Enable { subject } => {
            store.administer(Change::Enable { subject, enabled: true }, by)?;
        }
        Ask::Disable { subject } => {
            store.administer(Change::Enable { subject, enabled: false }, by)?;
        }
        Ask::Validity { subject, from, until } => {
            let change = RuleChange::Validity { subject, from: *from, until: *until };
            store.change_rules(change, by)?;
        }
        Ask::Remove { subject } => {
            store.administer(Change::Remove { subject }, by)?;
        }
        Ask::Subjects { after } => {
            let mut all = store.subjects()?;
            all.sort_by(|a, b| a.id.cmp(&b.id));
            all.retain(|one| after.as_ref().is_none_or(|after| one.id > *after));
            let more = Some(all.len() > LISTED_MAX);
            let listed = all.into_iter().take(LISTED_MAX).map(|one| ListedSubject {
                subject: one.id,
                enabled: one.enabled,
                references: one.references,
            });
            return Ok(Content { subjects: Some(listed.collect()), more, ..Content::default() });
        }
        Ask::Records { after } => {
            let (records, more) = page(store, *after)?;
            return Ok(Content { records: Some(records), more: Some(more), ..Content::default() });
        }
    }
    Ok(Content::default())
}

/// Whom an enrolment is for.
fn named<'a>(
    subject: Option<&'a SubjectId>,
    name: Option<&'a str>,
    names: bool,
) -> Result<Named<'a>, Refused> {
    let refused =
        |what: &str| Err(Refused { reason: "not_possible", what: what.to_owned(), failed: None });
    match (subject, name) {
        (Some(_), Some(_)) => refused("say 'subject' or 'name', not both"),
        (Some(subject), None) => Ok(Named::Subject(subject)),
        (None, Some(_)) if !names => refused(
            "the owner lets no names go over the broker (mqtt.names): leave 'name' out, and give one at the board with 'deepid-edge subjects rename'",
        ),
        (None, Some(name)) => Ok(Named::Name(name)),
        (None, None) => Ok(Named::Nobody),
    }
}

/// Up to [`LISTED_MAX`] records after `after`, and whether there are more. What cannot be read is
/// left out, so that it never ends what is asked for behind it.
fn page(store: &Store, after: u64) -> Result<(Vec<Audit>, bool), Error> {
    let all = Selection::default();
    let (mut records, mut after) = (Vec::new(), after);
    loop {
        let found = store.records(&all, after, PAGE)?;
        let Some(last) = found.last() else { return Ok((records, false)) };
        after = last.seq();
        for record in found.into_iter().filter_map(|one| one.record.ok()) {
            if records.len() == LISTED_MAX {
                return Ok((records, true));
            }
            records.push(Audit::of(&record, true));
        }
    }
}

fn arming(armed: bool, for_s: Option<u32>, by: Signature<'_>) -> Result<Arming, Refused> {
    let refused = |reason, what: &str| Err(Refused { reason, what: what.to_owned(), failed: None });
    match (armed, for_s) {
        (false, None) => Ok(Arming::Off),
        (true, None) => Ok(Arming::On),
        (false, Some(_)) => {
            refused("not_possible", "a door is disarmed until told otherwise: leave 'for_s' out")
        }
        (true, Some(for_s)) if !(ARMED_MIN_S..=ARMED_MAX_S).contains(&for_s) => {
            refused("not_possible", "'for_s' must be 60 to 31622400 seconds, a minute to 366 days")
        }
        (true, Some(_)) if by.wall.trust != ClockTrust::Trusted => refused(
            "clock_untrusted",
            "the door's clock is not trusted, so that no end can be reckoned; arm without 'for_s'",
        ),
        (true, Some(for_s)) => {
            Ok(Arming::Until(by.wall.unix_ms.saturating_add(i64::from(for_s) * 1000)))
        }
    }
}
