//! The broker session: one task that keeps a connection, and never lets anything old out.
//!
//! [`Outgoing`] in; [`SessionEvent`]s to the daemon and [`DeskRequest`]s to the desk out, all over
//! bounded channels. `access` is sent now or never; `audit` is pulled from the outbox in the order of
//! `seq`: the session asks with [`DeskRequest::Outbox`], the desk answers with [`Outgoing::Audit`],
//! and each acknowledgement goes to it as [`DeskRequest::Acknowledged`].
//!
//! Invariants: rumqttc keeps what was not acknowledged and sends it again after reconnecting, which
//! would let an old `access` out; therefore client, event loop and socket are dropped with every
//! lost connection, and each new one starts clean. Nothing is handed over while the broker has
//! been silent for longer than an `access` lives. The daemon's channel is drained also while there
//! is no connection. Deliberately absent: SQLite. Source: OASIS MQTT 5.0, 4.4 (delivery retry).

mod asking;
mod connection;
mod heard;
mod in_flight;
mod live;
mod options;
mod to_desk;
mod window;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

pub use asking::{AskError, ask};
pub use options::{Credentials, HomeAssistantSettings, SessionSettings};
pub use to_desk::{AskDesk, DeskRequest};

use super::alarm::{DuressMessage, StrangersMessage};
use super::armed::Armed;
use super::ask::{Answer, NonceAnswer};
use super::bucket::Bucket;
use super::challenge::Challenges;
use super::message::{Camera, GuidanceMessage, Health, Info, KeySet, Presence};
use super::request::Gate;
use super::topic::{ACCESS_EXPIRY_MS, Topic};
use super::twin::{Contest, TwinWatch};
use super::{BrokerError, discovery};
use crate::backoff::Backoff;
use crate::clock::{Clock, Monotonic};
use crate::sign::SignedGrant;
use crate::store::AuditRecord;
use connection::{Connection, End};
use to_desk::ToDesk;

/// Audit records in flight at once.
pub const AUDIT_WINDOW: usize = 8;
/// A connection that lived this long has proved itself. One that was lost sooner counts as a
/// failure, because two clients with the same id would otherwise push each other out for ever.
const PROVED: Duration = Duration::from_secs(10);
/// Grants of another door that may come at once.
const ELSEWHERE_BURST: u32 = 16;
/// How long Home Assistant has for an announcement before the device is removed.
const TAKEN_IN: Duration = Duration::from_secs(3);

/// What the daemon hands to the session.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// A decision that has just been recorded, to be announced on `access` if that can be done
    /// now. It also says that the outbox has grown.
    Access {
        /// The record.
        record: AuditRecord,
        /// The same for those who trust the door alone, to be announced where `access` was; `None`
        /// for what is no grant, or is not signed.
        grant: Option<SignedGrant>,
        /// The name of who was recognised, where the broker may know it.
        name: Option<String>,
    },
    /// The keys by which grants are signed, on change and once after the start.
    Keys(KeySet),
    /// Whether the door is armed, on change and once after the start.
    Armed(Armed),
    /// So many strangers have come that somebody is told now, if that can be done; it has just been
    /// recorded, so that the outbox has grown, too.
    Strangers(StrangersMessage),
    /// Whoever the last decision is about acted under duress: said right behind it, if that can be done.
    Duress(DuressMessage),
    /// The outbox has grown by a record that is not announced.
    Recorded,
    /// The outbox's next records, in the order of `seq`: the answer to
    /// [`DeskRequest::Outbox`], also when there are none.
    Audit(Vec<AuditRecord>),
    /// Presence changed. While somebody is present it must be said again at least every 5 s,
    /// because consumers take silence for absence.
    Presence(Presence),
    /// What the visitor should do has changed, or still holds: it expires unless it is said again.
    Guidance(GuidanceMessage),
    /// The camera's state changed.
    Camera(Camera),
    /// Health, every 30 s and on change.
    Health(Health),
    /// Who we are, on change; the session has been given the first one.
    Info(Info),
    /// The answer to one client: to [`SessionEvent::HealthWanted`], [`DeskRequest::Nonce`] or
    /// [`DeskRequest::Signed`].
    Answer {
        /// To whom.
        reply: Reply,
        /// What.
        answer: Answered,
    },
    /// Say goodbye, and go on by other settings; `None`: tell nobody until there are some.
    Settings(Option<Box<SessionSettings>>),
    /// Say goodbye and end.
    Stop,
}

/// What a client is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answered {
    /// How the daemon is now.
    Health(Box<Health>),
    /// A nonce for one signed request.
    Nonce(NonceAnswer),
    /// What came of a signed request.
    Request(Box<Answer>),
}

/// What the session tells the daemon.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionEvent {
    /// The broker has accepted us.
    Connected,
    /// There is no connection (any more).
    Disconnected {
        /// Why, with the remedy.
        why: BrokerError,
        /// When it is tried again.
        retry_in_ms: u64,
    },
    /// A client wants health as it is now: send [`Outgoing::Answer`].
    HealthWanted {
        /// To whom.
        reply: Reply,
    },
    /// The broker does not let us publish there.
    NotAllowed {
        /// The topic.
        topic: String,
        /// The code it gave.
        what: String,
    },
    /// A decision could not be announced in time; it is in the audit.
    NotAnnounced {
        /// Its record.
        seq: u64,
    },
    /// Another client speaks as this door: grant nothing until then.
    Contested(Contest),
}

/// Where an answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The response topic, already checked.
    pub topic: String,
    /// The client's correlation data.
    pub correlation: Option<Vec<u8>>,
}

/// What a probing connection has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerFacts {
    /// Whether the connection was encrypted and the broker's certificate checked.
    pub tls: bool,
    /// Whether the broker can retain messages: without it, `status` is lost on latecomers.
    pub retains: bool,
    /// How many unacknowledged messages it accepts.
    pub in_flight_max: u16,
    /// The run of the program that spoke last as this door, where that may be read.
    pub speaks: Option<Uuid>,
}

/// The state that outlives connections.
#[derive(Debug)]
pub(super) struct Known {
    boot: Uuid,
    info: Info,
    camera: Option<Camera>,
    presence: Presence,
    guidance: GuidanceMessage,
    keys: Option<KeySet>,
    armed: Option<Armed>,
    gate: Gate,
    challenges: Challenges,
    /// How often another door may have granted.
    elsewhere: Bucket,
    /// The settings of the connections to come, while they are not those of this one.
    next: Option<Next>,
    twin: TwinWatch,
    desk: ToDesk,
    /// The newest record of this run that was to be announced while there was no connection.
    missed: u64,
}

/// How to go on; without settings nobody is told.
#[derive(Debug)]
pub(super) struct Next(Option<Box<SessionSettings>>);

/// The session; [`Session::run`] is its life.
pub struct Session {
    settings: Option<Box<SessionSettings>>,
    clock: Arc<dyn Clock>,
    known: Known,
}

impl Session {
    /// A session of the run that `info` speaks of, which asks the desk by `desk`. Without settings it
    /// tells nobody, until it is given some by [`Outgoing::Settings`].
    #[must_use]
    pub fn new(
        settings: impl Into<Option<SessionSettings>>,
        info: Info,
        clock: Arc<dyn Clock>,
        desk: AskDesk,
    ) -> Self {
        let known = Known {
            boot: info.boot,
            camera: None,
            presence: Presence::new(false, 0),
            guidance: GuidanceMessage::new(None),
            keys: None,
            armed: None,
            gate: Gate::new(clock.now()),
            challenges: Challenges::new(clock.now()),
            elsewhere: Bucket::new(ELSEWHERE_BURST, clock.now()),
            next: None,
            twin: TwinWatch::new(info.boot),
            desk: ToDesk::new(desk),
            missed: 0,
            info,
        };
        Self { settings: settings.into().map(Box::new), clock, known }
    }

    /// Connects, and connects again, until [`Outgoing::Stop`] or until all senders are gone; by other
    /// settings from [`Outgoing::Settings`] on, with a new connection and a new will.
    /// `events` should be read steadily; up to 64 wait here, then the oldest is dropped.
    pub async fn run(
        mut self,
        mut outgoing: mpsc::Receiver<Outgoing>,
        events: mpsc::Sender<SessionEvent>,
    ) {
        loop {
            match self.settings.take() {
                Some(settings) => self.converse(&settings, &mut outgoing, &events).await,
                // Broken off only by other settings or the end.
                None => drop(self.wait(None, &mut outgoing, &events).await),
            }
            match self.known.next.take() {
                Some(Next(settings)) => {
                    self.known.twin.moved();
                    self.settings = settings;
                }
                None => return,
            }
        }
    }

    /// Connects, and connects again, until other settings come or it is time to end.
    async fn converse(
        &mut self,
        settings: &SessionSettings,
        outgoing: &mut mpsc::Receiver<Outgoing>,
        events: &mpsc::Sender<SessionEvent>,
    ) {
        let mut said = String::new();
        let mut backoff = Backoff::new(settings.backoff_first, settings.backoff_most);
        loop {
            let end = match Connection::open(settings) {
                Ok(connection) => {
                    connection.live(settings, &*self.clock, &mut self.known, outgoing, events).await
                }
                Err(why) => End::Failed { why, lived: Duration::ZERO },
            };
            let End::Failed { why, lived } = end else { return };
            if self.known.next.is_some() {
                return;
            }
            if let Some(contest) = self.known.twin.ended(&why, self.clock.now()) {
                // Full: the daemon is behind; the next sign comes as soon as we are connected.
                drop(events.try_send(SessionEvent::Contested(contest)));
            }
            if lived >= PROVED {
                backoff.reset();
            }
            let delay = backoff.spread_delay(fastrand::f64());
            let retry_in_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            // A broker that is away for a week is said once, and again when the reason changes.
            let reason = why.to_string();
            if lived > Duration::ZERO || said != reason {
                tracing::warn!(%why, retry_in_ms, "no connection to the broker");
            } else {
                tracing::debug!(%why, retry_in_ms, "still no connection to the broker");
            }
            said = reason;
            // The daemon may be slower than we are; it is told as soon as it listens again.
            if events.try_send(SessionEvent::Disconnected { why, retry_in_ms }).is_err()
                && events.is_closed()
            {
                return;
            }
            if self.wait(Some(delay), outgoing, events).await.is_break() {
                return;
            }
        }
    }

    /// Waits for `delay`, or for as long as it takes, and keeps the daemon's channel empty meanwhile.
    /// Other settings and the end break it off.
    async fn wait(
        &mut self,
        delay: Option<Duration>,
        outgoing: &mut mpsc::Receiver<Outgoing>,
        events: &mpsc::Sender<SessionEvent>,
    ) -> std::ops::ControlFlow<()> {
        let over = async {
            match delay {
                Some(delay) => tokio::time::sleep(delay).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return std::ops::ControlFlow::Continue(()),
                item = outgoing.recv() => match item {
                    None | Some(Outgoing::Stop) => return std::ops::ControlFlow::Break(()),
                    Some(item) => {
                        if let Some(missed) = self.known.keep(item) {
                            // Full: the daemon is behind, and the audit has it anyway.
                            drop(events.try_send(missed));
                        }
                        if self.known.next.is_some() {
                            return std::ops::ControlFlow::Break(());
                        }
                    }
                },
            }
        }
    }
}

impl Known {
    /// Keeps what the next connection must say first. Everything else is of the moment and gone;
    /// a decision stays in the outbox.
    fn keep(&mut self, item: Outgoing) -> Option<SessionEvent> {
        match item {
            Outgoing::Info(info) => self.info = info,
            Outgoing::Camera(camera) => self.camera = Some(camera),
            Outgoing::Presence(presence) => self.presence = presence,
            Outgoing::Guidance(guidance) => self.guidance = guidance,
            Outgoing::Settings(settings) => self.next = Some(Next(settings)),
            Outgoing::Keys(keys) => self.keys = Some(keys),
            Outgoing::Armed(armed) => self.armed = Some(armed),
            Outgoing::Access { record, .. } => {
                self.missed = self.missed.max(record.seq);
                return Some(SessionEvent::NotAnnounced { seq: record.seq });
            }
            Outgoing::Recorded
            | Outgoing::Audit(_)
            | Outgoing::Health(_)
            | Outgoing::Strangers(_)
            | Outgoing::Duress(_)
            | Outgoing::Answer { .. }
            | Outgoing::Stop => {}
        }
        None
    }

    /// Whether the record could not be sent when it was made: it is of another run or of another
    /// process, older than the connection, or older than an `access` lives by `now`, because the
    /// broker was silent or refused it.
    fn is_late(&self, record: &AuditRecord, connected_at: Monotonic, now: Monotonic) -> bool {
        let age_ms = now.as_millis().saturating_sub(record.monotonic_ms);
        record.boot != self.boot
            || record.monotonic_ms < connected_at.as_millis()
            // Of the very millisecond of the connection, and before it.
            || record.seq <= self.missed
            || age_ms > u64::from(ACCESS_EXPIRY_MS)
    }
}

/// Connects once under another client id, publishes nothing, and says what it found.
///
/// # Errors
/// Why there is no connection.
pub async fn probe(settings: &SessionSettings) -> Result<BrokerFacts, BrokerError> {
    let info = settings.topics.of(Topic::Info);
    Connection::open_as(settings, "DOCTOR", false)?.facts(&info).await
}

/// Removes the device from the Home Assistant that listens below `prefix`.
///
/// It is announced once more before, with everything that can be: a Home Assistant that was restarted
/// while the door was away keeps the device, and removes only what it was told of since.
///
/// # Errors
/// Why it could not be removed.
pub async fn forget(settings: &SessionSettings, prefix: &str) -> Result<(), BrokerError> {
    let announced =
        discovery::Announced { prefix, grant_key: None, retained: false, may_arm: true };
    let version = env!("CARGO_PKG_VERSION");
    let announcement = discovery::announce(announced, &settings.topics, version);
    Connection::open_as(settings, "FORGET", false)?.deliver(&announcement).await?;
    tokio::time::sleep(TAKEN_IN).await;
    let message = discovery::forget(prefix, &settings.topics);
    Connection::open_as(settings, "FORGET", false)?.deliver(&message).await
}
