//! The three threads that do the work, each a loop that ends when it is told to.
//!
//! - *capture* owns the source: frames into the slot.
//! - *recognise* owns networks, gallery and the visit: frames into decisions.
//! - *record* owns the database: a decision is durable before it is handed to the broker session,
//!   and enrolments made by another program are noticed and become a new gallery.
//!
//! Nothing on the frame's way queues: between capture and recognise stands the slot. Decisions go
//! through bounded channels; a full one is a fault in health, never a blocked frame.
//! Invariant: `Publish` of a decision whose `Record` failed is dropped: what is not durable is not
//! announced.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use uuid::Uuid;

use super::bearing::Bearing;
use super::decoding::Decoding;
use super::enrolments::{Change, Enrolments, Handover, News};
use super::meter::{Meter, Stage};
use super::pulse::{Pulse, Thread};
use super::reload::{Adjustment, Renewal};
use super::slot::{Slot, Taken};
use super::unreadable::Unreadable;
use crate::capture::strobe::StrobeWatch;
use crate::capture::{
    CameraState, CameraStatus, CaptureError, CapturedFrame, Decoder, Encoding, FrameSource,
    Progress, RecordingProblem, SourceDescription,
};
use crate::clock::{Clock, ManualClock, Monotonic, SystemClock};
use crate::decide::{Action, Decision, DeniedReason, Fault, Observation, Seen, Verdict, Visit};
use crate::detect::{StillFace, StillFaces};
use crate::geometry::{Turn, View};
use crate::publish::message::{DatabaseState, GalleryState};
use crate::publish::{Outgoing, Presence};
use crate::recognize::Recognizer;
use crate::store::{Administrative, AuditRecord, Store};

/// How long a thread waits before it looks whether it shall end, and beats.
const TURN: Duration = Duration::from_millis(200);

/// What all threads share.
pub(super) struct Shared {
    pub stop: AtomicBool,
    pub slot: Slot,
    pub decoding: Decoding,
    pub pulse: Pulse,
    pub meter: Arc<Meter>,
    /// The machine's clocks; for beats and latencies also while a recording plays faster.
    pub clock: Arc<SystemClock>,
    /// What the source is and how it does, as last seen by the capture thread, and how it hangs, as
    /// seen by the recogniser.
    pub camera: Mutex<Camera>,
    /// Whether the light at the door strobes.
    pub strobing: AtomicBool,
    /// Set when the camera streams after it did not: it may hang otherwise now.
    pub opened_anew: AtomicBool,
}

/// The source as the capture thread last saw it.
#[derive(Debug, Clone)]
pub(super) struct Camera {
    pub description: SourceDescription,
    /// `None` for a recording whose frames can be decoded.
    pub status: Option<CameraStatus>,
    /// Where most faces stand otherwise than upright.
    pub misoriented: Option<CameraStatus>,
    /// Faces that have not moved for minutes, as last seen by the recognise thread.
    pub still: Vec<StillFace>,
}

impl Camera {
    /// What `source` says of itself before its first frame.
    pub(super) fn of(source: &dyn FrameSource) -> Self {
        Self {
            description: source.description().clone(),
            status: source.status().cloned(),
            misoriented: None,
            still: Vec::new(),
        }
    }

    /// What is to be said of it: how it hangs where nothing worse is wrong.
    pub(super) fn told(&self) -> Option<&CameraStatus> {
        match (&self.status, &self.misoriented) {
            (Some(status), _) if status.state != CameraState::Streaming => Some(status),
            (status, misoriented) => misoriented.as_ref().or(status.as_ref()),
        }
    }
}

impl Shared {
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn beat(&self, thread: Thread) {
        self.pulse.beat(thread, self.clock.now());
    }
}

/// The capture thread: frames into the slot until the source ends or the daemon stops.
pub(super) fn capture(shared: &Shared, mut source: Box<dyn FrameSource>) {
    let mut frame = CapturedFrame::default();
    while !shared.stopping() {
        shared.beat(Thread::Capture);
        if source.hear(shared.decoding.report()) {
            shared.decoding.begin_anew();
        }
        let repeat = match source.next_frame(&mut frame) {
            Ok(Progress::Frame) => false,
            Ok(Progress::Repeat) => true,
            Ok(Progress::Waiting) => {
                note_camera(shared, &*source);
                continue;
            }
            Ok(Progress::End) => break,
            Err(error) => {
                tracing::warn!(%error, "frame lost");
                // A folder's picture that cannot be read was a frame all the same.
                if let CaptureError::Recording {
                    problem: RecordingProblem::Picture { reason, .. },
                    ..
                } = &error
                {
                    shared.meter.add_captured();
                    shared.meter.add_unreadable();
                    shared.decoding.failed(reason.cause());
                }
                note_camera(shared, &*source);
                if error.needs_reopening() {
                    break;
                }
                continue;
            }
        };
        shared.meter.add_captured();
        note_camera(shared, &*source);
        while !shared.slot.put(&mut frame, repeat, TURN) && !shared.stopping() {
            shared.beat(Thread::Capture);
        }
    }
    shared.slot.close();
    // A recording that is over is no hung thread: the daemon goes on and says goodbye in order.
    while !shared.stopping() {
        shared.beat(Thread::Capture);
        // Its last frames are decoded only now.
        source.hear(shared.decoding.report());
        note_camera(shared, &*source);
        shared.clock.sleep(TURN);
    }
}

fn note_camera(shared: &Shared, source: &dyn FrameSource) {
    let mut camera = shared.camera.lock().unwrap_or_else(PoisonError::into_inner);
    if camera.status.as_ref() != source.status() {
        let streams = |status: Option<&CameraStatus>| {
            status.is_some_and(|status| status.state == CameraState::Streaming)
        };
        if streams(source.status()) && !streams(camera.status.as_ref()) {
            shared.opened_anew.store(true, Ordering::Relaxed);
        }
        camera.status = source.status().cloned();
    }
    if camera.description != *source.description() {
        camera.description = source.description().clone();
    }
}

/// What the recognise thread works with.
pub(super) struct Recognise {
    pub recognizer: Recognizer,
    pub visit: Visit,
    pub strobe: StrobeWatch,
    pub still: StillFaces,
    /// Set while a recording plays as fast as it can: time is then the recording's own.
    pub replay_clock: Option<Arc<ManualClock>>,
    pub enrolments: Arc<Handover>,
    pub decisions: SyncSender<Task>,
    pub outgoing: Sender<Outgoing>,
    /// How long after the last frame of a recording its last visit ends.
    pub absence: Duration,
    /// How the camera is looked at, and how it hangs by the faces that it shows.
    pub view: View,
    pub bearing: Bearing,
}

/// The recognise thread: frames into decisions until the slot closes or the daemon stops.
pub(super) fn recognise(shared: &Shared, mut work: Recognise) {
    let mut captured = CapturedFrame::default();
    let mut decoder = Decoder::default();
    let mut actions = Vec::new();
    while !shared.stopping() {
        shared.beat(Thread::Recognise);
        work.take_over(shared);
        work.visit.contest(shared.meter.is_contested(shared.clock.now()));
        let patience = work.patience(shared);
        match shared.slot.take(&mut captured, patience) {
            Taken::Closed => break,
            Taken::Nothing => {
                let now = work.now(shared);
                work.visit.tick(now, &mut actions);
            }
            Taken::Frame { repeat } => {
                if let Some(clock) = &work.replay_clock {
                    clock.advance_to(captured.captured_at());
                }
                let observation = work.see(shared, &mut decoder, &captured, repeat);
                let now = work.now(shared);
                work.visit.step(&observation, now, &mut actions);
                if let Some(question) = work.visit.question() {
                    let answer = work.recognizer.confirm(question);
                    let now = work.now(shared);
                    work.visit.answer(answer, now, &mut actions);
                }
            }
        }
        work.execute(shared, &mut actions);
    }
    if let Some(clock) = &work.replay_clock {
        clock.advance(work.absence);
        let now = clock.now();
        work.visit.tick(now, &mut actions);
        work.execute(shared, &mut actions);
    }
}

impl Recognise {
    fn now(&self, shared: &Shared) -> Monotonic {
        self.replay_clock.as_ref().map_or_else(|| shared.clock.now(), |clock| clock.now())
    }

    /// Takes over what the record thread has for it: between two frames, all at once.
    fn take_over(&mut self, shared: &Shared) {
        let News { change, adjustment } = self.enrolments.take();
        match change {
            Some(Change::Replace(galleries)) => self.recognizer.set_galleries(*galleries),
            Some(Change::Withdraw) => self.recognizer.forget_everybody(),
            None => {}
        }
        let Some(Adjustment { tuning, visit, clock, answer }) = adjustment else { return };
        self.recognizer.tune(&tuning);
        // What stands still may be ignored now: it is watched anew.
        self.still = StillFaces::default();
        shared.camera.lock().unwrap_or_else(PoisonError::into_inner).still.clear();
        let now = self.now(shared);
        self.visit.restart(visit, now);
        self.absence = visit.absence;
        shared.clock.require(clock);
        // Nobody listens any more where the daemon ends.
        drop(answer.send(Ok(())));
    }

    /// Until the visit wants to be asked again, but never longer than a turn. A recording played
    /// as fast as possible has time only where it has frames.
    fn patience(&self, shared: &Shared) -> Duration {
        match self.visit.poll_at() {
            Some(at) if self.replay_clock.is_none() => at.since(shared.clock.now()).min(TURN),
            _ => TURN,
        }
    }

    fn see(
        &mut self,
        shared: &Shared,
        decoder: &mut Decoder,
        captured: &CapturedFrame,
        repeat: bool,
    ) -> Observation {
        // The wall clock is the machine's also while a recording plays faster: a record of a time
        // that is still to come would hold the clock.
        let faulty = |fault| Observation {
            sequence: captured.sequence(),
            captured_at: captured.captured_at(),
            wall: shared.clock.wall(),
            luminance: None,
            seen: Seen::Fault(fault),
        };
        if repeat {
            return faulty(Fault::Stale);
        }
        if shared.meter.database() == DatabaseState::Failed
            || shared.meter.gallery() == GalleryState::Unreadable
        {
            return faulty(Fault::Store);
        }
        // Before it is decoded, which is most of what an empty room would cost.
        if self.recognizer.rests() {
            shared.meter.add_processed();
            let (sequence, captured_at) = (captured.sequence(), captured.captured_at());
            return self.recognizer.pass_over(sequence, captured_at, &*shared.clock);
        }
        let start = shared.clock.now();
        let frame = match decoder.decode(captured) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::debug!(%error, sequence = captured.sequence(), "frame cannot be read");
                shared.meter.add_unreadable();
                shared.decoding.failed(error.cause());
                return faulty(Fault::Unreadable);
            }
        };
        shared.decoding.succeeded();
        let decoded = shared.clock.now();
        if captured.encoding() == Encoding::Jpeg {
            shared.meter.time(Stage::Decode, decoded.since(start));
        }
        if shared.opened_anew.swap(false, Ordering::Relaxed) {
            self.recognizer.forget();
            self.bearing = Bearing::default();
            self.note_bearing(shared, Turn::None);
        }
        let observation = self.recognizer.observe(&frame, &*shared.clock);
        let orientation = self.recognizer.orientation();
        if let Some(turn) =
            orientation.and_then(|seen| self.bearing.see(seen, captured.captured_at()))
        {
            self.note_bearing(shared, turn);
        }
        shared.meter.add_processed();
        shared.meter.time_path(self.recognizer.times(), shared.clock.now().since(start));
        if matches!(observation.seen, Seen::Faces { .. }) {
            shared.meter.add_face();
        }
        if let Some(luminance) = observation.luminance {
            let strobing = self.strobe.observe(luminance, observation.captured_at);
            shared.strobing.store(strobing, Ordering::Relaxed);
        }
        if !matches!(observation.seen, Seen::Fault(_)) {
            self.note_still(shared, (frame.width(), frame.height()));
        }
        observation
    }

    /// Says how the camera hangs: most faces need a further `turn`.
    fn note_bearing(&self, shared: &Shared, turn: Turn) {
        let turned = turn != Turn::None;
        let status = turned.then(|| CameraStatus::misoriented(turn, self.view, shared.clock.now()));
        if let Some(status) = &status {
            tracing::warn!(state = status.state.name(), "{}", status.detail);
        }
        shared.camera.lock().unwrap_or_else(PoisonError::into_inner).misoriented = status;
    }

    /// Watches for faces that do not move; tells the main thread where that is news.
    fn note_still(&mut self, shared: &Shared, size: (u32, u32)) {
        let now = self.now(shared);
        if self.still.observe(self.recognizer.detections(), size, now) {
            let mut camera = shared.camera.lock().unwrap_or_else(PoisonError::into_inner);
            camera.still = self.still.list();
        }
    }

    fn execute(&mut self, shared: &Shared, actions: &mut Vec<Action>) {
        // A decision that never reached the record thread must not make it announce another one.
        let mut recorded = false;
        for action in actions.drain(..) {
            match action {
                Action::Presence { present, faces } => {
                    shared.meter.set_present(faces);
                    // A full channel: the session is behind; presence is said again within 5 s.
                    drop(self.outgoing.try_send(Outgoing::Presence(Presence::new(present, faces))));
                }
                Action::Record(decision) => {
                    let latency = Duration::from_micros(decision.latency.first_frame_us);
                    shared.meter.time(Stage::Decision, latency);
                    recorded = self.hand_over(shared, Task::Record(Box::new(decision)));
                }
                Action::Publish(_) if recorded => {
                    self.hand_over(shared, Task::Publish);
                }
                Action::Publish(_) => {}
            }
        }
    }

    /// Gives `task` to the record thread; `false` when that has too much to do.
    fn hand_over(&self, shared: &Shared, task: Task) -> bool {
        // Played as fast as possible, a recording waits for the database; a camera does not.
        let lost = if self.replay_clock.is_some() {
            self.decisions.send(task).is_err()
        } else {
            self.decisions.try_send(task).is_err()
        };
        if lost {
            shared.meter.set_database(DatabaseState::Failed);
            tracing::error!("a decision was lost: the database is slower than decisions come");
        }
        !lost
    }
}

/// What the record thread is asked to do.
#[derive(Debug)]
pub(super) enum Task {
    /// Make a decision durable.
    Record(Box<Decision>),
    /// Announce the decision that was recorded last.
    Publish,
    /// The session wants outbox records after `after`.
    Outbox { after: u64, limit: usize },
    /// The broker has everything up to this record.
    Acknowledged { seq: u64 },
    /// Go on by another configuration.
    Renew(Box<Renewal>),
    /// Somebody asked for something.
    Administrative(Administrative),
    /// Nothing more will come.
    Stop,
}

/// What the record thread works with.
pub(super) struct Record {
    pub store: Store,
    pub door: String,
    pub boot: Uuid,
    pub tasks: Receiver<Task>,
    pub outgoing: Sender<Outgoing>,
    pub enrolments: Enrolments,
    /// The record of the start, while it could not be made.
    pub start: Option<Start>,
    /// Records that cannot be read, as the outbox has shown them.
    pub unreadable: Unreadable,
}

/// A start that is still to be recorded.
#[derive(Debug)]
pub(super) struct Start {
    pub event: Administrative,
    pub at: Monotonic,
}

/// The record thread: tasks in, durable records out, until it is told to stop.
pub(super) fn record(shared: &Shared, mut work: Record) {
    let mut last: Option<AuditRecord> = None;
    work.note_outbox(shared);
    loop {
        shared.beat(Thread::Record);
        match work.tasks.recv_timeout(TURN) {
            Ok(Task::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            Ok(task) => work.execute(shared, task, &mut last),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if work.enrolments.look(&work.store, &shared.meter, shared.clock.now()) {
            work.record_start(shared);
            // Another program may have made records, or settled the clock.
            if let Ok(floor) = work.store.clock_floor() {
                shared.clock.set_floor(floor);
            }
        }
    }
    // What was decided before the end is still made durable.
    while let Ok(task) = work.tasks.try_recv() {
        work.execute(shared, task, &mut last);
    }
}

impl Record {
    fn execute(&mut self, shared: &Shared, task: Task, last: &mut Option<AuditRecord>) {
        match task {
            Task::Stop => {}
            Task::Record(decision) => {
                *last = self
                    .keep(shared, |store, door, boot| store.record_decision(&decision, door, boot));
                if let Some(record) = last {
                    shared.meter.add_decision();
                    say_why_untrusted(shared, record.seq, &decision);
                    tracing::info!(
                        seq = record.seq,
                        outcome = ?decision.verdict.outcome(),
                        reason = decision.verdict.reason(),
                        subject = decision.verdict.subject().map(tracing::field::display),
                        "decided"
                    );
                    self.send(Outgoing::Recorded);
                }
            }
            Task::Publish => {
                if let Some(record) = last.take() {
                    self.send(Outgoing::Access(record));
                } else {
                    tracing::error!("a decision was not announced: it could not be recorded");
                }
            }
            Task::Outbox { after, limit } => match self.store.outbox_page(after, limit) {
                Ok(page) => {
                    self.unreadable.note(shared, &page.unreadable);
                    self.send(Outgoing::Audit(page.records));
                }
                Err(error) => Self::failed(shared, &error),
            },
            Task::Acknowledged { seq } => {
                if let Err(error) = self.store.acknowledge(seq) {
                    Self::failed(shared, &error);
                }
                self.note_outbox(shared);
            }
            Task::Renew(renewal) => {
                let records_max = renewal.config.store.records_max;
                if self.enrolments.renew(*renewal, &self.store, &shared.meter) {
                    self.store.keep_records(records_max);
                }
            }
            Task::Administrative(what) => {
                let (now, wall) = (shared.clock.now(), shared.clock.wall());
                let kept = self.keep(shared, |store, door, boot| {
                    store.record_admin(what, door, boot, now, wall)
                });
                if kept.is_some() {
                    self.send(Outgoing::Recorded);
                }
            }
        }
    }

    /// Records the start, if that is still to be done. It is the first thing that is written when
    /// there is room again, so that the state of the database is known before anybody comes.
    fn record_start(&mut self, shared: &Shared) {
        let Some(Start { event, at }) = &self.start else { return };
        let (event, at, wall) = (event.clone(), *at, shared.clock.wall());
        if self.store.record_admin(event, &self.door, self.boot, at, wall).is_ok() {
            self.start = None;
            shared.meter.set_database(DatabaseState::Ok);
            self.note_outbox(shared);
            tracing::info!("the database can be written again");
            self.send(Outgoing::Recorded);
        }
    }

    fn keep(
        &mut self,
        shared: &Shared,
        write: impl FnOnce(&mut Store, &str, Uuid) -> Result<AuditRecord, crate::store::Error>,
    ) -> Option<AuditRecord> {
        match write(&mut self.store, &self.door, self.boot) {
            Ok(record) => {
                shared.meter.set_database(DatabaseState::Ok);
                self.note_outbox(shared);
                Some(record)
            }
            Err(error) => {
                Self::failed(shared, &error);
                None
            }
        }
    }

    fn failed(shared: &Shared, error: &crate::store::Error) {
        shared.meter.set_database(database_state(error));
        tracing::error!(%error, "the database failed");
    }

    fn note_outbox(&self, shared: &Shared) {
        if let Ok(depth) = self.store.outbox_depth() {
            shared.meter.set_outbox(depth);
        }
    }

    fn send(&self, outgoing: Outgoing) {
        if self.outgoing.try_send(outgoing).is_err() {
            tracing::warn!("the broker session is behind; the outbox keeps what it missed");
        }
    }
}

/// Tells the log what the clock lacks where a decision was denied because of it.
fn say_why_untrusted(shared: &Shared, seq: u64, decision: &Decision) {
    let untrusted =
        matches!(decision.verdict, Verdict::Denied { reason: DeniedReason::ClockUntrusted, .. });
    if untrusted && let (_, Some(doubt)) = shared.clock.wall_with_doubt() {
        tracing::warn!(seq, %doubt, remedy = doubt.remedy(), "denied: the clock is not trusted");
    }
}

/// How a database error shows in `health`.
pub(super) const fn database_state(error: &crate::store::Error) -> DatabaseState {
    match error {
        crate::store::Error::DiskFull { .. } => DatabaseState::Full,
        crate::store::Error::ReadOnly { .. } => DatabaseState::ReadOnly,
        _ => DatabaseState::Failed,
    }
}
