//! What happens, told to every page that listens, as server-sent events.
//!
//! In: news of the feed, new records of the database. Out: one text for all who listen, a shorter one for
//! screens at the door. Invariants: a text is made once; a page that is so slow that it is behind by the
//! whole ring is cut off, and asks again; whoever comes back and says what it heard last is told the
//! decisions since then, and none twice; a screen at the door hears of no score, no id and, unless
//! `serve.kiosk_names` says so, of no name, and has no observation made; who was logged out hears nothing
//! more; the database is asked for nothing while nobody listens.
//! Source: the HTML standard, server-sent events.
#![allow(clippy::unused_async, reason = "what answers a request is a future")]

use std::convert::Infallible;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use serde_json::json;
use tokio::sync::{broadcast, mpsc};

use super::app::{App, HEARD_LENGTH, Listening, blocking};
use super::feed::{Looking, News, Sighting};
use super::guard::Identity;
use super::problem::Problem;
use super::records::{self, RecordShown};
use super::{guided, read};
use crate::clock::Clock as _;
use crate::store::{Names, Role, Selection, Store, StoredRecord};

/// How often the page's own thread looks for what nobody told it.
const TURN: Duration = Duration::from_secs(1);
/// How often a page that hears nothing is told that it is still listened to.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// Records that are told at once: fewer than a page that listens may be behind.
const PAGE: u32 = HEARD_LENGTH as u32 / 2;

/// What is heard.
#[derive(Debug)]
pub(super) struct Heard {
    /// The number of the record, where it is one.
    seq: Option<u64>,
    /// For viewers and administrators.
    full: Option<Bytes>,
    /// For screens at the door.
    kiosk: Option<Bytes>,
}

impl Heard {
    /// `data`, for those who read everything.
    pub(super) fn full(event: &str, data: &impl Serialize) -> Self {
        Self { seq: None, full: text(event, None, data), kiosk: None }
    }

    /// `data` for those who read everything, `short` for a screen at the door.
    fn both(event: &str, seq: Option<u64>, data: &impl Serialize, short: &impl Serialize) -> Self {
        Self { seq, full: text(event, seq, data), kiosk: text(event, seq, short) }
    }

    fn of(&self, role: Role) -> Option<Bytes> {
        if role == Role::Kiosk { self.kiosk.clone() } else { self.full.clone() }
    }
}

fn text(event: &str, seq: Option<u64>, data: &impl Serialize) -> Option<Bytes> {
    let data = serde_json::to_string(data).ok()?;
    let id = seq.map_or_else(String::new, |seq| format!("id: {seq}\n"));
    Some(format!("event: {event}\n{id}data: {data}\n\n").into())
}

/// What the task that tells remembers.
#[derive(Default)]
struct Teller {
    names: Names,
    /// Of which version of the database, and after how many changes of the page's own, the names are.
    version: Option<(i64, u64)>,
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
                guided::expire(&app);
                teller = teller.read(&app).await;
            }
            one = news.recv() => match one {
                None => return,
                Some(News::Recorded) => teller = teller.read(&app).await,
                Some(News::Seen(sighting)) => teller.saw(&app, *sighting),
                Some(News::Presence(present)) => {
                    let told = json!({ "present": present });
                    send(&app, Heard::both("presence", None, &told, &told));
                }
                Some(News::Guidance(guidance)) => {
                    let told = json!({ "say": guidance.map(crate::door::Guidance::name) });
                    send(&app, Heard::both("guidance", None, &told, &told));
                }
                Some(News::State) => {
                    if app.heard.receiver_count() > 0 {
                        let (state, short) = (read::state_of(&app), read::short_state(&app));
                        send(&app, Heard::both("health", None, &state, &short));
                    }
                }
            },
        }
    }
}

fn note_health(app: &App) {
    let told = app.feed.told();
    let mut series = app.series.lock().unwrap_or_else(PoisonError::into_inner);
    series.note(told.health.as_ref(), app.clock.now());
}

/// Tells `heard` to all who listen.
pub(super) fn send(app: &App, heard: Heard) {
    // Nobody listens: nothing is to be told.
    drop(app.heard.send(Arc::new(heard)));
}

fn heard_up_to(app: &App) -> MutexGuard<'_, Option<u64>> {
    app.heard_up_to.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets up to where those who listen have heard, if nobody does; whether that is so.
fn is_unheard(app: &App) -> bool {
    let mut up_to = heard_up_to(app);
    let unheard = app.heard.receiver_count() == 0;
    if unheard {
        *up_to = None;
    }
    unheard
}

/// A decision as it is told; `None` for any other record.
fn decision(app: &App, record: &StoredRecord, names: &Names) -> Option<Heard> {
    let told = RecordShown::of(record, names);
    if !told.is_decision() {
        return None;
    }
    let short = told.at_the_door(app.feed.config().serve.kiosk_names);
    Some(Heard::both("decision", Some(record.seq()), &told, &short))
}

impl Teller {
    fn saw(&self, app: &App, mut sighting: Sighting) {
        for subject in sighting.faces.iter_mut().filter_map(|face| face.subject.as_mut()) {
            subject.name = self.names.get(&subject.id).cloned();
        }
        send(app, Heard::full("observation", &sighting));
    }

    /// Tells records that are new, where somebody listens. What the database does not give now is told at
    /// the next turn.
    async fn read(self, app: &Arc<App>) -> Self {
        if is_unheard(app) {
            return Self::default();
        }
        let for_work = Arc::clone(app);
        let done = blocking(move || {
            let mut teller = self;
            if let Err(problem) = teller.look(&for_work) {
                tracing::debug!(?problem, "records are told later");
            }
            Ok(teller)
        });
        done.await.unwrap_or_default()
    }

    fn look(&mut self, app: &App) -> Result<(), Problem> {
        let store = app.database();
        let version = Some((store.data_version()?, app.changes()));
        if self.version != version {
            (self.names, self.version) = (store.names()?, version);
        }
        let newest = store.newest_record()?;
        let after = *heard_up_to(app).get_or_insert(newest);
        let new = store.records(&Selection::default(), after, PAGE)?;
        drop(store);
        let Some(last) = new.last().map(StoredRecord::seq) else { return Ok(()) };
        *heard_up_to(app) = Some(last);
        for heard in new.iter().filter_map(|record| decision(app, record, &self.names)) {
            send(app, heard);
        }
        send(app, Heard::full("records", &json!({ "newest_seq": last })));
        Ok(())
    }
}

/// One who listens.
struct Listener {
    app: Arc<App>,
    who: Identity,
    heard: broadcast::Receiver<Arc<Heard>>,
    comments: tokio::time::Interval,
    /// What is told before what happens from now on, the last one first.
    first: Vec<Bytes>,
    /// The newest record that is among that.
    up_to: u64,
    _looking: Looking,
    _listening: Listening,
}

/// `GET /api/v1/events`
pub(super) async fn listen(
    State(app): State<Arc<App>>,
    who: Identity,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let heard = app.heard.subscribe();
    let role = who.account.role;
    let looking = app.feed.watch(role != Role::Kiosk);
    let listening = app.listens(&who);
    let last_id = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let for_work = Arc::clone(&app);
    let missed = app.read(move |store| missed(&for_work, store, last_id)).await?;
    let up_to = missed.iter().filter_map(|heard| heard.seq).max().unwrap_or_default();
    let (full, short) = (read::state_of(&app), read::short_state(&app));
    let mut first = vec![Heard::both("health", None, &full, &short)];
    first.extend(guided::last_event(&app));
    first.extend(missed);
    let first: Vec<Bytes> = first.iter().rev().filter_map(|heard| heard.of(role)).collect();
    let mut comments = tokio::time::interval(COMMENT_EVERY);
    comments.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let listener = Listener {
        app,
        who,
        heard,
        comments,
        first,
        up_to,
        _looking: looking,
        _listening: listening,
    };
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
    Ok((kind, body).into_response())
}

/// The newest decisions after the record `last_id`, of whoever listened before; whoever begins to listen
/// hears of what is newer than the newest record now.
fn missed(app: &App, store: &Store, last_id: Option<u64>) -> Result<Vec<Heard>, Problem> {
    let newest = store.newest_record()?;
    heard_up_to(app).get_or_insert(newest);
    let Some(last_id) = last_id.filter(|last_id| *last_id < newest) else { return Ok(Vec::new()) };
    let selection = records::decisions();
    let after = last_id.max(store.before_newest(&selection, PAGE)?);
    let (names, found) = (store.names()?, store.records(&selection, after, PAGE)?);
    Ok(found.iter().filter_map(|record| decision(app, record, &names)).collect())
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
                    Ok(heard) if heard.seq.is_some_and(|seq| seq <= self.up_to) => {}
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

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::super::app::tests::{app, run, somebody};
    use super::super::guard::Shown;
    use super::*;
    use crate::store::{Change, Enrolee, ReferenceSource};

    /// Enrols somebody without a face, so that there is a record.
    fn enrol(app: &App, name: &str) -> crate::compare::SubjectId {
        let model = crate::inference::ModelId::new("deepid2").unwrap();
        let (who, source) = (Enrolee::New(name), ReferenceSource::Image);
        let change = Change::Enrol { who, references: &[], source, model: &model };
        let anna = somebody("anna", Role::Administrator);
        app.acting(&anna, |store, by| store.administer(change, by)).unwrap().subject.unwrap()
    }

    #[test]
    fn nothing_is_asked_while_nobody_listens_and_nothing_is_lost_to_whoever_comes() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app(folder.path());
        enrol(&app, "before");
        let held = app.database();
        // It would hang if it asked the database, which is held.
        let teller = run(Teller::default().read(&app));
        assert_eq!(*heard_up_to(&app), None);
        drop(held);
        run(async {
            let mut heard = app.heard.subscribe();
            let from = app.read({
                let app = Arc::clone(&app);
                move |store| missed(&app, store, None)
            });
            assert!(from.await.unwrap().is_empty());
            enrol(&app, "after");
            let teller = teller.read(&app).await;
            let told = heard.try_recv().unwrap();
            let told = String::from_utf8(told.full.clone().unwrap().to_vec()).unwrap();
            assert!(told.contains("\"newest_seq\":2"), "{told}");
            drop(heard);
            teller.read(&app).await;
            assert_eq!(*heard_up_to(&app), None, "nobody listens any more");
        });
    }

    #[test]
    fn of_ten_thousand_events_who_reads_misses_none_and_who_does_not_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app(folder.path());
        let screen = somebody("hall", Role::Viewer);
        let Shown::Token(token) = screen.shown.clone() else { panic!("a token") };
        app.acting(&screen, |store, by| {
            store.add_account(&screen.account.name, Role::Viewer, &screen.account.password, by)?;
            store.add_token(&screen.account.name, &token, by)
        })
        .unwrap();
        run(async {
            let listens = || listen(State(Arc::clone(&app)), screen.clone(), HeaderMap::new());
            let mut reads = listens().await.unwrap().into_body().into_data_stream();
            let mut sleeps = listens().await.unwrap().into_body().into_data_stream();
            let next = async |stream: &mut axum::body::BodyDataStream| loop {
                let text = String::from_utf8(stream.next().await?.unwrap().to_vec()).unwrap();
                if text.starts_with("event: numbered") {
                    return Some(text);
                }
            };
            for number in 0..10_000 {
                send(&app, Heard::full("numbered", &json!({ "number": number })));
                let text = next(&mut reads).await.unwrap();
                assert!(text.contains(&format!("\"number\":{number}}}")), "{text}");
            }
            assert_eq!(next(&mut sleeps).await, None, "it is behind by all of it");
            drop((reads, sleeps));
            assert!(!app.is_listening(&screen.shown.key()), "nothing is kept of them");
        });
    }

    #[test]
    fn names_are_new_after_a_change_of_the_pages_own() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app(folder.path());
        let id = enrol(&app, "Anna");
        let _heard = app.heard.subscribe();
        let mut teller = Teller::default();
        teller.look(&app).unwrap();
        assert_eq!(teller.names.get(&id).map(String::as_str), Some("Anna"));
        let anna = somebody("anna", Role::Administrator);
        let change = Change::Rename { subject: &id, name: "Hanna" };
        app.acting(&anna, |store, by| store.administer(change, by)).unwrap();
        teller.look(&app).unwrap();
        assert_eq!(teller.names.get(&id).map(String::as_str), Some("Hanna"));
    }

    #[test]
    fn what_the_database_does_not_give_now_is_told_later() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app(folder.path());
        let mut heard = app.heard.subscribe();
        run(async {
            let teller = Teller::default().read(&app).await;
            enrol(&app, "Anna");
            let beside = rusqlite::Connection::open(folder.path().join("door.db")).unwrap();
            beside.execute_batch("ALTER TABLE audit RENAME TO away").unwrap();
            let teller = teller.read(&app).await;
            assert!(heard.try_recv().is_err());
            beside.execute_batch("ALTER TABLE away RENAME TO audit").unwrap();
            teller.read(&app).await;
            assert!(heard.try_recv().is_ok(), "the record is told");
        });
    }
}
