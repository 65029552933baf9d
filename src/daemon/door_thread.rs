//! The door thread: owns networks and visit; frames into decisions.
//!
//! In: the newest frame of the slot, what the desk thread has for the door. Out: tasks for the desk,
//! presence for the session, what the frames tell of the camera and its light. All that decides is the
//! [`Door`]; here stand the slot before it, the channels behind it, and the watch over the camera.
//!
//! Invariant: nothing queues before the door. A channel behind it that is full is a fault in health,
//! never a blocked frame.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use super::bearing::Bearing;
use super::desk::Task;
use super::desk_thread::Order;
use super::enrolments::{Change, Handover, News};
use super::meter::Stage;
use super::pulse::Thread;
use super::reload::Adjustment;
use super::shared::{Shared, TURN};
use super::slot::Taken;
use crate::capture::strobe::StrobeWatch;
use crate::capture::{CameraStatus, CapturedFrame, Decoder, Encoding, PictureError};
use crate::clock::{Clock, ManualClock, Monotonic};
use crate::compare::SubjectId;
use crate::decide::{Effect, Fault, Seen};
use crate::detect::StillFaces;
use crate::door::{Door, Event, Guidance, Time};
use crate::frame::Frame;
use crate::geometry::{Turn, View};
use crate::publish::{GuidanceMessage, Outgoing, Presence};

/// How often guidance is said again while it holds: it expires after 5 s.
const GUIDE_AGAIN: Duration = Duration::from_secs(3);

/// What the door thread works with.
pub(super) struct DoorThread {
    pub door: Door,
    pub strobe: StrobeWatch,
    pub still: StillFaces,
    /// Set while a recording plays as fast as it can: time is then the recording's own.
    pub replay_clock: Option<Arc<ManualClock>>,
    pub enrolments: Arc<Handover>,
    pub desk: SyncSender<Order>,
    pub outgoing: Sender<Outgoing>,
    /// How long after the last frame of a recording its last visit ends.
    pub absence: Duration,
    /// How the camera is looked at, and how it hangs by the faces that it shows.
    pub view: View,
    pub bearing: Bearing,
    /// What the visitor was told to do last, and when.
    pub guided: Option<(Guidance, Monotonic)>,
    /// Whether the door was locked when that was last looked at.
    pub locked: bool,
    /// Whose second factor the page was told to be waited for.
    pub awaited: Option<SubjectId>,
}

/// Runs until the slot closes or the daemon stops.
pub(super) fn run(shared: &Shared, mut work: DoorThread) {
    let mut captured = CapturedFrame::default();
    let mut decoder = Decoder::default();
    let mut effects = Vec::new();
    while !shared.stopping() {
        shared.beat(Thread::Door);
        work.take_over(shared, &mut effects);
        match shared.slot.take(&mut captured, work.patience(shared)) {
            Taken::Closed => break,
            Taken::Nothing => work.step(shared, Event::Tick, &mut effects),
            Taken::Frame { repeat } => {
                if let Some(clock) = &work.replay_clock {
                    clock.advance_to(captured.captured_at());
                }
                work.see(shared, &mut decoder, &captured, repeat, &mut effects);
            }
        }
        work.execute(shared, &mut effects);
        work.note_lockout(shared);
        work.guide(shared);
        work.say_awaited(shared);
    }
    if let Some(clock) = &work.replay_clock {
        clock.advance(work.absence);
        work.step(shared, Event::Tick, &mut effects);
        work.execute(shared, &mut effects);
    }
}

impl DoorThread {
    fn step(&mut self, shared: &Shared, event: Event<'_, Frame<'_>>, effects: &mut Vec<Effect>) {
        // The wall clock is the machine's also while a recording plays faster: a record of a time
        // that is still to come would hold the clock.
        let machine: &dyn Clock = &*shared.clock;
        let frames = self.replay_clock.as_ref().map_or(machine, |clock| &**clock);
        self.door.step(event, Time { machine, frames }, effects);
    }

    fn now(&self, shared: &Shared) -> Monotonic {
        self.replay_clock.as_ref().map_or_else(|| shared.clock.now(), |clock| clock.now())
    }

    /// Takes over what the others have for the door: between two frames, all at once.
    fn take_over(&mut self, shared: &Shared, effects: &mut Vec<Effect>) {
        let News { change, adjustment, reset_lockout, factors, passages } = self.enrolments.take();
        for (subject, at) in passages {
            self.step(shared, Event::Passed { subject, at }, effects);
        }
        for subject in factors {
            self.step(shared, Event::Factor(subject), effects);
        }
        if let Some(page) = &shared.page {
            for entered in page.waiting.take() {
                let (subject, result) = (entered.subject.clone(), entered.result);
                // Told whatever comes of the visit, and before its decision.
                self.hand_over(shared, Task::Pin(entered));
                self.step(shared, Event::Pin { subject, result }, effects);
            }
        }
        if reset_lockout {
            self.step(shared, Event::LockoutReset, effects);
        }
        match change {
            Some(Change::Replace(galleries, rules)) => {
                self.step(shared, Event::Enrolled(galleries), effects);
                self.step(shared, Event::Ruled(rules), effects);
            }
            Some(Change::Withdraw) => self.step(shared, Event::Withdrawn, effects),
            None => {}
        }
        let failed = shared.desk.condition().has_failed();
        self.step(shared, Event::Database { failed }, effects);
        let contested = shared.meter.is_contested(shared.clock.now());
        self.step(shared, Event::Contested(contested), effects);
        let Some(Adjustment { tuning, visit, clock, answer }) = adjustment else { return };
        self.absence = visit.absence;
        self.step(shared, Event::Tuned(Box::new((tuning, visit))), effects);
        // What stands still may be ignored now: it is watched anew.
        self.still = StillFaces::default();
        shared.camera().still.clear();
        shared.clock.require(clock);
        // Nobody listens any more where the daemon ends.
        drop(answer.send(Ok(())));
    }

    /// Until the door wants to be asked again, but never longer than a turn. A recording played
    /// as fast as possible has time only where it has frames.
    fn patience(&self, shared: &Shared) -> Duration {
        match self.door.poll_at() {
            Some(at) if self.replay_clock.is_none() => at.since(shared.clock.now()).min(TURN),
            _ => TURN,
        }
    }

    /// Shows the door a frame, or what is wrong with it.
    fn see(
        &mut self,
        shared: &Shared,
        decoder: &mut Decoder,
        captured: &CapturedFrame,
        repeat: bool,
        effects: &mut Vec<Effect>,
    ) {
        let (sequence, captured_at) = (captured.sequence(), captured.captured_at());
        if repeat {
            let fault = Fault::Stale;
            return self.step(shared, Event::Fault { sequence, captured_at, fault }, effects);
        }
        // Somebody is enrolled at this camera: nobody is judged meanwhile.
        let enrols = shared.page.as_ref().filter(|page| page.is_enrolling(shared.clock.now()));
        let judges = enrols.is_none();
        if judges && !self.door.needs_frame() {
            return self.pass_over(shared, captured, effects);
        }
        // Whoever watches the camera wants to see it move.
        let watched = shared.page.as_ref().is_some_and(|page| page.viewers() > 0);
        let anew = shared.opened_anew.load(Ordering::Relaxed);
        if judges && !watched && !anew && self.door.glances() {
            match decoder.glimpse(captured) {
                Ok(glimpse) if self.door.is_unchanged(&glimpse) => {
                    shared.decoding.succeeded();
                    return self.pass_over(shared, captured, effects);
                }
                Ok(_) => {}
                Err(error) => return self.note_unreadable(shared, captured, &error, effects),
            }
        }
        let start = shared.clock.now();
        let frame = match decoder.decode(captured) {
            Ok(frame) => frame,
            Err(error) => return self.note_unreadable(shared, captured, &error, effects),
        };
        shared.decoding.succeeded();
        let decoded = shared.clock.now();
        if captured.encoding() == Encoding::Jpeg {
            shared.meter.time(Stage::Decode, decoded.since(start));
        }
        if shared.opened_anew.swap(false, Ordering::Relaxed) {
            self.door.sight_mut().forget();
            self.step(shared, Event::Reopened, effects);
            self.bearing = Bearing::default();
            self.note_bearing(shared, Turn::None);
        }
        if let Some(page) = enrols {
            shared.meter.add_processed();
            page.unjudged(&frame, shared.clock.now());
            return self.step(shared, Event::Enrolling { sequence, captured_at }, effects);
        }
        let size = (frame.width(), frame.height());
        self.step(shared, Event::Frame(&frame), effects);
        shared.meter.add_processed();
        shared.meter.time_path(self.door.sight().times(), shared.clock.now().since(start));
        self.watch_camera(shared, size);
        self.show(shared, &frame);
    }

    /// Passes over a frame of an empty room.
    fn pass_over(&mut self, shared: &Shared, captured: &CapturedFrame, effects: &mut Vec<Effect>) {
        let (sequence, captured_at) = (captured.sequence(), captured.captured_at());
        shared.meter.add_processed();
        shared.meter.add_passed_over();
        self.step(shared, Event::Skipped { sequence, captured_at }, effects);
    }

    /// Counts a frame that cannot be read, and says why.
    fn note_unreadable(
        &mut self,
        shared: &Shared,
        captured: &CapturedFrame,
        error: &PictureError,
        effects: &mut Vec<Effect>,
    ) {
        let (sequence, captured_at) = (captured.sequence(), captured.captured_at());
        tracing::debug!(%error, sequence, "frame cannot be read");
        shared.meter.add_unreadable();
        shared.decoding.failed(error.cause());
        let fault = Fault::Unreadable;
        self.step(shared, Event::Fault { sequence, captured_at, fault }, effects);
    }

    /// Lets the page see the frame that was just judged, where somebody looks.
    fn show(&self, shared: &Shared, frame: &Frame<'_>) {
        if let (Some(page), Some(observation)) = (&shared.page, self.door.observed()) {
            let sight = self.door.sight();
            page.judged(frame, sight, observation, sight.lacks(), shared.clock.now());
        }
    }

    /// What the frame that was just judged tells of the camera and its light.
    fn watch_camera(&mut self, shared: &Shared, size: (u32, u32)) {
        let Some(observation) = self.door.observed() else { return };
        let captured_at = observation.captured_at;
        if matches!(observation.seen, Seen::Faces { .. }) {
            shared.meter.add_face();
        }
        if let Some(luminance) = observation.luminance {
            let strobing = self.strobe.observe(luminance, captured_at);
            shared.strobing.store(strobing, Ordering::Relaxed);
        }
        let judged = !matches!(observation.seen, Seen::Fault(_));
        let orientation = self.door.sight().orientation();
        if let Some(turn) = orientation.and_then(|seen| self.bearing.see(seen, captured_at)) {
            self.note_bearing(shared, turn);
        }
        let now = self.now(shared);
        if judged && self.still.observe(self.door.sight().detections(), size, now) {
            shared.camera().still = self.still.list();
        }
    }

    /// Says how the camera hangs: most faces need a further `turn`.
    fn note_bearing(&self, shared: &Shared, turn: Turn) {
        let turned = turn != Turn::None;
        let status = turned.then(|| CameraStatus::misoriented(turn, self.view, shared.clock.now()));
        if let Some(status) = &status {
            tracing::warn!(state = status.state.name(), "{}", status.detail);
        }
        shared.camera().misoriented = status;
    }

    fn execute(&mut self, shared: &Shared, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Presence { faces } => {
                    shared.meter.set_present(faces);
                    if let Some(page) = &shared.page {
                        page.presence(faces > 0);
                    }
                    let presence = Presence::new(faces > 0, faces);
                    // A full channel: the session is behind; presence is said again within 5 s.
                    drop(self.outgoing.try_send(Outgoing::Presence(presence)));
                }
                Effect::Decided { decision, announce } => {
                    let latency = Duration::from_micros(decision.latency.first_frame_us);
                    shared.meter.time(Stage::Decision, latency);
                    let (decided_at, decision) = (decision.decided_at, Box::new(decision));
                    self.hand_over(shared, Task::Decided { decision, announce });
                    if let Some(faces) = self.door.take_recalled() {
                        // A desk that is behind has something better to do.
                        let task = Task::Remember { faces, decided_at };
                        drop(self.desk.try_send(Order::Do(task)));
                    }
                }
            }
        }
    }

    /// Says until when nobody is granted, after too many failed visits.
    fn note_lockout(&mut self, shared: &Shared) {
        let now = self.now(shared);
        let left = self.door.locked_until(now).map_or(Duration::ZERO, |until| until.since(now));
        // A recording that plays fast has a time of its own, which tells others nothing.
        let until = (!left.is_zero()).then(|| shared.clock.now().plus(left));
        match (self.locked, until) {
            (false, Some(_)) => tracing::warn!(
                for_s = left.as_secs(),
                "too many visits of strangers or pictures: nobody is granted for a while (policy.lockout_visits)"
            ),
            (true, None) => tracing::info!("the door is no longer locked"),
            _ => {}
        }
        self.locked = until.is_some();
        shared.meter.lock_out(until);
    }

    /// Says whose second factor is waited for, when that changes.
    fn say_awaited(&mut self, shared: &Shared) {
        let Some(page) = &shared.page else { return };
        if self.awaited.as_ref() != self.door.awaited() {
            self.awaited = self.door.awaited().cloned();
            page.waiting.awaits(self.awaited.clone());
        }
    }

    /// Says what the visitor should do, when that changes and again while it holds.
    fn guide(&mut self, shared: &Shared) {
        let (guidance, now) = (self.door.guidance(), shared.clock.now());
        let due = match (guidance, self.guided) {
            (Some(new), Some((said, at))) => new != said || now.since(at) >= GUIDE_AGAIN,
            (None, None) => false,
            _ => true,
        };
        if due {
            if let Some(page) = &shared.page {
                page.guidance(guidance);
            }
            let message = GuidanceMessage::new(guidance);
            // A full channel: the session is behind. It is said with the next frame, lest its end never be.
            if self.outgoing.try_send(Outgoing::Guidance(message)).is_ok() {
                self.guided = guidance.map(|guidance| (guidance, now));
            }
        }
    }

    /// Gives `task` to the desk, or says that it has too much to do.
    fn hand_over(&self, shared: &Shared, task: Task) {
        // Played as fast as possible, a recording waits for the database; a camera does not.
        let lost = if self.replay_clock.is_some() {
            self.desk.send(Order::Do(task)).is_err()
        } else {
            self.desk.try_send(Order::Do(task)).is_err()
        };
        if lost {
            shared.desk.set_overrun(true);
            tracing::error!("a decision or a PIN was lost: the database is slower than they come");
        }
    }
}
