//! What all handlers share: the page's own connection to the database, who is logged in, what is heard.
//!
//! In: the feed of the daemon, the configuration. Out: ways to the database that hold nobody up. The
//! database has one connection, used by one handler at a time, on a thread that may block. Invariant: what
//! is changed is changed by [`App::acting`], so that its record names the account.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, broadcast, watch};
use uuid::Uuid;

use super::doctor::Doctor;
use super::events::Heard;
use super::feed::Feed;
use super::guard::Identity;
use super::guided::Guided;
use super::live::Picture;
use super::password::Verifier;
use super::problem::Problem;
use super::series::Series;
use super::sessions::{Screens, Sessions, Throttle};
use super::visits::AskDesk;
use super::{login, pin};
use crate::clock::{Clock as _, Monotonic, SystemClock};
use crate::compare::SubjectId;
use crate::policy::{Pin, PinResult};
use crate::store::{Signature, Store};

/// Who speaks to us.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub IpAddr);

/// See the module.
pub(super) struct App {
    pub feed: Arc<Feed>,
    store: Mutex<Store>,
    /// How often this page has changed the database: what its own connection does is no other version.
    changes: AtomicU64,
    sessions: Mutex<Sessions>,
    throttle: Mutex<Throttle>,
    screens: Mutex<Screens>,
    /// A password at a time is verified: it takes memory and time.
    pub verifying: Semaphore,
    verifier: Mutex<Verifier>,
    /// Places for logins that wait for that.
    pub waiting: Arc<Semaphore>,
    /// Places for PINs that wait for it.
    pub typing: Arc<Semaphore>,
    /// One at a time has networks: they take memory.
    pub bench: Arc<Semaphore>,
    /// One at a time has figures made, or the doctor look.
    pub looking: Arc<Semaphore>,
    /// One at a time asks the desk of strangers' visits.
    pub asking: Arc<Semaphore>,
    pub heard: broadcast::Sender<Arc<Heard>>,
    /// The newest record that those who listen were told of, or need not be; `None` while nobody does.
    pub heard_up_to: Mutex<Option<u64>>,
    /// How many listen to events, by what they show of themselves.
    listening: Mutex<HashMap<String, usize>>,
    pub pictures: watch::Sender<Option<Arc<Picture>>>,
    pub guided: Mutex<Option<Guided>>,
    pub series: Mutex<Series>,
    pub doctor: Doctor,
    pub desk: AskDesk,
    pub clock: Arc<SystemClock>,
    pub door: String,
    pub boot: Uuid,
    pub started_ms: i64,
    pub started: Monotonic,
    /// Whether the page itself encrypts.
    pub encrypted: bool,
    pub stop: watch::Receiver<bool>,
}

/// Heard things that a slow page may be behind.
pub(super) const HEARD_LENGTH: usize = 64;

/// One who listens to events, for as long as this lives.
pub(super) struct Listening {
    app: Arc<App>,
    who: String,
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut listening = self.app.lock_listening();
        if let Some(count) = listening.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                listening.remove(&self.who);
            }
        }
    }
}

impl App {
    pub(super) fn new(
        feed: Arc<Feed>,
        store: Store,
        clock: Arc<SystemClock>,
        boot: Uuid,
        (doctor, desk): (Doctor, AskDesk),
        stop: watch::Receiver<bool>,
    ) -> Self {
        let door = feed.config().door.id.clone();
        Self {
            feed,
            store: Mutex::new(store),
            changes: AtomicU64::new(0),
            sessions: Mutex::default(),
            throttle: Mutex::default(),
            screens: Mutex::default(),
            verifying: Semaphore::new(1),
            verifier: Mutex::default(),
            waiting: Arc::new(Semaphore::new(login::WAITING_MAX)),
            typing: Arc::new(Semaphore::new(pin::WAITING_MAX)),
            bench: Arc::new(Semaphore::new(1)),
            looking: Arc::new(Semaphore::new(1)),
            asking: Arc::new(Semaphore::new(1)),
            heard: broadcast::Sender::new(HEARD_LENGTH),
            heard_up_to: Mutex::default(),
            listening: Mutex::default(),
            pictures: watch::Sender::new(None),
            guided: Mutex::default(),
            series: Mutex::default(),
            doctor,
            desk,
            started_ms: clock.wall().unix_ms,
            started: clock.now(),
            clock,
            door,
            boot,
            encrypted: false,
            stop,
        }
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn screens(&self) -> MutexGuard<'_, Screens> {
        self.screens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_listening(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `who` listens to events from now on.
    pub(super) fn listens(self: &Arc<Self>, who: &Identity) -> Listening {
        let who = who.shown.key();
        *self.lock_listening().entry(who.clone()).or_default() += 1;
        Listening { app: Arc::clone(self), who }
    }

    /// Whether whoever shows `key` of themselves listens to events.
    pub(super) fn is_listening(&self, key: &str) -> bool {
        self.lock_listening().contains_key(key)
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

    /// Which PIN of `subject` it is, found out on a thread that may block. Both are compared each time, also
    /// where there are none, so that it takes as long.
    pub(super) async fn compare_pin(
        self: &Arc<Self>,
        subject: SubjectId,
        pin: Pin,
    ) -> Result<PinResult, Problem> {
        let app = Arc::clone(self);
        blocking(move || {
            let pins = app.database().pins(&subject)?;
            let of = pins.as_ref().map(|pins| pins.pin.as_str());
            let duress = pins.as_ref().and_then(|pins| Some(pins.duress.as_ref()?.as_str()));
            let mut verifier = app.verifier.lock().unwrap_or_else(PoisonError::into_inner);
            let [right, duress] = [of, duress].map(|phc| verifier.verify(pin.digits(), phc));
            Ok(match (right, duress) {
                (_, true) => PinResult::Duress,
                (true, false) => PinResult::Right,
                (false, false) => PinResult::Wrong,
            })
        })
        .await
    }

    /// The database to be read, for a thread that may block.
    pub(super) fn database(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often this page has changed the database.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Reads the database on a thread that may block.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Store) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let app = Arc::clone(self);
        blocking(move || work(&app.database())).await
    }

    /// Changes the database as `who`, whose records say so, on a thread that may block.
    pub(super) fn acting<T>(
        &self,
        who: &Identity,
        work: impl FnOnce(&mut Store, Signature<'_>) -> T,
    ) -> T {
        let mut store = self.database();
        store.acting_for(Some(who.account.name.clone()));
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let done = work(&mut store, Signature { door: &self.door, boot: self.boot, now, wall });
        store.acting_for(None);
        drop(store);
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.feed.recorded();
        done
    }

    /// The same, from a thread that may not block.
    pub(super) async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        who: &Identity,
        work: impl FnOnce(&mut Store, Signature<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (app, who) = (Arc::clone(self), who.clone());
        blocking(move || app.acting(&who, work)).await
    }
}

/// Does `work` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Problem::inside(&error)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::clock::{ClockRequirement, Floor};
    use crate::config::{Config, Flag, Sources};
    use crate::policy::RuleName;
    use crate::serve::guard::Shown;
    use crate::store::{Account, Role, StoreSettings};

    /// An app on a new database in `folder`, which no daemon stands behind; the second half is held for
    /// as long as it is to run.
    pub(in crate::serve) fn app(folder: &std::path::Path) -> (Arc<App>, watch::Sender<bool>) {
        app_before(folder, Box::new(|_| false))
    }

    /// The same before a `desk`.
    pub(in crate::serve) fn app_before(
        folder: &std::path::Path,
        desk: AskDesk,
    ) -> (Arc<App>, watch::Sender<bool>) {
        let path = folder.join("door.db");
        let flag = |key: &str, value: &str| Flag {
            given_as: "--set".to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let flags = vec![flag("store.path", &path.display().to_string())];
        let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
        let store = Store::open(&path, StoreSettings::default()).unwrap();
        let clock = Arc::new(SystemClock::new(ClockRequirement::default(), Floor::default()));
        let (stop, stopped) = watch::channel(false);
        let feed = Feed::new(config).0;
        let doctor: Doctor = |_| Vec::new();
        (Arc::new(App::new(feed, store, clock, Uuid::nil(), (doctor, desk), stopped)), stop)
    }

    /// Somebody of this name and role who shows a made-up token.
    pub(in crate::serve) fn somebody(name: &str, role: Role) -> Identity {
        let name = RuleName::new(name).unwrap();
        let password = "$argon2id$v=19$m=7168,t=5,p=1$c29tZXNhbHQ$aGFzaA".to_owned();
        let account = Account { name, role, password, created_ms: 0, tokens: 0 };
        Identity { account, shown: Shown::Token("0".repeat(64)) }
    }

    /// What a future gives that needs the page's event loop.
    pub(in crate::serve) fn run<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work)
    }

    #[test]
    fn what_is_changed_is_recorded_with_the_account_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app(folder.path());
        let anna = somebody("anna", Role::Administrator);
        let hall = RuleName::new("hall").unwrap();
        let made = app.acting(&anna, |store, by| {
            store.add_account(&hall, Role::Kiosk, &anna.account.password, by)
        });
        assert_eq!(made.unwrap().by, Some(anna.account.name));
        assert_eq!(app.changes(), 1);
        let after = app.database().remove_account(&hall, signature(&app)).unwrap();
        assert_eq!(after.by, None, "whoever comes next is somebody else");
    }

    fn signature(app: &App) -> Signature<'_> {
        let (now, wall) = (app.clock.now(), app.clock.wall());
        Signature { door: &app.door, boot: app.boot, now, wall }
    }
}
