//! The desk: what was decided or asked is made durable, and only then handed out.
//!
//! In: a [`Task`] and the time. Out: what the broker session is given, in that order. Owns the
//! database and knows how it is; the thread around it is a short loop (`desk_thread`), and tests that
//! need a door's records without a camera use the desk itself. What a request or the page waits for goes
//! back by the channel that came with it.
//!
//! Invariant: an announcement is handed out with the record that was just made durable, or not at
//! all; a grant is signed in the same step, after its record, and announced whether or not that
//! succeeds. Deliberately absent: threads, queues, clocks, and who is enrolled (`enrolments`).

mod wanted;

use uuid::Uuid;

use super::armed::{ArmedState, Found};
use super::ended::Ended;
use super::local::{self, Local};
use super::neighbour::Neighbour;
pub use super::recall::Drafter;
use super::recall::Recalls;
use super::requests::{Carried, Circumstances, Requests};
use super::signer::{Signer, SigningStatus};
use super::unreadable::Unreadable;
use crate::clock::{Monotonic, WallClock};
use crate::compare::SubjectId;
use crate::config::Config;
use crate::decide::{Decision, UnknownReason, Verdict};
use crate::enrol::EnrolError;
use crate::policy::{PinResult, Strangers, StrangersPolicy, Whereabouts};
use crate::publish::ask::Answer;
use crate::publish::{Answered, DeskRequest, DuressMessage, Outgoing, StrangersMessage};
use crate::recognise::Recalled;
use crate::serve::Entered;
use crate::serve::visits::{Asked, Refused};
use crate::store::{
    self, Administrative, AuditRecord, Condition, ErrorKind, NAME_SEALED, Signature, Store,
};
pub use wanted::Wanted;

/// What the desk is asked to do.
#[derive(Debug)]
pub enum Task {
    /// Record a decision, then announce it where that is wanted.
    Decided {
        /// What was decided.
        decision: Box<Decision>,
        /// Whether consumers hear of it.
        announce: bool,
    },
    /// Remember for a while the faces of the stranger of whom the decision of that moment was.
    Remember {
        /// What is left of them.
        faces: Recalled,
        /// When it was decided: a decision that did not get here leaves its faces to no other.
        decided_at: Monotonic,
    },
    /// What somebody at this machine asks for.
    Local(Local),
    /// What the page asks of strangers' visits.
    Visits(Asked),
    /// Record what somebody did or asked for.
    Administrative(Administrative),
    /// Record that a PIN was typed at the door, and tell it at once where it is the one for duress, whatever
    /// the door makes of it.
    Pin(Entered),
    /// What the broker session asks for.
    Asked(DeskRequest),
}

/// A start that is still to be recorded.
#[derive(Debug)]
pub(super) struct Start {
    pub event: Administrative,
    pub at: Monotonic,
}

/// See the module.
#[derive(Debug)]
pub struct Desk {
    store: Store,
    door: String,
    boot: Uuid,
    condition: Condition,
    outbox_depth: u64,
    unreadable: Unreadable,
    signer: Signer,
    requests: Requests,
    /// What was asked for since somebody last looked.
    wanted: Wanted,
    /// Whether the broker may know names.
    names: bool,
    /// The other door, where one is listened to.
    neighbour: Option<Neighbour>,
    /// Strangers who were just here.
    recalls: Recalls,
    /// The record of the last decision, where there is one, and when it was decided.
    decided: Option<((Uuid, u64), Monotonic)>,
    /// When somebody is told of strangers, and those who came.
    strangers: (StrangersPolicy, Strangers),
    /// People whose validity is over, who are to be erased.
    ended: Ended,
    /// Whether the door is armed, as it was said last.
    armed: ArmedState,
    /// The record of the start, while it could not be made.
    start: Option<Start>,
}

impl Desk {
    /// The desk of the run `boot` of `door`, which signs nothing.
    #[must_use]
    pub fn new(store: Store, door: String, boot: Uuid) -> Self {
        let mut desk = Self {
            store,
            door,
            boot,
            condition: Condition::Usable,
            outbox_depth: 0,
            unreadable: Unreadable::default(),
            signer: Signer::default(),
            requests: Requests::new(Monotonic::default()),
            wanted: Wanted::default(),
            names: false,
            neighbour: None,
            recalls: Recalls::default(),
            decided: None,
            strangers: Default::default(),
            ended: Ended::default(),
            armed: ArmedState::default(),
            start: None,
        };
        desk.count_outbox();
        desk
    }

    /// The same, whose grants `signer` signs. Without one they are not signed.
    #[must_use]
    pub fn with_signer(self, signer: Signer) -> Self {
        Self { signer, ..self }
    }

    /// Records the start. A door that ends because of a full disk comes back late; one that goes on
    /// denies, says why, and grants as soon as there is room.
    ///
    /// # Errors
    /// What keeps the start from being recorded and does not pass by itself.
    pub(super) fn begin(
        &mut self,
        event: Administrative,
        at: Monotonic,
        wall: WallClock,
    ) -> Result<(), store::Error> {
        match self.store.record_admin(event.clone(), &self.door, self.boot, at, wall) {
            Ok(_) => self.count_outbox(),
            Err(error) if error.may_pass() => {
                tracing::error!(
                    %error,
                    "the start cannot be recorded; nobody is granted until the database can be written, which is tried every second"
                );
                self.condition = Condition::after(&error);
                self.start = Some(Start { event, at });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Does `task` at `now`, when the wall clock says `wall`, and appends what the session is given.
    pub fn handle(
        &mut self,
        task: Task,
        now: Monotonic,
        wall: WallClock,
        outgoing: &mut Vec<Outgoing>,
    ) {
        match task {
            Task::Decided { decision, announce } => {
                self.decided(&decision, announce, now, outgoing);
                self.note_stranger(&decision, now, outgoing);
            }
            Task::Remember { faces, decided_at } => {
                let last = self.decided.take();
                if let Some((record, _)) = last.filter(|(_, at)| *at == decided_at) {
                    self.recalls.remember(record, faces, now);
                }
            }
            Task::Local(asked) => self.serve(&asked, now, wall, outgoing),
            Task::Visits(asked) => self.tell_of_visits(asked, now, wall, outgoing),
            Task::Administrative(what) => self.administrative(what, now, wall, outgoing),
            Task::Pin(entered) => self.entered(entered, now, wall, outgoing),
            Task::Asked(request) => self.asked(request, now, wall, outgoing),
        }
    }

    fn entered(
        &mut self,
        entered: Entered,
        now: Monotonic,
        wall: WallClock,
        outgoing: &mut Vec<Outgoing>,
    ) {
        let Entered { subject, result, by } = entered;
        let (right, duress) = (result != PinResult::Wrong, result == PinResult::Duress);
        let event = Administrative::PinEntered { subject, right, duress };
        self.store.acting_for(Some(by));
        let made = self.store.record_admin(event, &self.door, self.boot, now, wall);
        self.store.acting_for(None);
        let record = self.note(made);
        self.note_recorded(record.is_some(), outgoing);
        outgoing.extend(record.as_ref().and_then(DuressMessage::of).map(Outgoing::Duress));
    }

    fn administrative(
        &mut self,
        what: Administrative,
        now: Monotonic,
        wall: WallClock,
        outgoing: &mut Vec<Outgoing>,
    ) {
        let made = self.store.record_admin(what, &self.door, self.boot, now, wall);
        let recorded = self.note(made).is_some();
        self.note_recorded(recorded, outgoing);
    }

    /// What the session asks for.
    fn asked(
        &mut self,
        request: DeskRequest,
        now: Monotonic,
        wall: WallClock,
        outgoing: &mut Vec<Outgoing>,
    ) {
        match request {
            DeskRequest::Requested { request, verdict, count } => {
                let what = Administrative::Requested { request, verdict, count };
                self.administrative(what, now, wall, outgoing);
            }
            DeskRequest::Challenge(challenge) => self.signer.keep(challenge, now),
            DeskRequest::Nonce { reply } => {
                let nonce = self.requests.nonce(&self.door, now);
                outgoing.extend(
                    nonce.map(|nonce| Outgoing::Answer { reply, answer: Answered::Nonce(nonce) }),
                );
            }
            DeskRequest::Signed { reply, message } => {
                let by = Signature { door: &self.door, boot: self.boot, now, wall };
                let circumstances = Circumstances { recalls: &mut self.recalls, names: self.names };
                let carried = self.requests.carry_out(&message, &mut self.store, circumstances, by);
                let answer = Answered::Request(Box::new(self.take_in(carried, outgoing)));
                outgoing.push(Outgoing::Answer { reply, answer });
            }
            DeskRequest::GrantedElsewhere { message } => self.granted_elsewhere(&message, wall),
            DeskRequest::Arm { armed } => {
                let by = Signature { door: &self.door, boot: self.boot, now, wall };
                let circumstances = Circumstances { recalls: &mut self.recalls, names: self.names };
                let carried =
                    self.requests.arm_for_broker(armed, &mut self.store, circumstances, by);
                self.take_in(carried, outgoing);
            }
            DeskRequest::Outbox { after, limit } => match self.store.outbox_page(after, limit) {
                Ok(page) => {
                    self.unreadable.note(&page.unreadable);
                    outgoing.push(Outgoing::Audit(page.records));
                }
                Err(error) => self.fail(&error),
            },
            DeskRequest::Acknowledged { seq } => {
                if let Err(error) = self.store.acknowledge(seq) {
                    self.fail(&error);
                }
                self.count_outbox();
            }
        }
    }

    /// Whoever the other door grants has gone the other way. It counts also where it cannot be written.
    fn granted_elsewhere(&mut self, message: &[u8], wall: WallClock) {
        let Some(neighbour) = &mut self.neighbour else { return };
        let Some((subject, at)) = neighbour.take(message, wall) else { return };
        let written = self.store.note_passage(&subject, at, neighbour.door(), wall.unix_ms);
        if let Err(error) = written {
            self.fail(&error);
        }
        self.wanted.passages.push((subject, at));
    }

    /// Listens to this other door from now on.
    pub fn follow(&mut self, neighbour: Option<Neighbour>) {
        self.neighbour = neighbour;
    }

    /// What came of a request, and its answer.
    fn take_in(&mut self, carried: Carried, outgoing: &mut Vec<Outgoing>) -> Answer {
        let Carried { answer, recorded, failed, wanted } = carried;
        if let Some(error) = failed {
            self.fail(&error);
        }
        self.wanted.join(wanted);
        self.note_recorded(recorded, outgoing);
        answer
    }

    /// Enrols whoever was just here by `drafter`, which goes by `config`.
    #[must_use]
    pub fn recalling(mut self, config: &Config, drafter: Drafter) -> Self {
        self.recalls.enrol_by(config.clone(), drafter);
        self
    }

    /// Remembers whoever was just here as `config` says, from now on.
    pub(super) fn recall_by(&mut self, config: &Config) {
        self.recalls.renew(config);
    }

    /// What somebody at this machine asks for.
    fn serve(
        &mut self,
        asked: &Local,
        now: Monotonic,
        wall: WallClock,
        outgoing: &mut Vec<Outgoing>,
    ) {
        let by = Signature { door: &self.door, boot: self.boot, now, wall };
        let local::Question::Enroll { visit, name, wish } = &asked.question;
        let whom = (name.as_str(), *wish);
        let result = self.recalls.enrol_locally(*visit, whom, &mut self.store, by);
        self.note_enrolled(result.is_ok(), outgoing);
        if let Some(error) = asked.answer(result) {
            self.fail(&error);
        }
    }

    /// What the page asks of the strangers who were just here.
    fn tell_of_visits(
        &mut self,
        asked: Asked,
        now: Monotonic,
        wall: WallClock,
        outgoing: &mut Vec<Outgoing>,
    ) {
        // Whoever asked may have gone.
        match asked {
            Asked::List(reply) => drop(reply.send(self.recalls.remembered(now))),
            Asked::Enrol(wished, reply) => {
                let by = Signature { door: &self.door, boot: self.boot, now, wall };
                self.store.acting_for(Some(wished.by.clone()));
                let result = self.recalls.enrol_for_page(&wished, &mut self.store, by);
                self.store.acting_for(None);
                self.note_enrolled(result.is_ok(), outgoing);
                if let Err(Refused::Enrol(why)) = &result
                    && let EnrolError::Store(error) = &**why
                    && error.kind() != ErrorKind::Request
                {
                    self.fail(error);
                }
                drop(reply.send(result));
            }
        }
    }

    fn note_enrolled(&mut self, enrolled: bool, outgoing: &mut Vec<Outgoing>) {
        self.wanted.read_again |= enrolled;
        self.note_recorded(enrolled, outgoing);
    }

    /// When somebody is told of strangers, from now on.
    pub fn watch_strangers(&mut self, policy: StrangersPolicy) {
        self.strangers.0 = policy;
    }

    /// Goes by the clocks of `config`, and erases people whose validity is over as it says, from now on.
    pub fn go_by(&mut self, config: &Config) {
        self.armed.renew(config);
        self.ended.renew(config);
    }

    /// Erases whoever is to be erased because the validity is over.
    pub(super) fn look_at_ended(
        &mut self,
        now: Monotonic,
        wall: WallClock,
        outgoing: &mut Vec<Outgoing>,
    ) {
        let by = Signature { door: &self.door, boot: self.boot, now, wall };
        let (erased, failed) = self.ended.erase(&mut self.store, by);
        if let Some(error) = failed {
            self.fail(&error);
        }
        self.wanted.read_again |= !erased.is_empty();
        self.note_recorded(!erased.is_empty(), outgoing);
    }

    /// Whether the broker may know names, from now on.
    pub const fn tell_names(&mut self, names: bool) {
        self.names = names;
    }

    /// What `subject` is called, where the broker may know. A greeting is no reason to fail.
    fn name(&self, subject: &SubjectId) -> Option<String> {
        if !self.names {
            return None;
        }
        let name = self.store.subject(subject.as_str()).ok()?.name;
        (name != NAME_SEALED).then_some(name)
    }

    /// Has somebody told where a decision is of one stranger too many.
    fn note_stranger(&mut self, decision: &Decision, now: Monotonic, outgoing: &mut Vec<Outgoing>) {
        if decision.verdict != Verdict::Unknown(UnknownReason::NoMatch) {
            return;
        }
        let (policy, strangers) = &mut self.strangers;
        let Some(visits) = strangers.note(policy, now) else { return };
        let event = Administrative::StrangersNoticed { visits, within_s: policy.window.as_secs() };
        let made = self.store.record_admin(event, &self.door, self.boot, now, decision.wall);
        if let Some(record) = self.note(made) {
            self.count_outbox();
            tracing::warn!(visits, "strangers at the door");
            outgoing.extend(StrangersMessage::of(&record).map(Outgoing::Strangers));
        }
    }

    fn decided(
        &mut self,
        decision: &Decision,
        announce: bool,
        now: Monotonic,
        outgoing: &mut Vec<Outgoing>,
    ) {
        let made = self.store.record_decision(decision, &self.door, self.boot);
        let decided = |record: &AuditRecord| ((record.id, record.seq), decision.decided_at);
        self.decided = made.as_ref().ok().map(decided);
        let Some(record) = self.note(made) else {
            if announce {
                tracing::error!("a decision was not announced: it could not be recorded");
            }
            return;
        };
        self.count_outbox();
        // What is not recorded is no passage.
        if let (Some(side), Some(subject)) = (decision.passed, decision.verdict.subject()) {
            let at = Whereabouts { side: Some(side), since_ms: decision.wall.unix_ms };
            self.wanted.passages.push((subject.clone(), at));
        }
        tracing::info!(
            seq = record.seq,
            outcome = ?decision.verdict.outcome(),
            reason = decision.verdict.reason(),
            subject = decision.verdict.subject().map(tracing::field::display),
            "decided"
        );
        let duress = DuressMessage::of(&record);
        outgoing.push(if announce {
            let grant = self.signer.sign(&record, now);
            let name = decision.verdict.subject().and_then(|subject| self.name(subject));
            Outgoing::Access { record, grant, name }
        } else {
            Outgoing::Recorded
        });
        outgoing.extend(duress.map(Outgoing::Duress));
    }

    /// Looks whether the keys by which grants are signed have changed, and hands them out where they
    /// have, and at the first call.
    pub fn look_at_keys(&mut self, wall: WallClock, outgoing: &mut Vec<Outgoing>) {
        self.signer.look(&mut self.store, wall);
        outgoing.extend(self.signer.news(wall).map(Outgoing::Keys));
    }

    /// Looks whether the door is armed, hands that out where it has changed, and at the first call,
    /// and disarms it for good when the time is over for which it was armed; says whether it did.
    pub fn look_at_arming(
        &mut self,
        now: Monotonic,
        wall: WallClock,
        outgoing: &mut Vec<Outgoing>,
    ) -> bool {
        let by = Signature { door: &self.door, boot: self.boot, now, wall };
        let Found { ended, news } = self.armed.look(&mut self.store, by);
        if ended {
            self.count_outbox();
            outgoing.push(Outgoing::Recorded);
        }
        outgoing.extend(news.map(Outgoing::Armed));
        ended
    }

    /// Records what came of requests that have waited for it.
    pub fn look_at_requests(
        &mut self,
        now: Monotonic,
        wall: WallClock,
        outgoing: &mut Vec<Outgoing>,
    ) {
        self.recalls.forget_old(now);
        let by = Signature { door: &self.door, boot: self.boot, now, wall };
        let recorded = self.requests.settle(&mut self.store, by);
        self.note_recorded(recorded, outgoing);
    }

    /// What requests want of the others since the last call.
    pub fn take_wanted(&mut self) -> Wanted {
        std::mem::take(&mut self.wanted)
    }

    fn note_recorded(&mut self, recorded: bool, outgoing: &mut Vec<Outgoing>) {
        if recorded {
            self.count_outbox();
            outgoing.push(Outgoing::Recorded);
        }
    }

    /// How signing is.
    #[must_use]
    pub const fn signing(&self) -> &SigningStatus {
        self.signer.status()
    }

    /// Records the start, if that is still to be done. It is the first thing that is written when
    /// there is room again, so that the state of the database is known before anybody comes.
    pub(super) fn retry_start(&mut self, wall: WallClock, outgoing: &mut Vec<Outgoing>) {
        let Some(Start { event, at }) = &self.start else { return };
        if self.store.record_admin(event.clone(), &self.door, self.boot, *at, wall).is_ok() {
            self.start = None;
            self.condition = Condition::Usable;
            self.count_outbox();
            tracing::info!("the database can be written again");
            outgoing.push(Outgoing::Recorded);
        }
    }

    fn note(&mut self, made: Result<AuditRecord, store::Error>) -> Option<AuditRecord> {
        match made {
            Ok(record) => {
                self.condition = Condition::Usable;
                Some(record)
            }
            Err(error) => {
                self.fail(&error);
                None
            }
        }
    }

    fn fail(&mut self, error: &store::Error) {
        self.condition = Condition::after(error);
        tracing::error!(%error, "the database failed");
    }

    fn count_outbox(&mut self) {
        if let Ok(depth) = self.store.outbox_depth() {
            self.outbox_depth = depth;
        }
    }

    /// The database.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The same, for what is no record.
    pub(super) const fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// How the database is, as far as the last task has shown.
    #[must_use]
    pub const fn condition(&self) -> Condition {
        self.condition
    }

    /// Says how the database is, where something else than a task has shown it.
    pub(super) const fn set_condition(&mut self, condition: Condition) {
        self.condition = condition;
    }

    /// Records that no broker has acknowledged.
    #[must_use]
    pub const fn outbox_depth(&self) -> u64 {
        self.outbox_depth
    }

    /// Records that cannot be read, and so are not published.
    #[must_use]
    pub fn unreadable_records(&self) -> u64 {
        self.unreadable.count()
    }
}

#[cfg(test)]
mod tests;
