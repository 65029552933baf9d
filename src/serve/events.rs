//! What happens, told to every page that listens, as server-sent events.
//!
//! In: news of the feed, new records of the database. Out: one text for all who listen, a shorter one for
//! screens at the door. Invariants: a text is made once; a page that is so slow that it is behind by the
//! whole ring is cut off, and asks again; a screen at the door hears of no score, no id and, unless
//! `serve.kiosk_names` says so, of no name; who was logged out hears nothing more.
//! Source: the HTML standard, server-sent events.
#![allow(clippy::unused_async, reason = "what answers a request is a future")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value as Json, json};
use tokio::sync::{broadcast, mpsc};

use super::app::{App, blocking};
use super::feed::{Looking, News, Sighting};
use super::guard::Identity;
use super::problem::Problem;
use super::{guided, read, records};
use crate::clock::Clock as _;
use crate::compare::SubjectId;
use crate::store::{Role, Selection, Store};

/// How often the page's own thread looks for what nobody told it.
const TURN: Duration = Duration::from_secs(1);
/// How often a page that hears nothing is told that it is still listened to.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// Records that are told at once.
const PAGE: u32 = 100;

/// Names by id.
pub(super) type Names = HashMap<SubjectId, String>;

/// What is heard.
#[derive(Debug)]
pub(super) struct Heard {
    /// For viewers and administrators.
    full: Option<Bytes>,
    /// For screens at the door.
    kiosk: Option<Bytes>,
}

impl Heard {
    /// `data` for those who read everything, and for a screen at the door.
    pub(super) fn new(
        event: &str,
        id: Option<u64>,
        data: Option<&Json>,
        kiosk: Option<&Json>,
    ) -> Self {
        let text = |data: &Json| {
            let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
            Bytes::from(format!("event: {event}\n{id}data: {data}\n\n"))
        };
        Self { full: data.map(text), kiosk: kiosk.map(text) }
    }

    /// The same `data` for everybody.
    fn for_all(event: &str, data: &Json) -> Self {
        Self::new(event, None, Some(data), Some(data))
    }

    fn of(&self, role: Role) -> Option<Bytes> {
        if role == Role::Kiosk { self.kiosk.clone() } else { self.full.clone() }
    }
}

/// The names of everybody who is enrolled.
///
/// # Errors
/// What the database says.
pub(super) fn names(store: &Store) -> Result<Names, Problem> {
    Ok(store.subjects()?.into_iter().map(|subject| (subject.id, subject.name)).collect())
}

/// What the task that tells remembers.
#[derive(Default)]
struct Teller {
    /// The newest record that was told.
    told: Option<u64>,
    names: Names,
    version: Option<i64>,
}

/// Tells what happens until the page ends.
pub(super) async fn tell(app: Arc<App>, mut news: mpsc::Receiver<News>) {
    let mut teller = Teller::default();
    let mut turn = tokio::time::interval(TURN);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = turn.tick() => {
                note_health(&app);
                guided::expire(&app).await;
                teller = teller.read(&app).await;
            }
            one = news.recv() => match one {
                None => return,
                Some(News::Recorded) => teller = teller.read(&app).await,
                Some(News::Seen(sighting)) => teller.saw(&app, *sighting),
                Some(News::Presence(present)) => {
                    send(&app, Heard::for_all("presence", &json!({ "present": present })));
                }
                Some(News::Guidance(guidance)) => {
                    let say = guidance.map(crate::door::Guidance::name);
                    send(&app, Heard::for_all("guidance", &json!({ "say": say })));
                }
                Some(News::State) => {
                    if app.heard.receiver_count() > 0 {
                        let (state, short) = (read::state_of(&app), read::short_state(&app));
                        send(&app, Heard::new("health", None, Some(&state), Some(&short)));
                    }
                }
            },
        }
    }
}

fn note_health(app: &App) {
    let health = app.feed.told().health.clone();
    let mut series = app.series.lock().unwrap_or_else(PoisonError::into_inner);
    series.note(health.as_ref(), app.clock.now());
}

/// Tells `heard` to all who listen.
pub(super) fn send(app: &App, heard: Heard) {
    // Nobody listens: nothing is to be told.
    drop(app.heard.send(Arc::new(heard)));
}

impl Teller {
    fn saw(&self, app: &App, mut sighting: Sighting) {
        for subject in sighting.faces.iter_mut().filter_map(|face| face.subject.as_mut()) {
            subject.name = self.names.get(&subject.id).cloned();
        }
        let data = serde_json::to_value(&sighting).unwrap_or_default();
        send(app, Heard::new("observation", None, Some(&data), None));
    }

    /// Tells records that are new, where somebody listens.
    async fn read(mut self, app: &Arc<App>) -> Self {
        let (for_work, nobody) = (Arc::clone(app), app.heard.receiver_count() == 0);
        let done = blocking(move || {
            let store = for_work.database();
            if nobody {
                // Whoever comes next hears of what is newer than this.
                return Ok(Self { told: Some(store.newest_record()?), ..Self::default() });
            }
            let version = store.data_version()?;
            if self.version != Some(version) {
                (self.names, self.version) = (names(&store)?, Some(version));
            }
            let newest = store.newest_record()?;
            let after = *self.told.get_or_insert(newest);
            let new = store.records(&Selection::default(), after, PAGE)?;
            self.told = new.last().map(crate::store::StoredRecord::seq).or(self.told);
            drop(store);
            let kiosk_names = for_work.feed.config().serve.kiosk_names;
            for record in &new {
                let told = records::as_json(record, &self.names);
                if told.get("kind").is_some_and(|kind| kind == "decision") {
                    let short = records::for_the_door(&told, kiosk_names);
                    let seq = Some(record.seq());
                    send(&for_work, Heard::new("decision", seq, Some(&told), Some(&short)));
                }
            }
            if !new.is_empty() {
                let newest = json!({ "newest_seq": self.told });
                send(&for_work, Heard::new("records", None, Some(&newest), None));
            }
            Ok(self)
        });
        done.await.unwrap_or_default()
    }
}

/// One who listens.
struct Listener {
    app: Arc<App>,
    who: Identity,
    heard: broadcast::Receiver<Arc<Heard>>,
    comments: tokio::time::Interval,
    first: Vec<Bytes>,
    _looking: Option<Looking>,
}

/// `GET /api/v1/events`
pub(super) async fn listen(State(app): State<Arc<App>>, who: Identity) -> Response {
    let heard = app.heard.subscribe();
    let looking = app.feed.watch();
    let (full, short) = (read::state_of(&app), read::short_state(&app));
    let mut first = vec![Heard::new("health", None, Some(&full), Some(&short))];
    first.extend(guided::last_event(&app));
    let first: Vec<Bytes> = first.iter().rev().filter_map(|h| h.of(who.account.role)).collect();
    let mut comments = tokio::time::interval(COMMENT_EVERY);
    comments.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let listener = Listener { app, who, heard, comments, first, _looking: Some(looking) };
    let body = Body::from_stream(stream::unfold(listener, |mut listener| async {
        let bytes = listener.next().await?;
        Some((Ok::<_, Infallible>(bytes), listener))
    }));
    let kind = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies that collect an answer before they pass it on would hold events back.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (kind, body).into_response()
}

impl Listener {
    /// The next bytes; `None` where it is cut off.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.pop() {
            return Some(first);
        }
        let mut stop = self.app.stop.clone();
        loop {
            tokio::select! {
                heard = self.heard.recv() => match heard {
                    Ok(heard) => if let Some(bytes) = heard.of(self.who.account.role) {
                        return Some(bytes);
                    },
                    // Too slow by the whole ring: it asks again, and sees how things are now.
                    Err(_) => return None,
                },
                _ = self.comments.tick() => {
                    if !self.who.still(&self.app).await {
                        return None;
                    }
                    return Some(Bytes::from_static(b": still here\n\n"));
                }
                _ = stop.changed() => return None,
            }
        }
    }
}

/// Names for whoever resolves a few ids.
pub(super) fn name_of<'n>(names: &'n Names, id: &str) -> Option<&'n str> {
    names.get(&SubjectId::new(id).ok()?).map(String::as_str)
}
