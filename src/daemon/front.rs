//! The main thread: broker session, signals, and what is said of the daemon's own state.
//!
//! In: the threads' shared state, events of the session, signals, a [`Stop`]. Out: messages for the
//! session, tasks for the desk, notifications of readiness and status. It waits for many things and
//! computes nothing.
//! Deliberately absent: frames, decisions and the database; they pass by on their own threads.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::desk::Task;
use super::desk_thread::Order;
use super::doubts::Doubts;
use super::enrolments::Enrolled;
use super::published::Published;
use super::pulse::Thread;
use super::reload::{self, Control, Plan, Refusal, Reload, Renewal};
use super::service::{Status, notify};
use super::shared::Shared;
use super::signals::{Heard, Signals};
use super::{CHANNEL_LENGTH, DaemonError, Model, Stop, health};
use crate::capture::{CameraState, Origin};
use crate::clock::{Clock, Monotonic, WallClock};
use crate::config::Config;
use crate::publish::{
    Answered, AskDesk, Contest, Health, Info, Outgoing, Presence, Session, SessionEvent,
};
use crate::serve::Page;
use crate::store::Administrative;

/// How often the main loop looks at the threads.
const TURN: Duration = Duration::from_millis(250);
/// How often `health` is said.
const HEALTH_EVERY: Duration = Duration::from_secs(30);
/// How often the page hears how the door does.
const SHOW_EVERY: Duration = Duration::from_secs(2);
/// How often presence is said again while somebody is there: consumers forget it after 10 s.
const PRESENCE_EVERY: Duration = Duration::from_secs(4);
/// How long the end may take: threads finishing their turn, the last messages going out.
const FAREWELL: Duration = Duration::from_secs(2);
/// What the task that speaks to the broker is called where it has died.
const SESSION: &str = "broker session";
/// Turns of 20 ms in which acknowledgements may still come in after the last decision.
const SETTLE_TURNS: u32 = 15;

/// The threads that do the work.
pub(super) struct Workers {
    pub capture: JoinHandle<()>,
    pub door: JoinHandle<()>,
    pub desk: JoinHandle<()>,
}

/// An event loop in which signals are heard already: what comes while models are loaded is not lost,
/// and does not end the process without a word.
pub(super) struct Listening {
    runtime: Runtime,
    signals: Signals,
}

impl Listening {
    /// Listens from now on.
    pub(super) fn begin() -> Result<Self, DaemonError> {
        let system = |what| move |error| DaemonError::System { what, error };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(system("an event loop"))?;
        let signals = {
            let _within = runtime.enter();
            Signals::listen().map_err(system("a signal handler"))?
        };
        Ok(Self { runtime, signals })
    }
}

/// The main thread: session, signals, health.
pub(super) struct Front<'a> {
    pub config: Config,
    pub control: &'a Control<'a>,
    pub shared: &'a Arc<Shared>,
    pub page: Option<Page>,
    pub models: Vec<Model>,
    pub enrolled: Arc<Mutex<Enrolled>>,
    pub boot: Uuid,
    pub started: Monotonic,
    pub started_wall: WallClock,
    pub desk: SyncSender<Order>,
    pub outgoing: mpsc::Sender<Outgoing>,
    pub owed: Owed,
    pub status: Status,
    pub doubts: Doubts,
}

/// What must reach somebody before a reload is said to be done, and waits for room in a channel.
#[derive(Default)]
pub(super) struct Owed {
    records: VecDeque<Administrative>,
    session: Option<Outgoing>,
    ready: bool,
}

impl Workers {
    /// What became of the threads that have ended: a panic is no end in order, also of one that may
    /// end by itself. One that still runs is left to the end of the process.
    fn joined(self) -> Result<(), DaemonError> {
        let threads =
            [(Thread::Capture, self.capture), (Thread::Door, self.door), (Thread::Desk, self.desk)];
        for (thread, handle) in threads {
            if !handle.is_finished() {
                tracing::warn!(thread = thread.name(), "a thread did not end in time");
            } else if handle.join().is_err() {
                return Err(DaemonError::ThreadDied { thread: thread.name() });
            }
        }
        Ok(())
    }
}

/// The session's way to the desk.
fn ask(desk: SyncSender<Order>) -> AskDesk {
    Box::new(move |request| match desk.try_send(Order::Do(Task::Asked(request))) {
        Err(TrySendError::Full(Order::Do(Task::Asked(request)))) => Err(request),
        // Without a desk the daemon is about to end.
        _ => Ok(()),
    })
}

impl Front<'_> {
    /// Runs until something ends it, then says goodbye in order.
    pub(super) fn run(
        mut self,
        listening: Listening,
        stop: &Stop,
        workers: Workers,
        outgoing_received: mpsc::Receiver<Outgoing>,
    ) -> Result<(), DaemonError> {
        let Listening { runtime, mut signals } = listening;
        runtime.block_on(async move {
            let (events, mut events_received) = mpsc::channel(CHANNEL_LENGTH);
            let clock = Arc::clone(&self.shared.clock) as Arc<dyn Clock>;
            let settings = self.config.session_settings();
            let session = Session::new(settings, self.info(), clock, ask(self.desk.clone()));
            let session = tokio::spawn(session.run(outgoing_received, events));
            notify(&[NotifyState::Ready, NotifyState::Status(&self.status.text())]);
            tracing::info!(door = %self.config.door.id, boot = %self.boot, "ready");
            let mut said = Published::new(self.started);
            let mut reload = Reload::default();
            let mut turn = tokio::time::interval(TURN);
            turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let outcome = loop {
                tokio::select! {
                    _ = turn.tick() => {
                        if let Some(outcome) = self.turn(stop, &workers, &session, &mut said) {
                            break outcome;
                        }
                    }
                    Some(event) = events_received.recv() => self.on_event(event, &said),
                    heard = signals.next() => match heard {
                        Heard::End(signal) => {
                            tracing::info!(signal, "told to end");
                            break Ok(());
                        }
                        Heard::Reload => reload.asked = true,
                        Heard::Nothing(signal) => tracing::warn!(
                            signal,
                            "a signal that means nothing here; SIGHUP reads the configuration again, SIGTERM ends"
                        ),
                    },
                    answer = reload.answered() => self.conclude(answer),
                }
                if reload.asked && !reload.is_under_way() {
                    reload.asked = false;
                    self.begin(&mut reload);
                }
            };
            notify(&[NotifyState::Stopping]);
            let joined = self.farewell(workers, session, &mut events_received, &said).await;
            outcome.and(joined)
        })
    }

    /// Reads the configuration again, and hands what changes in the threads to them.
    fn begin(&mut self, reload: &mut Reload) {
        let now = i128::from(self.shared.clock.now().as_micros());
        notify(&[NotifyState::Reloading, NotifyState::MonotonicUsec(now)]);
        let plan = match reload::plan(&self.config, (self.control.read)()) {
            Ok(plan) if plan.changes.live.is_empty() => return self.conclude(Ok(plan)),
            Ok(plan) => plan,
            Err(refusal) => return self.conclude(Err(refusal)),
        };
        let (answer, answered) = oneshot::channel();
        let renewal = Renewal { config: plan.config.clone(), answer };
        match self.desk.try_send(Order::Renew(Box::new(renewal))) {
            Ok(()) => reload.wait_for(plan, answered),
            // Full: the database is slow. It is asked again at the next turn.
            Err(_) => reload.asked = true,
        }
    }

    /// Takes over what the threads have taken over, or says why nothing has changed.
    fn conclude(&mut self, answer: Result<Plan, Refusal>) {
        match answer {
            Ok(plan) => self.take_over(plan),
            Err(refusal) => {
                tracing::error!(
                    "the configuration was read again and refused; the one before stays in force:"
                );
                for line in refusal.to_string().lines() {
                    tracing::error!("{line}");
                }
                self.owed.records.push_back(refusal.event());
                self.status.reload = Some("configuration refused, see the journal".to_owned());
            }
        }
        self.owed.ready = true;
        self.settle();
    }

    fn take_over(&mut self, plan: Plan) {
        let (before, after) = (self.config.session_settings(), plan.config.session_settings());
        if before != after {
            self.status.connected = None;
            self.owed.session = Some(Outgoing::Settings(after.map(Box::new)));
        }
        (self.control.log_level)(plan.config.log.level);
        let named = |keys: &[&str]| keys.join(" ");
        let (changed, restart) = (named(&plan.changes.live), named(&plan.changes.restart));
        tracing::info!(changed, "the configuration was read again and is in force");
        self.status.reload = None;
        if !restart.is_empty() {
            tracing::warn!(
                restart,
                "these keys keep their old values until 'systemctl restart deepid-edge'"
            );
            self.status.reload = Some(format!("restart needed for {restart}"));
        }
        self.owed.records.push_back(plan.event());
        self.config = plan.config;
        if let Some(page) = &self.shared.page {
            page.set_config(self.config.clone());
        }
    }

    /// Sends what is owed as far as there is room; a reload is done when nothing is.
    fn settle(&mut self) {
        while let Some(record) = self.owed.records.pop_front() {
            if let Err(TrySendError::Full(Order::Do(Task::Administrative(record)))) =
                self.desk.try_send(Order::Do(Task::Administrative(record)))
            {
                self.owed.records.push_front(record);
                return;
            }
        }
        if let Some(settings) = self.owed.session.take()
            && let Err(mpsc::error::TrySendError::Full(settings)) = self.outgoing.try_send(settings)
        {
            self.owed.session = Some(settings);
            return;
        }
        if std::mem::take(&mut self.owed.ready) {
            notify(&[NotifyState::Ready, NotifyState::Status(&self.status.text())]);
        }
    }

    /// One turn of the main loop; an outcome when the daemon shall end.
    fn turn(
        &mut self,
        stop: &Stop,
        workers: &Workers,
        session: &tokio::task::JoinHandle<()>,
        said: &mut Published,
    ) -> Option<Result<(), DaemonError>> {
        let died = [
            (Thread::Capture, &workers.capture),
            (Thread::Door, &workers.door),
            (Thread::Desk, &workers.desk),
        ]
        .into_iter()
        .find(|(_, handle)| handle.is_finished());
        match died {
            // The recogniser ends by itself when a recording is over.
            Some((Thread::Door, _)) if self.config.camera.replay.path.is_some() => {
                self.publish_changes(self.shared.clock.now(), said);
                return Some(Ok(()));
            }
            Some((thread, _)) => {
                return Some(Err(DaemonError::ThreadDied { thread: thread.name() }));
            }
            None => {}
        }
        // Otherwise it would go on deciding, and nobody would ever hear of it.
        if session.is_finished() {
            return Some(Err(DaemonError::ThreadDied { thread: SESSION }));
        }
        if stop.requested() {
            return Some(Ok(()));
        }
        let now = self.shared.clock.now();
        let doubt = self.shared.camera().doubt.clone();
        self.owed.records.extend(self.doubts.see(doubt.as_ref(), now));
        self.settle();
        self.shared.pulse.beat(Thread::Front, now);
        said.rate.mark(now, self.shared.meter.processed());
        self.publish_changes(now, said);
        None
    }

    /// Says what has changed, and what is due again.
    fn publish_changes(&self, now: Monotonic, said: &mut Published) {
        let camera = self.shared.camera().clone();
        let state = camera.told().map_or(CameraState::Streaming, |status| status.state);
        let strobing = self.shared.strobing.load(Ordering::Relaxed);
        let mut changed = false;
        if said.camera != Some(state) {
            changed = true;
            said.camera = Some(state);
            if camera.description.origin == Origin::Recording {
                tracing::warn!(recording = %camera.description.location, "{}", health::RECORDING);
            }
            if let Some(status) = camera.told() {
                tracing::info!(state = status.state.name(), detail = %status.detail, "camera");
            }
        }
        if said.doubt != camera.doubt {
            changed = true;
            said.doubt.clone_from(&camera.doubt);
        }
        let light_changed = said.strobing != strobing;
        if light_changed {
            said.strobing = strobing;
            if strobing {
                tracing::warn!("{}", health::STROBES);
            } else {
                tracing::info!("the light is steady again");
            }
        }
        let new_still = said.still != camera.still;
        if new_still {
            if let Some(remedy) = health::still_remedy(&camera.still, &self.config.zones()) {
                tracing::warn!("{remedy}");
            } else {
                tracing::info!("the faces that did not move are gone");
            }
            said.still.clone_from(&camera.still);
            changed = true;
        }
        if changed || light_changed {
            let (clock, started) = (&*self.shared.clock, self.started_wall);
            let zones = self.config.zones();
            let told = health::camera(&camera, strobing, &zones, clock, started);
            if let Some(page) = &self.shared.page {
                page.camera(told.clone());
            }
            self.send(Outgoing::Camera(told));
        }
        let info = self.info();
        if said.info.as_ref() != Some(&info) {
            if let Some(page) = &self.shared.page {
                page.info(info.clone(), self.threshold());
            }
            self.send(Outgoing::Info(info.clone()));
            said.info = Some(info);
        }
        let database = Some(self.shared.desk.condition());
        changed |= said.database != database;
        said.database = database;
        let signing = self.shared.desk.signing().state;
        changed |= said.signing != signing;
        said.signing = signing;
        changed |= self.log_clock_doubt(said);
        let contested = self.shared.meter.is_contested(now);
        changed |= said.contested != contested;
        if said.contested && !contested {
            tracing::info!("no other client was heard as this door for a while; it is ours again");
        }
        said.contested = contested;
        let locked = !self.shared.meter.locked_for(now).is_zero();
        changed |= said.locked != locked;
        said.locked = locked;
        self.tell_health(changed, now, said);
        if said.presence_at.is_none_or(|at| now.since(at) >= PRESENCE_EVERY) {
            said.presence_at = Some(now);
            if let Some(faces) = self.shared.meter.present() {
                self.send(Outgoing::Presence(Presence::new(true, faces.get())));
            }
        }
    }

    /// Tells the page and the broker how the daemon is, each where it is due or something has `changed`.
    fn tell_health(&self, changed: bool, now: Monotonic, said: &mut Published) {
        let is_due = |last: Option<Monotonic>, every| {
            changed || last.is_none_or(|last| now.since(last) >= every)
        };
        let page = self.shared.page.as_ref().filter(|_| is_due(said.shown_at, SHOW_EVERY));
        let publishes = is_due(said.health_at, HEALTH_EVERY);
        if page.is_none() && !publishes {
            return;
        }
        let health = self.health(now, said);
        if let Some(page) = page {
            page.health(health.clone());
            said.shown_at = Some(now);
        }
        if publishes {
            self.send(Outgoing::Health(health));
            said.health_at = Some(now);
        }
    }

    /// Logs what a clock that is not trusted lacks, and that it is trusted again; whether that has
    /// changed.
    fn log_clock_doubt(&self, said: &mut Published) -> bool {
        let (_, doubt) = self.shared.clock.wall_with_doubt();
        if said.clock_doubt == doubt {
            return false;
        }
        if let Some(doubt) = doubt {
            tracing::warn!(
                %doubt,
                remedy = doubt.remedy(),
                "the clock is not trusted; decisions are denied with 'clock_untrusted' until it is (policy.untrusted_clock)"
            );
        } else {
            tracing::info!("the clock is trusted again");
        }
        said.clock_doubt = doubt;
        true
    }

    fn info(&self) -> Info {
        let camera = self.shared.camera();
        let enrolled = *self.enrolled.lock().unwrap_or_else(PoisonError::into_inner);
        let info = health::info(&self.config.door.id, self.boot, &self.models, &camera, enrolled);
        let watched = self.shared.page.as_ref().is_some_and(|page| page.viewers() > 0);
        Info { grant_key: self.shared.desk.signing().key, watched, ..info }
    }

    /// What a score has to reach.
    fn threshold(&self) -> f32 {
        self.enrolled.lock().unwrap_or_else(PoisonError::into_inner).threshold
    }

    fn health(&self, now: Monotonic, said: &Published) -> Health {
        let per_s = said.rate.per_s(now, self.shared.meter.processed());
        health::health(self.shared, now.since(self.started), per_s)
    }

    fn send(&self, outgoing: Outgoing) {
        // Full: the session is behind by a whole channel; what is of the moment is not worth a wait.
        drop(self.outgoing.try_send(outgoing));
    }

    fn note_connected(&mut self, connected: bool) {
        self.status.connected = Some(connected);
        if let Some(page) = &self.shared.page {
            page.broker(connected);
        }
        notify(&[NotifyState::Status(&self.status.text())]);
    }

    /// Does what an event of the session asks for.
    fn on_event(&mut self, event: SessionEvent, said: &Published) {
        match event {
            SessionEvent::Connected => self.note_connected(true),
            SessionEvent::Disconnected { .. } => self.note_connected(false),
            SessionEvent::HealthWanted { reply } => {
                let health = self.health(self.shared.clock.now(), said);
                let answer = Answered::Health(Box::new(health));
                self.send(Outgoing::Answer { reply, answer });
            }
            SessionEvent::NotAllowed { topic, what } => tracing::error!(
                topic,
                what,
                "the broker refuses a topic; see deploy/mosquitto-acl.example"
            ),
            SessionEvent::Contested(contest) => self.contested(contest),
            // Where nobody is to be told, nothing is missed.
            SessionEvent::NotAnnounced { .. } if !self.config.mqtt.enabled => {}
            SessionEvent::NotAnnounced { seq } => {
                tracing::warn!(
                    seq,
                    "a decision could not be announced in time; it is in the audit"
                );
            }
        }
    }

    /// Grants nothing while another client speaks as this door, and has that recorded.
    fn contested(&mut self, contest: Contest) {
        let now = self.shared.clock.now();
        if !self.shared.meter.is_contested(now) {
            tracing::error!(
                door = %self.config.door.id,
                by = ?contest.by,
                "another client speaks to the broker as this door: nothing is granted until that has ceased for a minute; every door needs an id of its own: check 'door.id' on all boards, and that no old board still runs"
            );
        }
        self.shared.meter.contest(contest.until);
        if contest.record {
            self.owed.records.push_back(Administrative::DoorContested { by: contest.by });
            self.settle();
        }
    }

    /// Ends in order: source, recogniser, database, broker; never longer than [`FAREWELL`]. Gives
    /// the name of a thread that has panicked, if one has.
    async fn farewell(
        mut self,
        workers: Workers,
        session: tokio::task::JoinHandle<()>,
        events: &mut mpsc::Receiver<SessionEvent>,
        said: &Published,
    ) -> Result<(), DaemonError> {
        let deadline = tokio::time::sleep(FAREWELL);
        tokio::pin!(deadline);
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(page) = &self.page {
            page.stop();
        }
        self.shared.slot.close();
        let mut poll = tokio::time::interval(Duration::from_millis(20));
        // The broker's acknowledgements are still worth having while the others finish.
        let mut settle = SETTLE_TURNS;
        let mut last_record = Some(Task::Administrative(Administrative::Stopped));
        loop {
            tokio::select! {
                () = &mut deadline => break,
                Some(event) = events.recv() => self.on_event(event, said),
                _ = poll.tick() => {
                    if workers.capture.is_finished() && workers.door.is_finished() {
                        if let Some(task) = last_record.take() {
                            drop(self.desk.try_send(Order::Do(task)));
                        }
                        settle = settle.saturating_sub(1);
                        if settle == 0 {
                            break;
                        }
                    }
                }
            }
        }
        // The last word on how it was: a recording that is over would otherwise end unaccounted for.
        self.send(Outgoing::Health(self.health(self.shared.clock.now(), said)));
        // Not waited for: a database that hangs must not make the end hang too.
        if let Some(task) = last_record {
            drop(self.desk.try_send(Order::Do(task)));
        }
        drop(self.desk.try_send(Order::Stop));
        let goodbye = async {
            while !workers.desk.is_finished() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // Last, so that what the database still says reaches somebody.
            self.send(Outgoing::Stop);
            session.await.is_err().then_some(SESSION)
        };
        let session = tokio::time::timeout(Duration::from_millis(400), goodbye).await;
        if session.is_err() {
            tracing::warn!(
                "the end was not as tidy as it should be: the broker or the database is slow"
            );
        }
        let died = session.ok().flatten();
        let session = died.map_or(Ok(()), |thread| Err(DaemonError::ThreadDied { thread }));
        workers.joined().and(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(work: fn()) -> JoinHandle<()> {
        let handle = std::thread::spawn(work);
        while !handle.is_finished() {
            std::thread::yield_now();
        }
        handle
    }

    #[test]
    fn a_thread_that_panicked_is_no_end_in_order() {
        let well = || ended(|| ());
        let workers = Workers { capture: well(), door: well(), desk: well() };
        assert!(workers.joined().is_ok());
        let broken = || ended(|| panic!("as an engine might"));
        let workers = Workers { capture: well(), door: broken(), desk: well() };
        let error = workers.joined().unwrap_err();
        assert!(matches!(error, DaemonError::ThreadDied { thread: "door" }), "{error}");
    }
}
