//! Strangers who have just been at the door, and the enrolment of one of them.
//!
//! In: from the desk, which visits it remembers; from an administrator, which one is whose. Out: when each
//! was, how good its faces are and for how long it is remembered; references, made and recorded by the desk
//! as every enrolment is. Invariants: one question at a time stands among the desk's orders, whoever asks and
//! however often; nothing of a picture or a vector comes here; a visit is enrolled once. Deliberately absent:
//! whether the visitor was a living face, which nobody has looked at of a stranger; the page says so.

use std::sync::Arc;
use std::time::Duration;

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use tokio::sync::oneshot;
use utoipa::ToSchema;
use uuid::Uuid;

use super::app::App;
use super::body;
use super::guard::Identity;
use super::guided::Wanted;
use super::people::{self, Person};
use super::pictures::in_words;
use super::problem::Problem;
use crate::clock::rfc3339;
use crate::compare::SubjectId;
use crate::enrol::{EnrolError, Warning, Wish};
use crate::policy::RuleName;
use crate::store::{Body as RecordBody, Store};

const BODY_MAX: usize = 8 * 1024;
/// For so long the desk may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// What the page asks of whoever remembers strangers: the desk.
#[derive(Debug)]
pub enum Asked {
    /// Which visits are remembered, the newest first.
    List(oneshot::Sender<Vec<Remembered>>),
    /// Enrol one of them.
    Enrol(Wished, oneshot::Sender<Result<Enrolled, Refused>>),
}

/// Hands what is asked to the desk, without waiting; whether there was room for it.
pub type AskDesk = Box<dyn Fn(Asked) -> bool + Send + Sync>;

/// A stranger's visit as the desk remembers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    /// The id of its decision.
    pub id: Uuid,
    /// The number of its record.
    pub seq: u64,
    /// How many faces of it are remembered, 1 to 5.
    pub faces: usize,
    /// How good the best of them is as evidence, 0 to 1.
    pub quality: f32,
    /// For how long it is still remembered.
    pub left: Duration,
}

/// Which visit is whose, and who says so.
#[derive(Debug)]
pub struct Wished {
    /// The id of its decision.
    pub visit: Uuid,
    /// The name, or the id of who gets further references.
    pub name: String,
    /// What is wished under that name.
    pub wish: Wish,
    /// The account that asks.
    pub by: RuleName,
}

/// Who was enrolled.
#[derive(Debug)]
pub struct Enrolled {
    /// Who.
    pub subject: SubjectId,
    /// How many references were added.
    pub references: u64,
    /// What somebody should look at again.
    pub warnings: Vec<Warning>,
}

/// Why nobody was.
#[derive(Debug)]
pub enum Refused {
    /// No such visit is remembered; the sentence says for how long visits are.
    Gone(String),
    /// The enrolment's own checks, or what failed at it.
    Enrol(Box<EnrolError>),
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Gone(what) => {
                Self::absent(&what).helped("have that person come again, or enrol another way")
            }
            Refused::Enrol(error) => (*error).into(),
        }
    }
}

/// The visits of strangers that may be enrolled.
#[derive(Serialize, ToSchema)]
pub(super) struct VisitList {
    /// For how many minutes a visit is remembered; 0 where none is.
    minutes: u64,
    /// How to have visits remembered, where none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
    /// The newest first.
    visits: Vec<Visit>,
}

/// A stranger's visit that may be enrolled.
#[derive(Serialize, ToSchema)]
pub(super) struct Visit {
    /// By which it is enrolled: the id of its decision.
    #[schema(value_type = String)]
    id: Uuid,
    /// The number of its record.
    seq: u64,
    /// When it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// From the capture of its first face to the decision, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    lasted_ms: Option<u64>,
    /// How many faces of it are remembered; each becomes a reference.
    faces: usize,
    /// How good the best of them is as evidence, 0 to 1.
    quality: f32,
    /// For how many seconds it is still remembered.
    left_s: u64,
}

impl Visit {
    /// What is told of `remembered`, with what its record in `store` says.
    fn of(remembered: &Remembered, store: &Store) -> Result<Self, Problem> {
        let Remembered { id, seq, faces, quality, left } = *remembered;
        let stored = store.stored_record(seq)?;
        let record = stored.and_then(|stored| stored.record.ok()).filter(|record| record.id == id);
        let lasted_us = record.as_ref().and_then(|record| match &record.body {
            RecordBody::Decision(decision) => Some(decision.first_frame_us),
            RecordBody::Administrative(_) => None,
        });
        let at = record.map(|record| rfc3339(record.issued_ms));
        let lasted_ms = lasted_us.map(|us| us / 1000);
        Ok(Self { id, seq, at, lasted_ms, faces, quality, left_s: left.as_secs() })
    }
}

/// How visits come to be remembered.
const SWITCH_ON: &str = "the door remembers no visits: set policy.recall_minutes, to 10 say, in the configuration, and 'systemctl reload deepid-edge'";

/// `GET /api/v1/visits`
pub(super) async fn list(State(app): State<Arc<App>>) -> Result<Answer<VisitList>, Problem> {
    let minutes = app.feed.config().policy.recall_minutes;
    if minutes == 0 {
        return Ok(Answer(VisitList { minutes, remedy: Some(SWITCH_ON), visits: Vec::new() }));
    }
    let remembered = ask(&app, Asked::List).await?;
    let visits =
        app.read(move |store| remembered.iter().map(|one| Visit::of(one, store)).collect());
    Ok(Answer(VisitList { minutes, remedy: None, visits: visits.await? }))
}

/// Somebody who was enrolled from a visit.
#[derive(Serialize, ToSchema)]
pub(super) struct EnrolledVisit {
    subject: Person,
    /// How many references were added.
    references: u64,
    /// What somebody should look at again.
    warnings: Vec<String>,
}

/// `POST /api/v1/visits/ID/enrol`
pub(super) async fn enrol(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
    body: Body,
) -> Result<Answer<EnrolledVisit>, Problem> {
    let (name, wish) = body::json::<Wanted>(body, BODY_MAX).await?.wish()?;
    let visit = id.parse().map_err(|_| Problem::absent("a visit is named by a UUID"))?;
    let by = who.account.name.clone();
    if app.feed.config().policy.recall_minutes == 0 {
        return Err(Problem::absent("the door remembers no visits").helped(SWITCH_ON));
    }
    let wished = Wished { visit, name, wish, by };
    let enrolled = ask(&app, |reply| Asked::Enrol(wished, reply)).await??;
    let Enrolled { subject, references, warnings } = enrolled;
    let subject = app.read(move |store| people::tell(store, &subject)).await?;
    let warnings = warnings.iter().map(in_words).collect();
    Ok(Answer(EnrolledVisit { subject, references, warnings }))
}

/// What the desk answers. One question at a time, also of those who go away before the answer: its orders
/// have few places, and decisions need them.
async fn ask<T: Send + 'static>(
    app: &Arc<App>,
    asked: impl FnOnce(oneshot::Sender<T>) -> Asked,
) -> Result<T, Problem> {
    let turn = Arc::clone(&app.asking).try_acquire_owned();
    let turn = turn.map_err(|_| Problem::too_many("somebody else asks that just now", 1))?;
    let (reply, replied) = oneshot::channel();
    if !(app.desk)(asked(reply)) {
        return Err(busy());
    }
    let waiting = tokio::spawn(async move {
        let _turn = turn;
        tokio::time::timeout(ANSWERED_WITHIN, replied).await
    });
    match waiting.await {
        Ok(Ok(Ok(answer))) => Ok(answer),
        _ => Err(busy()),
    }
}

fn busy() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is busy, or ends")
        .helped("the list of people says whether somebody was enrolled; try again")
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use serde_json::{Value as Json, json};

    use super::super::app::tests::{app_before, run, somebody};
    use super::*;
    use crate::store::Role;

    /// The status and the JSON of an answer.
    async fn told(answer: Result<impl IntoResponse, Problem>) -> (u16, Json) {
        let response = answer.map_or_else(Problem::into_response, IntoResponse::into_response);
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    fn remembered(id: Uuid) -> Remembered {
        Remembered { id, seq: 7, faces: 3, quality: 0.5, left: Duration::from_millis(61_900) }
    }

    #[test]
    fn what_the_desk_remembers_is_listed_also_where_the_record_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let id = Uuid::from_u128(7);
        let (app, _running) = app_before(
            folder.path(),
            Box::new(move |asked| match asked {
                Asked::List(reply) => reply.send(vec![remembered(id)]).is_ok(),
                Asked::Enrol(..) => false,
            }),
        );
        let (status, listed) = run(async { told(list(State(Arc::clone(&app))).await).await });
        assert_eq!(status, 200);
        let visit = json!({ "id": id, "seq": 7, "faces": 3, "quality": 0.5, "left_s": 61 });
        assert_eq!(listed, json!({ "minutes": 10, "visits": [visit] }));
    }

    #[test]
    fn one_question_at_a_time_stands_among_the_desks_orders() {
        let folder = tempfile::tempdir().unwrap();
        let held = Arc::new(std::sync::Mutex::new(Vec::new()));
        let keeps = Arc::clone(&held);
        let desk = move |asked| {
            keeps.lock().unwrap().push(asked);
            true
        };
        let (app, _running) = app_before(folder.path(), Box::new(desk));
        run(async {
            // Whoever asked goes away, and the question stands among the orders all the same.
            let first = tokio::spawn(list(State(Arc::clone(&app))));
            while held.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            first.abort();
            drop(first.await);
            let (status, _) = told(list(State(Arc::clone(&app))).await).await;
            assert_eq!(status, 429);
            assert_eq!(held.lock().unwrap().len(), 1);
            let Some(Asked::List(reply)) = held.lock().unwrap().pop() else { panic!("a question") };
            drop(reply);
            while app.asking.available_permits() == 0 {
                tokio::task::yield_now().await;
            }
        });
    }

    #[test]
    fn a_desk_that_has_no_room_or_no_answer_is_told_and_who_asks_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app_before(folder.path(), Box::new(|_| false));
        let anna = somebody("anna", Role::Administrator);
        let ask = |app: &Arc<App>, body: Json| {
            let (state, id) = (State(Arc::clone(app)), Uuid::from_u128(7).to_string());
            let body = Body::from(body.to_string());
            run(async { told(enrol(state, anna.clone(), Path(id), body).await).await })
        };
        assert_eq!(ask(&app, json!({ "name": "Ada" })).0, 503);
        for wrong in [json!({}), json!({ "name": "Ada", "subject": "s-000001" }), json!(7)] {
            assert_eq!(ask(&app, wrong.clone()).0, 422, "{wrong}");
        }
        let folder = tempfile::tempdir().unwrap();
        let desk = |asked| {
            let Asked::Enrol(wished, reply) = asked else { return false };
            assert_eq!((wished.by.as_str(), wished.wish), ("anna", Wish::Add));
            let gone = format!("no stranger's visit {} is remembered", wished.visit);
            reply.send(Err(Refused::Gone(gone))).is_ok()
        };
        let (app, _running) = app_before(folder.path(), Box::new(desk));
        let (status, told) = ask(&app, json!({ "subject": "s-000001" }));
        assert_eq!(status, 404, "{told}");
        assert!(told["remedy"].is_string(), "{told}");
    }
}
