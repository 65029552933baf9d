//! The daemon: a source, three threads, a broker session, and a watchdog that is fed only while
//! every thread makes progress.
//!
//! ```text
//! capture ─slot→ door ─decided→ desk ─outgoing→ broker session (this thread, tokio)
//!                  ↑ enrolments ───┘ ←acknowledged, outbox wanted────┘
//! ```
//!
//! Where there is a page ([`crate::serve`]), door, desk and this thread hand it what happens; none of them
//! waits for it.
//!
//! In: a [`Config`], a [`Stop`], and a [`Control`] by which the configuration is read again. Out: a
//! [`Summary`] when it was told to stop, when a recording is over, or an error with its remedy. It starts and decides without camera, broker and network;
//! without database, library or models it does not start.
//!
//! Invariants: a decision is durable before it is announced (`desk`); frames never queue
//! (`slot`); one hung thread is a restart (`watchdog`). Deliberately absent: any way to store a
//! picture, and any command that opens a door; who is shown one is the page's (`serve`).

mod armed;
mod bearing;
pub mod board;
mod capture_thread;
mod decoding;
pub mod desk;
mod desk_thread;
mod door_thread;
mod doubts;
mod ended;
mod enrolments;
mod front;
mod health;
mod indexes;
pub mod local;
pub mod meter;
pub mod neighbour;
mod published;
mod pulse;
mod rate;
mod recall;
mod reload;
mod requests;
mod service;
mod shared;
mod signals;
pub mod signer;
mod slot;
mod unreadable;
mod watchdog;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

use crate::capture::strobe::StrobeWatch;
use crate::capture::{self, CaptureError};
use crate::clock::{Clock, ManualClock, Monotonic, SystemClock};
use crate::config::{Config, ConfigError};
use crate::detect::StillFaces;
use crate::door::Door;
use crate::enrol;
use crate::equip::{EquipError, Networks};
use crate::inference::{ModelCard, ModelKind, ProcedureHash};
use crate::liveness::Mode;
use crate::recognise::Galleries;
use crate::remedy::Remedied;
use crate::serve::visits::AskDesk;
use crate::serve::{Page, ServeError};
use crate::store::{self, Administrative, Store};
use bearing::Bearing;
use desk::{Desk, Drafter, Task};
use desk_thread::{DeskThread, Order};
use door_thread::DoorThread;
use doubts::Doubts;
use enrolments::{Enrolled, Enrolments, GalleriesMaker, Handover, Loaded};
use front::{Front, Listening, Owed, Workers};
use indexes::Indexes;
use meter::Meter;
use neighbour::Neighbour;
use pulse::Thread;
pub use reload::Control;
use service::Status;
use shared::Shared;
use signer::Signer;
use slot::Pressure;

/// Decisions that may wait for the database, messages that may wait for the session.
const CHANNEL_LENGTH: usize = 64;

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
    /// The page has no thread.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The operating system refused a thread, a signal or the event loop.
    #[error("the system refused {what} ({error}); {advice}", advice = self.advice())]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        error: std::io::Error,
    },
    /// A thread ended without being asked to.
    #[error("thread '{thread}' has died; {advice}", advice = self.advice())]
    ThreadDied {
        /// Which.
        thread: &'static str,
    },
}

impl Remedied for DaemonError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Config(inner) => return inner.remedy(),
            Self::Equip(inner) => return inner.remedy(),
            Self::Store(inner) => return inner.remedy(),
            Self::Capture(inner) => return inner.remedy(),
            Self::Serve(inner) => return inner.remedy(),
            Self::System { .. } => {
                "check the limits of the service ('systemctl show deepid-edge')".into()
            }
            Self::ThreadDied { .. } => {
                "restart the service and report this with the log ('journalctl -u deepid-edge')"
                    .into()
            }
        })
    }
}

/// Runs until `stop` is requested, a signal says so, or a recording that does not repeat is over.
/// `SIGHUP` reads the configuration again by `control`.
///
/// # Errors
/// [`DaemonError`] when it cannot start, when one of its threads dies, or when a recording cannot be read
/// on.
pub fn run(config: &Config, stop: &Stop, control: &Control<'_>) -> Result<Summary, DaemonError> {
    let listening = Listening::begin()?;
    let store = Store::open_checked(&config.store.path, config.store_settings())?;
    let clock = Arc::new(SystemClock::new(config.clock.require, store.clock_floor()?));
    let started = clock.now();
    let networks = Arc::new(Networks::open(config)?);
    let (neighbour, ruling) = Neighbour::of_or_none(config);
    let indexes = Indexes::default();
    let Loaded { galleries, rules, version } = Loaded::read(&ruling, &store, |config, store| {
        read_galleries(config, &networks, store, &indexes)
    })?;
    let models = models(config, &networks, &galleries)?;
    let enrolled = Enrolled::of(&galleries, &rules, &store);
    warn_of_doubts(config, &galleries, enrolled);
    let mut recogniser = networks.recogniser(config, galleries)?;
    recogniser.set_zones(&config.zones());
    let recogniser = recogniser.recalling(config.tuning().recall);
    let replay_clock =
        config.replays_unpaced().then(|| Arc::new(ManualClock::new(started, clock.wall().unix_ms)));
    let source = capture::open(config.source_settings(started).supervised(), clock.clone())?;

    let boot = Uuid::new_v4();
    let mut desk = open_desk(config, store, boot, started, &clock)?
        .recalling(config, drafter(Arc::clone(&networks)));
    desk.follow(neighbour);
    let (orders, orders_received) = sync_channel(CHANNEL_LENGTH);
    let to_desk = desk_of(orders.clone());
    let page = Page::start(config, Arc::clone(&clock), boot, control.doctor, to_desk)?;
    let pressure = if replay_clock.is_some() { Pressure::Wait } else { Pressure::Overwrite };
    let feed = page.as_ref().map(Page::feed);
    let shared = Arc::new(Shared::new(&*source, pressure, started, &clock, feed));
    shared.desk.set_condition(desk.condition());
    shared.desk.set_signing(desk.signing());
    let enrolled = Arc::new(Mutex::new(enrolled));
    let handover = Arc::new(Handover::default());
    let (outgoing, outgoing_received) = mpsc::channel(CHANNEL_LENGTH);

    let mut door = Door::new(recogniser, config.visit_policy());
    door.rule(rules, clock.wall().unix_ms);
    let door_thread = DoorThread {
        door,
        strobe: StrobeWatch::default(),
        still: StillFaces::default(),
        replay_clock: replay_clock.clone(),
        enrolments: Arc::clone(&handover),
        desk: orders.clone(),
        outgoing: outgoing.clone(),
        absence: config.visit_policy().absence,
        view: config.camera_view(),
        bearing: Bearing::default(),
        guided: None,
        locked: false,
        awaited: None,
    };
    let make = galleries_maker(networks, indexes.clone());
    let desk_thread = DeskThread {
        desk,
        enrolments: Enrolments::new(make, ruling, version, handover, Arc::clone(&enrolled)),
        indexes,
        orders: orders_received,
        outgoing: outgoing.clone(),
    };
    let workers = Workers {
        capture: spawn(Thread::Capture, &shared, move |shared| {
            capture_thread::run(shared, source);
        })?,
        door: spawn(Thread::Door, &shared, move |shared| {
            door_thread::run(shared, door_thread);
        })?,
        desk: spawn(Thread::Desk, &shared, move |shared| {
            desk_thread::run(shared, desk_thread);
        })?,
    };
    let _socket = local::listen(&config.store.path, orders.clone(), Arc::clone(&clock));
    let watched = Arc::clone(&shared);
    // Not joined: it ends within a turn of the others, or with the process.
    named("watchdog", move || watchdog::keep(&watched))?;
    let started_wall = clock.wall();
    let front = Front {
        config: config.clone(),
        control,
        shared: &shared,
        page,
        models,
        enrolled,
        boot,
        started,
        started_wall,
        desk: orders,
        outgoing,
        owed: Owed::default(),
        status: Status::default(),
        doubts: Doubts::default(),
    };
    let ended = front.run(listening, stop, workers, outgoing_received);
    let summary = Summary {
        meter: Arc::clone(&shared.meter),
        uptime: clock.now().since(started),
        overwritten: shared.slot.overwritten(),
        rss_bytes: board::resident_bytes(),
    };
    ended?;
    // A recording that could not be read to its end is a failure, whatever was decided until then.
    shared.lost().map_or(Ok(summary), |error| Err(error.into()))
}

/// The desk of the run `boot`, whose start is recorded with the key that signs its grants.
fn open_desk(
    config: &Config,
    mut store: Store,
    boot: Uuid,
    started: Monotonic,
    clock: &SystemClock,
) -> Result<Desk, DaemonError> {
    let signer = Signer::new(config.sign_settings(), &mut store, clock.wall());
    let start = Administrative::Started {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        recording: config.camera.replay.path.is_some(),
        grant_key: signer.status().key.clone(),
    };
    let mut desk = Desk::new(store, config.door.id.clone(), boot).with_signer(signer);
    desk.watch_strangers(config.strangers_policy());
    desk.tell_names(config.mqtt.names);
    desk.go_by(config);
    desk.begin(start, started, clock.wall())?;
    Ok(desk)
}

/// By which the page asks the desk.
fn desk_of(orders: SyncSender<Order>) -> AskDesk {
    Box::new(move |asked| orders.try_send(Order::Do(Task::Visits(asked))).is_ok())
}

/// Drafts enrolments of strangers who were just there.
fn drafter(networks: Arc<Networks>) -> Drafter {
    Box::new(move |config, store, whom, faces| enrol::recall(whom, faces, config, &networks, store))
}

/// Makes the galleries anew while the daemon runs, and says what they cannot claim.
fn galleries_maker(networks: Arc<Networks>, indexes: Indexes) -> GalleriesMaker {
    Box::new(move |config: &Config, store: &Store| {
        let galleries = read_galleries(config, &networks, store, &indexes)?;
        warn_of_claim(config, &galleries);
        Ok(galleries)
    })
}

fn read_galleries(
    config: &Config,
    networks: &Networks,
    store: &Store,
    indexes: &Indexes,
) -> Result<Galleries, DaemonError> {
    let Galleries { gallery, confirming } =
        networks.galleries(config, |key| store.references(key).map_err(DaemonError::from))?;
    Ok(Galleries { gallery: indexes.index(config, store, gallery), confirming })
}

/// A network that runs.
#[derive(Debug)]
struct Model {
    card: Arc<ModelCard>,
    /// How it makes vectors, where it is an embedder.
    procedure: Option<ProcedureHash>,
}

/// The networks that run; those that place keypoints come last.
fn models(
    config: &Config,
    networks: &Networks,
    galleries: &Galleries,
) -> Result<Vec<Model>, EquipError> {
    let named = [&config.models.find, &config.models.follow, &config.models.embedder];
    let mut cards: Vec<Arc<ModelCard>> = named
        .into_iter()
        .chain(galleries.confirming_model())
        .map(|id| networks.card(id))
        .collect::<Result<_, _>>()?;
    if config.live.mode != Mode::Off {
        cards.extend(networks.cards().liveness(config)?.all().cloned());
    }
    cards.extend(networks.cards().quality(config)?);
    let landmarkers = cards.iter().map(|card| networks.cards().landmarker_of(card));
    let landmarkers = landmarkers.collect::<Result<Vec<_>, _>>()?;
    for card in landmarkers.into_iter().flatten() {
        if cards.iter().all(|known| known.id != card.id) {
            cards.push(card);
        }
    }
    let of = |card: Arc<ModelCard>| -> Result<Model, EquipError> {
        let embeds = card.kind == ModelKind::Embedder;
        let key = embeds.then(|| networks.cards().key(config, &card.id)).transpose()?;
        Ok(Model { procedure: key.map(|key| key.procedure), card })
    };
    cards.into_iter().map(of).collect()
}

/// Says what the gallery that decides cannot claim: at the start, and of every gallery after it.
fn warn_of_claim(config: &Config, galleries: &Galleries) {
    let deciding = galleries.deciding();
    let operating = deciding.operating();
    if operating.beyond_accepted && deciding.references() > 0 {
        let (what, remedy) =
            operating.beyond_words(config.recognise.accept_fpir, config.deciding_tries());
        tracing::error!(references = deciding.references(), "{what}; {remedy}");
        return;
    }
    if operating.falls_short {
        tracing::warn!(
            target_fpir = config.recognise.target_fpir,
            claimed_fpir = operating.claimed_fpir,
            "the calibration does not support recognise.target_fpir for this gallery; the strictest supported threshold is in force"
        );
    }
    if let Some((what, remedy)) = config.face_alone(operating.claimed_fpir).words() {
        tracing::warn!("{what}; {remedy}");
    }
}

fn warn_of_doubts(config: &Config, galleries: &Galleries, enrolled: Enrolled) {
    warn_of_claim(config, galleries);
    if galleries.deciding().operating().other_averaging {
        tracing::warn!(
            mirrored = config.recognise.mirrored,
            "the model's calibration was measured with the other setting of recognise.mirrored; what is claimed may be too good"
        );
    }
    if enrolled.of_unknown_file > 0 {
        tracing::warn!(
            references = enrolled.of_unknown_file,
            unreachable = enrolled.unreachable,
            "references of an unknown model file are never compared; vouch for them with 'deepid-edge subjects adopt --model MODEL', or enroll those people again; 'deepid-edge subjects list' says whom it concerns"
        );
    }
    let others = enrolled.never_compared.saturating_sub(enrolled.of_unknown_file);
    if others > 0 {
        tracing::warn!(
            references = others,
            unreachable = enrolled.unreachable,
            "references of another model, or of another file or averaging of this one, are never compared; enroll those people again"
        );
    }
    if galleries.unconfirmable() > 0 {
        tracing::warn!(
            subjects = galleries.unconfirmable(),
            "people without a reference of the confirming model can never be granted; enroll them again with 'deepid-edge enroll NAME --replace', or leave models.confirm unset until then"
        );
    }
    if enrolled.subjects == 0 {
        tracing::warn!("nobody is enrolled; 'deepid-edge enroll NAME --image FILE' does it");
    }
}

fn spawn(
    thread: Thread,
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) + Send + 'static,
) -> Result<JoinHandle<()>, DaemonError> {
    let shared = Arc::clone(shared);
    named(thread.name(), move || work(&shared))
}

fn named(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, DaemonError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| DaemonError::System { what: "a thread", error })
}
