//! The door's page: a household sees and administers its door in a browser.
//!
//! In: a [`Feed`] by which the daemon's threads hand in what happens, the database, the configuration.
//! Out: HTTP on the address of `serve.listen`: the page's files, an API in JSON, events, the camera's
//! pictures for administrators. A request is looked at by `guard` before anything else; what there is
//! stands in [`ROUTES`]; each group of routes has one file.
//!
//! Invariants: off unless it is asked for; on, it has a thread of its own and never holds another one up,
//! nor ends the daemon; nothing is served in the clear beyond this machine; nobody gets in without an
//! account; pictures are in memory alone; every change is one that the command line makes, with a record
//! that names the account. Deliberately absent: any way to open the door, and to store a picture.

mod app;
mod assets;
mod body;
pub mod certificate;
mod doctor;
mod events;
mod feed;
mod figures;
mod guard;
mod guided;
mod listen;
mod live;
mod login;
mod openapi;
pub mod password;
mod people;
mod pictures;
mod pin;
mod poses;
mod problem;
mod read;
mod records;
mod routes;
mod series;
mod sessions;
pub mod visits;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

use app::App;
pub use doctor::{Check, Doctor, Verdict};
pub use feed::Feed;
use feed::News;
pub use pin::{Entered, Waiting};
pub use routes::{Access, ROUTES, Route};

use crate::clock::SystemClock;
use crate::config::Config;
use crate::remedy::Remedied;
use crate::store::{self, Store};
use visits::AskDesk;

/// How long it is waited before the page is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// How long connections have for their end.
const FAREWELL: Duration = Duration::from_millis(300);
/// Threads that may block: one each for networks, pictures that are watched, figures and passwords, of
/// which one at a time is worked with, and one that is left for the database.
const BLOCKING_THREADS: usize = 5;

/// Why the page is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("the page cannot listen on {address} ({error}); {advice}", advice = self.advice())]
    Address {
        /// Which.
        address: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The certificate cannot be used.
    #[error("the page's file {file}: {what}; {remedy}", file = file.display())]
    Certificate {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        what: String,
        /// What helps.
        remedy: String,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The operating system refused a thread or an event loop.
    #[error("the system refused {what} ({error}); {advice}", advice = self.advice())]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        error: std::io::Error,
    },
}

impl Remedied for ServeError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Address { .. } => {
                "correct serve.listen: an address of this machine, and a port that nothing else uses"
                    .into()
            }
            Self::Certificate { remedy, .. } => remedy.into(),
            Self::Store(inner) => return inner.remedy(),
            Self::System { .. } => {
                "check the limits of the service ('systemctl show deepid-edge')".into()
            }
        })
    }
}

/// What the page shares with the daemon.
pub struct Page {
    feed: Arc<Feed>,
    stop: watch::Sender<bool>,
}

impl Page {
    /// Starts the page's thread where `serve.listen` asks for it; `doctor` looks at the door where somebody
    /// asks, and `desk` takes questions about strangers who were just there. Whatever keeps it from being served is logged and tried again: the door goes on without it.
    ///
    /// # Errors
    /// [`ServeError::System`] when there is no thread for it.
    pub fn start(
        config: &Config,
        clock: Arc<SystemClock>,
        boot: Uuid,
        doctor: Doctor,
        desk: AskDesk,
    ) -> Result<Option<Self>, ServeError> {
        if config.serve.listen.is_none() {
            return Ok(None);
        }
        let (feed, news) = Feed::new(config.clone());
        let (stop, stopped) = watch::channel(false);
        let handed = Arc::clone(&feed);
        // Not joined: it ends within a moment of the others, or with the process.
        std::thread::Builder::new()
            .name("page".to_owned())
            .spawn(move || run(&handed, news, &clock, boot, (doctor, desk), stopped))
            .map_err(|error| ServeError::System { what: "a thread", error })?;
        Ok(Some(Self { feed, stop }))
    }

    /// By which the daemon's threads hand in what happens.
    #[must_use]
    pub fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }

    /// Asks it to end. It is not waited for.
    pub fn stop(&self) {
        // Nobody hears it where the thread has ended.
        self.stop.send_replace(true);
    }
}

fn run(
    feed: &Arc<Feed>,
    news: mpsc::Receiver<News>,
    clock: &Arc<SystemClock>,
    boot: Uuid,
    behind: (Doctor, AskDesk),
    stop: watch::Receiver<bool>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("page-work")
        .build();
    match runtime {
        Ok(runtime) => {
            runtime.block_on(serve(feed, news, clock, boot, behind, stop));
            runtime.shutdown_timeout(FAREWELL);
        }
        Err(error) => tracing::error!(%error, "the page has no event loop; the door goes on"),
    }
}

async fn serve(
    feed: &Arc<Feed>,
    news: mpsc::Receiver<News>,
    clock: &Arc<SystemClock>,
    boot: Uuid,
    behind: (Doctor, AskDesk),
    mut stop: watch::Receiver<bool>,
) {
    let mut said = String::new();
    let (listener, encrypting, store) = loop {
        let error = match open(&feed.config()).await {
            Ok(opened) => break opened,
            Err(error) => error.to_string(),
        };
        if said != error {
            tracing::error!(
                "{error}; the door goes on without its page, which is tried every 10 s"
            );
            said = error;
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            _ = stop.changed() => return,
        }
    };
    let address = listener.local_addr().map_or_else(|_| String::new(), |a| a.to_string());
    let scheme = if encrypting.is_some() { "https" } else { "http" };
    let fingerprint = encrypting.as_ref().map(|e| e.fingerprint.clone());
    let accounts = store.accounts().map_or(0, |all| all.len());
    tracing::info!(fingerprint, accounts, "the page is served at {scheme}://{address}");
    if accounts == 0 {
        tracing::warn!(
            "nobody may use the page: 'deepid-edge accounts add NAME --role administrator' makes an account"
        );
    }
    let (feed, clock) = (Arc::clone(feed), Arc::clone(clock));
    let mut app = App::new(feed, store, clock, boot, behind, stop.clone());
    app.encrypted = encrypting.is_some();
    let app = Arc::new(app);
    let tls = encrypting.map(|encrypting| TlsAcceptor::from(encrypting.config));
    let telling = tokio::spawn(events::tell(Arc::clone(&app), news));
    let looking = tokio::spawn(live::look(Arc::clone(&app)));
    listen::serve(listener, tls, routes::router(&app), stop).await;
    telling.abort();
    looking.abort();
    // Connections that are open end by themselves, or with the runtime.
    tokio::time::sleep(FAREWELL).await;
}

type Opened = (TcpListener, Option<certificate::Encrypting>, Store);

async fn open(config: &Config) -> Result<Opened, ServeError> {
    let text = config.serve.listen.clone().unwrap_or_default();
    let refused = |error| ServeError::Address { address: text.clone(), error };
    let address: SocketAddr =
        text.parse().map_err(|_| refused(std::io::ErrorKind::InvalidInput.into()))?;
    let encrypting = certificate::open(config)?;
    let store = Store::open(&config.store.path, config.store_settings())?;
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    Ok((listener, encrypting, store))
}
