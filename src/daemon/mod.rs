//! The daemon: a source, three threads, a broker session, and a watchdog that is fed only while
//! every thread makes progress.
//!
//! ```text
//! capture ─slot→ recognise ─decisions→ record ─outgoing→ broker session (this thread, tokio)
//!                    ↑ gallery ────────────┘ ←acknowledged, outbox wanted────┘
//! ```
//!
//! In: a [`Config`] and a [`Stop`]. Out: a [`Summary`] when it was told to stop, when a recording is
//! over, or an error with its remedy. It starts and decides without camera, broker and network;
//! without database, library or models it does not start.
//!
//! Invariants: a decision is durable before it is announced (`threads`); frames never queue
//! (`slot`); one hung thread is a restart (`pulse`). Deliberately absent: any way to store or show a
//! picture, and any command that opens a door.

pub mod board;
mod health;
pub mod meter;
mod pulse;
mod slot;
mod source;
mod threads;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::capture::CaptureError;
use crate::clock::{Clock, ClockTrust, ManualClock, Monotonic, SystemClock, WallClock};
use crate::config::{Config, ConfigError, EquipError, Networks};
use crate::decide::Visit;
use crate::inference::ModelCard;
use crate::publish::{Outgoing, Session, SessionEvent};
use crate::store::{self, Administrative, Store};
use meter::Meter;
use pulse::{Pulse, Thread};
use slot::{Pressure, Slot};
use threads::{Camera, Enrolled, Recognise, Record, Shared, Task};

/// Decisions that may wait for the database, messages that may wait for the session.
const CHANNEL_LENGTH: usize = 64;
/// How often the main loop looks at the threads and feeds the watchdog.
const TURN: Duration = Duration::from_millis(250);
/// How often the watchdog is fed; the unit's `WatchdogSec` is many times that.
const FEED_EVERY: Duration = Duration::from_secs(2);
/// How often `health` is said.
const HEALTH_EVERY: Duration = Duration::from_secs(30);
/// How often presence is said again while somebody is there: consumers forget it after 10 s.
const PRESENCE_EVERY: Duration = Duration::from_secs(4);
/// How long the end may take: threads finishing their turn, the last messages going out.
const FAREWELL: Duration = Duration::from_secs(2);

/// Asks a running daemon to end; clones share the request.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a run of the daemon was.
#[derive(Debug)]
pub struct Summary {
    /// Counts and latencies.
    pub meter: Arc<Meter>,
    /// How long it ran.
    pub uptime: Duration,
    /// Frames overwritten in the slot.
    pub overwritten: u64,
    /// Resident memory at the end, in bytes.
    pub rss_bytes: u64,
}

/// Why the daemon does not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration names something that is not there.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Library, models or threshold.
    #[error(transparent)]
    Equip(#[from] EquipError),
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The recording.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The operating system refused a thread, a signal or the event loop.
    #[error(
        "the system refused {what} ({error}); check the limits of the service ('systemctl show deepid-edge')"
    )]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        error: std::io::Error,
    },
    /// A thread ended without being asked to.
    #[error(
        "thread '{thread}' has died; restart the service and report this with the log ('journalctl -u deepid-edge')"
    )]
    ThreadDied {
        /// Which.
        thread: &'static str,
    },
}

/// Runs until `stop` is requested, a signal comes, or a recording that does not repeat is over.
///
/// # Errors
/// [`DaemonError`] when it cannot start, or when one of its threads dies.
pub fn run(config: &Config, stop: &Stop) -> Result<Summary, DaemonError> {
    let mut store = Store::open(&config.store.path, config.store_settings())?;
    let floor = store.newest_record_time()?.unwrap_or(i64::MIN);
    let clock = Arc::new(SystemClock::new(config.clock.require, floor));
    let started = clock.now();
    let networks = Networks::open(config)?;
    let cards = cards(config, &networks)?;
    let gallery = networks.gallery(config, store.references(&config.models.embedder)?)?;
    let enrolled = Enrolled {
        subjects: gallery.subjects() as u64,
        references: gallery.references() as u64,
        other_models: threads::other_references(&store, &config.models.embedder),
    };
    warn_of_doubts(config, &gallery, enrolled, clock.wall());
    let recognizer = networks.recognizer(config, gallery)?;
    let replay_clock = source::replays_unpaced(config)
        .then(|| Arc::new(ManualClock::new(started, clock.wall().unix_ms)));
    let source = source::open(config, &clock, started)?;

    let boot = Uuid::new_v4();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    store.record_admin(
        Administrative::Started { version },
        &config.door.id,
        boot,
        started,
        clock.wall(),
    )?;
    let pressure = if replay_clock.is_some() { Pressure::Wait } else { Pressure::Overwrite };
    let shared = Arc::new(Shared {
        stop: AtomicBool::new(false),
        slot: Slot::new(pressure),
        pulse: Pulse::new(started),
        meter: Arc::new(Meter::default()),
        camera: Mutex::new(Camera {
            description: source.description().clone(),
            status: source.status().cloned(),
        }),
        clock: Arc::clone(&clock),
    });
    let enrolled = Arc::new(Mutex::new(enrolled));
    let (tasks, tasks_received) = sync_channel(CHANNEL_LENGTH);
    let (galleries, galleries_received) = sync_channel(4);
    let (outgoing, outgoing_received) = mpsc::channel(CHANNEL_LENGTH);

    let recognise = Recognise {
        recognizer,
        visit: Visit::new(config.visit_policy()),
        replay_clock: replay_clock.clone(),
        galleries: galleries_received,
        decisions: tasks.clone(),
        outgoing: outgoing.clone(),
        absence: config.visit_policy().absence,
    };
    let maker_config = config.clone();
    let record = Record {
        store,
        door: config.door.id.clone(),
        boot,
        embedder: config.models.embedder.clone(),
        tasks: tasks_received,
        outgoing: outgoing.clone(),
        galleries,
        make_gallery: Box::new(move |references| {
            networks
                .gallery(&maker_config, references)
                .map_err(|error| tracing::error!(%error, "enrolments cannot be compared"))
                .ok()
        }),
        enrolled: Arc::clone(&enrolled),
    };
    let workers = Workers {
        capture: spawn(Thread::Capture, &shared, move |shared| threads::capture(shared, source))?,
        recognise: spawn(Thread::Recognise, &shared, move |shared| {
            threads::recognise(shared, recognise);
        })?,
        record: spawn(Thread::Record, &shared, move |shared| threads::record(shared, record))?,
    };
    let started_wall = clock.wall();
    let front = Front {
        config,
        shared: &shared,
        cards,
        enrolled,
        boot,
        started,
        started_wall,
        tasks,
        outgoing,
    };
    let ended = front.run(stop, workers, outgoing_received);
    let summary = Summary {
        meter: Arc::clone(&shared.meter),
        uptime: clock.now().since(started),
        overwritten: shared.slot.overwritten(),
        rss_bytes: board::resident_bytes(),
    };
    ended.map(|()| summary)
}

fn cards(config: &Config, networks: &Networks) -> Result<Vec<ModelCard>, EquipError> {
    let models = &config.models;
    [&models.find, &models.follow, &models.embedder]
        .into_iter()
        .map(|id| networks.card(id))
        .collect()
}

fn warn_of_doubts(
    config: &Config,
    gallery: &crate::compare::Gallery,
    enrolled: Enrolled,
    wall: WallClock,
) {
    if wall.trust == ClockTrust::Untrusted {
        tracing::warn!(
            require = ?config.clock.require,
            "the wall clock is not trusted; every decision is denied with 'clock_untrusted' until it is; 'deepid-edge doctor' says more"
        );
    }
    let operating = gallery.operating();
    if operating.falls_short {
        tracing::warn!(
            target_fpir = config.recognise.target_fpir,
            claimed_fpir = operating.claimed_fpir,
            "the calibration does not support recognise.target_fpir for this gallery; the strictest supported threshold is in force"
        );
    }
    if operating.other_averaging {
        tracing::warn!(
            mirrored = config.recognise.mirrored,
            "the model's calibration was measured with the other setting of recognise.mirrored; what is claimed may be too good"
        );
    }
    if enrolled.other_models > 0 {
        tracing::warn!(
            references = enrolled.other_models,
            "references of another model are never compared; enroll those people again"
        );
    }
    if enrolled.subjects == 0 {
        tracing::warn!("nobody is enrolled; 'deepid-edge enroll NAME --image FILE' does it");
    }
}

struct Workers {
    capture: JoinHandle<()>,
    recognise: JoinHandle<()>,
    record: JoinHandle<()>,
}

fn spawn(
    thread: Thread,
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) + Send + 'static,
) -> Result<JoinHandle<()>, DaemonError> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name(thread.name().to_owned())
        .spawn(move || work(&shared))
        .map_err(|error| DaemonError::System { what: "a thread", error })
}

/// The main thread: session, signals, watchdog, health.
struct Front<'a> {
    config: &'a Config,
    shared: &'a Arc<Shared>,
    cards: Vec<ModelCard>,
    enrolled: Arc<Mutex<Enrolled>>,
    boot: Uuid,
    started: Monotonic,
    started_wall: WallClock,
    tasks: SyncSender<Task>,
    outgoing: mpsc::Sender<Outgoing>,
}

/// What the main loop remembers from turn to turn.
#[derive(Default)]
struct Said {
    fed_at: Option<Monotonic>,
    health_at: Option<Monotonic>,
    processed: u64,
    info: Option<crate::publish::Info>,
    camera: Option<(Option<crate::capture::CameraState>, bool)>,
    presence_at: Option<Monotonic>,
    database: Option<crate::publish::message::DatabaseState>,
}

impl Front<'_> {
    fn run(
        self,
        stop: &Stop,
        workers: Workers,
        outgoing_received: mpsc::Receiver<Outgoing>,
    ) -> Result<(), DaemonError> {
        let system = |what| move |error| DaemonError::System { what, error };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(system("an event loop"))?;
        runtime.block_on(async move {
            let (events, mut events_received) = mpsc::channel(CHANNEL_LENGTH);
            let session = self.config.session_settings().map(|settings| {
                let clock = Arc::clone(&self.shared.clock) as Arc<dyn Clock>;
                Session::new(settings, self.info(), clock)
            });
            let session = tokio::spawn(async move {
                match session {
                    Some(session) => session.run(outgoing_received, events).await,
                    None => drain(outgoing_received).await,
                }
            });
            let mut terminate =
                signal(SignalKind::terminate()).map_err(system("a signal handler"))?;
            let mut interrupt =
                signal(SignalKind::interrupt()).map_err(system("a signal handler"))?;
            notify(&[NotifyState::Ready, NotifyState::Status("deciding")]);
            tracing::info!(door = %self.config.door.id, boot = %self.boot, "ready");
            let mut said = Said::default();
            let mut turn = tokio::time::interval(TURN);
            turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let outcome = loop {
                tokio::select! {
                    _ = turn.tick() => {
                        if let Some(outcome) = self.turn(stop, &workers, &mut said) {
                            break outcome;
                        }
                    }
                    Some(event) = events_received.recv() => self.hear(event),
                    _ = terminate.recv() => break Ok(()),
                    _ = interrupt.recv() => break Ok(()),
                }
            };
            notify(&[NotifyState::Stopping]);
            self.farewell(workers, session, &mut events_received).await;
            outcome
        })
    }

    /// One turn of the main loop; an outcome when the daemon shall end.
    fn turn(
        &self,
        stop: &Stop,
        workers: &Workers,
        said: &mut Said,
    ) -> Option<Result<(), DaemonError>> {
        let died = [
            (Thread::Capture, &workers.capture),
            (Thread::Recognise, &workers.recognise),
            (Thread::Record, &workers.record),
        ]
        .into_iter()
        .find(|(_, handle)| handle.is_finished());
        match died {
            // The recogniser ends by itself when a recording is over.
            Some((Thread::Recognise, _)) if self.config.camera.replay.path.is_some() => {
                return Some(Ok(()));
            }
            Some((thread, _)) => {
                return Some(Err(DaemonError::ThreadDied { thread: thread.name() }));
            }
            None => {}
        }
        if stop.requested() {
            return Some(Ok(()));
        }
        let now = self.shared.clock.now();
        match self.shared.pulse.hung(now) {
            None if said.fed_at.is_none_or(|at| now.since(at) >= FEED_EVERY) => {
                said.fed_at = Some(now);
                notify(&[NotifyState::Watchdog]);
            }
            None => {}
            Some(thread) => {
                tracing::error!(thread = thread.name(), "a thread hangs; the watchdog is not fed");
            }
        }
        self.say(now, said);
        None
    }

    /// Says what has changed, and what is due again.
    fn say(&self, now: Monotonic, said: &mut Said) {
        let camera = self.shared.camera.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let state = (camera.status.as_ref().map(|status| status.state), camera.status.is_some());
        let mut changed = false;
        if said.camera != Some(state) {
            said.camera = Some(state);
            changed = true;
            if let Some(status) = &camera.status {
                tracing::info!(state = status.state.name(), detail = %status.detail, "camera");
            }
            self.send(Outgoing::Camera(health::camera(
                &camera,
                &*self.shared.clock,
                self.started_wall,
            )));
        }
        let info = self.info();
        if said.info.as_ref() != Some(&info) {
            self.send(Outgoing::Info(info.clone()));
            said.info = Some(info);
        }
        let database = Some(self.shared.meter.database());
        changed |= said.database != database;
        said.database = database;
        if changed || said.health_at.is_none_or(|at| now.since(at) >= HEALTH_EVERY) {
            let health = self.health(now, said);
            self.send(Outgoing::Health(health));
            said.health_at = Some(now);
            said.processed = self.shared.meter.processed();
        }
        if said.presence_at.is_none_or(|at| now.since(at) >= PRESENCE_EVERY) {
            said.presence_at = Some(now);
            if let Some(faces) = self.shared.meter.present() {
                self.send(Outgoing::Presence(crate::publish::Presence::new(true, faces.get())));
            }
        }
    }

    fn info(&self) -> crate::publish::Info {
        let camera = self.shared.camera.lock().unwrap_or_else(PoisonError::into_inner);
        let enrolled = *self.enrolled.lock().unwrap_or_else(PoisonError::into_inner);
        health::info(&self.config.door.id, self.boot, &self.cards, &camera, enrolled)
    }

    fn health(&self, now: Monotonic, said: &Said) -> crate::publish::Health {
        let since = now.since(said.health_at.unwrap_or(self.started)).as_secs_f32();
        let frames = self.shared.meter.processed().saturating_sub(said.processed) as f32;
        let per_s = if since > 0.0 { frames / since } else { 0.0 };
        let overwritten = self.shared.slot.overwritten();
        let uptime = now.since(self.started);
        health::health(&self.shared.meter, &*self.shared.clock, uptime, overwritten, per_s)
    }

    fn send(&self, outgoing: Outgoing) {
        // Full: the session is behind by a whole channel; what is of the moment is not worth a wait.
        drop(self.outgoing.try_send(outgoing));
    }

    /// Passes on what the session says.
    fn hear(&self, event: SessionEvent) {
        let task = match event {
            SessionEvent::Connected => {
                notify(&[NotifyState::Status("deciding, connected")]);
                return;
            }
            SessionEvent::Disconnected { .. } => {
                notify(&[NotifyState::Status("deciding, no connection to the broker")]);
                return;
            }
            SessionEvent::OutboxWanted { after, limit } => Task::Outbox { after, limit },
            SessionEvent::Acknowledged { seq } => Task::Acknowledged { seq },
            SessionEvent::Requested { request, verdict, count } => {
                Task::Administrative(Administrative::Requested { request, verdict, count })
            }
            SessionEvent::HealthWanted { reply } => {
                let health = self.health(self.shared.clock.now(), &Said::default());
                self.send(Outgoing::Answer { reply, health });
                return;
            }
            SessionEvent::NotAllowed { topic, what } => {
                tracing::error!(
                    topic,
                    what,
                    "the broker refuses a topic; see deploy/mosquitto-acl.example"
                );
                return;
            }
            SessionEvent::NotAnnounced { seq } => {
                tracing::warn!(
                    seq,
                    "a decision could not be announced in time; it is in the audit"
                );
                return;
            }
        };
        // Full: the session asks again after the next connection.
        drop(self.tasks.try_send(task));
    }

    /// Ends in order: source, recogniser, database, broker; never longer than [`FAREWELL`].
    async fn farewell(
        self,
        workers: Workers,
        session: tokio::task::JoinHandle<()>,
        events: &mut mpsc::Receiver<SessionEvent>,
    ) {
        let deadline = tokio::time::sleep(FAREWELL);
        tokio::pin!(deadline);
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.slot.close();
        let mut poll = tokio::time::interval(Duration::from_millis(20));
        // The broker's acknowledgements are still worth having while the others finish.
        let mut settle = NonZeroU32::new(15).map_or(0, NonZeroU32::get);
        loop {
            tokio::select! {
                () = &mut deadline => break,
                Some(event) = events.recv() => self.hear(event),
                _ = poll.tick() => {
                    if workers.capture.is_finished() && workers.recognise.is_finished() {
                        settle = settle.saturating_sub(1);
                        if settle == 0 {
                            break;
                        }
                    }
                }
            }
        }
        // The last word on how it was: a recording that is over would otherwise end unaccounted for.
        self.send(Outgoing::Health(self.health(self.shared.clock.now(), &Said::default())));
        drop(self.tasks.send(Task::Administrative(Administrative::Stopped)));
        drop(self.tasks.send(Task::Stop));
        self.send(Outgoing::Stop);
        let goodbye = async {
            drop(session.await);
            while !workers.record.is_finished() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(Duration::from_millis(400), goodbye).await.is_err() {
            tracing::warn!(
                "the end was not as tidy as it should be: the broker or the database is slow"
            );
        }
    }
}

/// Without a broker, everything that would be said is dropped.
async fn drain(mut outgoing: mpsc::Receiver<Outgoing>) {
    while let Some(item) = outgoing.recv().await {
        if item == Outgoing::Stop {
            return;
        }
    }
}

/// Tells systemd; a machine without it is not worth a word.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not notified");
    }
}
