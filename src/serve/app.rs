//! What all handlers share: the page's own connection to the database, who is logged in, what is heard.
//!
//! In: the feed of the daemon, the configuration. Out: ways to the database that hold nobody up. The
//! database has one connection, used by one handler at a time, on a thread that may block.

use std::net::IpAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, broadcast, watch};
use uuid::Uuid;

use super::events::Heard;
use super::feed::Feed;
use super::guard::Identity;
use super::guided::Guided;
use super::live::Picture;
use super::password::Verifier;
use super::problem::Problem;
use super::series::Series;
use super::sessions::{Sessions, Throttle};
use crate::clock::{Clock as _, SystemClock};
use crate::store::{Signature, Store};

/// Who speaks to us.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub IpAddr);

/// See the module.
pub(super) struct App {
    pub feed: Arc<Feed>,
    store: Mutex<Store>,
    sessions: Mutex<Sessions>,
    throttle: Mutex<Throttle>,
    /// A password at a time is verified: it takes memory and time.
    pub verifying: Semaphore,
    verifier: Mutex<Verifier>,
    /// Logins that wait for that.
    pub waiting: AtomicUsize,
    /// One request at a time has pictures.
    pub uploading: Arc<Semaphore>,
    pub heard: broadcast::Sender<Arc<Heard>>,
    pub pictures: watch::Sender<Option<Arc<Picture>>>,
    pub guided: Mutex<Option<Guided>>,
    pub series: Mutex<Series>,
    pub clock: Arc<SystemClock>,
    pub door: String,
    pub boot: Uuid,
    pub started_ms: i64,
    /// Whether the page itself encrypts.
    pub encrypted: bool,
    pub stop: watch::Receiver<bool>,
}

/// Heard things that a slow page may be behind.
const HEARD_LENGTH: usize = 64;

impl App {
    pub(super) fn new(
        feed: Arc<Feed>,
        store: Store,
        clock: Arc<SystemClock>,
        boot: Uuid,
        encrypted: bool,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let door = feed.config().door.id.clone();
        Self {
            feed,
            store: Mutex::new(store),
            sessions: Mutex::default(),
            throttle: Mutex::default(),
            verifying: Semaphore::new(1),
            verifier: Mutex::default(),
            waiting: AtomicUsize::new(0),
            uploading: Arc::new(Semaphore::new(1)),
            heard: broadcast::Sender::new(HEARD_LENGTH),
            pictures: watch::Sender::new(None),
            guided: Mutex::default(),
            series: Mutex::default(),
            started_ms: clock.wall().unix_ms,
            clock,
            door,
            boot,
            encrypted,
            stop,
        }
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `password` gives `phc`, found out on a thread that may block.
    pub(super) async fn verify(
        self: &Arc<Self>,
        password: String,
        phc: Option<String>,
    ) -> Result<bool, Problem> {
        let app = Arc::clone(self);
        blocking(move || {
            let mut verifier = app.verifier.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(verifier.verify(&password, phc.as_deref()))
        })
        .await
    }

    /// The database, for a thread that may block.
    pub(super) fn database(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose deed, and when.
    pub(super) fn signature(&self) -> Signature<'_> {
        let (now, wall) = (self.clock.now(), self.clock.wall());
        Signature { door: &self.door, boot: self.boot, now, wall }
    }

    /// Reads the database on a thread that may block.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Store) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let app = Arc::clone(self);
        blocking(move || work(&app.database())).await
    }

    /// Changes the database as `who`, whose records say so.
    pub(super) async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        who: &Identity,
        work: impl FnOnce(&mut Store, Signature<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (app, name) = (Arc::clone(self), who.account.name.clone());
        blocking(move || {
            let mut store = app.database();
            store.acting_for(Some(name));
            let done = work(&mut store, app.signature());
            store.acting_for(None);
            drop(store);
            app.feed.recorded();
            done
        })
        .await
    }
}

/// Does `work` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Problem::inside(&error)))
}
