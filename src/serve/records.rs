//! What the door did, a page at a time, and as a file to carry away.
//!
//! In: which records. Out: JSON, CSV (RFC 4180), JSON lines. Invariants: one page of records is held at a
//! time, however many there are; a record that cannot be read is told as such and ends nothing; a file that
//! cannot be written to its end is broken off, so that nobody takes it for whole; a cell of CSV that a
//! spreadsheet would take for a formula is told as text.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use axum::Json as Answer;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::{IntoParams, ToSchema};

use super::app::{App, blocking};
use super::feed::SubjectShown;
use super::problem::Problem;
use crate::clock::rfc3339;
use crate::compare::SubjectId;
use crate::publish::message::Audit;
use crate::store::{Names, Selection, StoredRecord, csv_row};

/// Records of a page unless asked otherwise, and at most.
const LIMIT: u32 = 50;
const LIMIT_MAX: u32 = 500;
/// Records that are held while a file is written.
const CHUNK: u32 = 256;

/// Events of the door itself; all others are of administration.
const SYSTEM: &[&str] = &[
    "started",
    "stopped",
    "configuration_reloaded",
    "configuration_refused",
    "door_contested",
    "camera_changed",
    "requested",
];
const DECISIONS: [&str; 4] = ["granted", "denied", "unknown", "ambiguous"];

/// Which records.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Older than this one.
    #[param(nullable = false)]
    before: Option<u64>,
    /// How many of them, where they are told a page at a time; 50 unless said otherwise.
    #[param(nullable = false, minimum = 1, maximum = 500)]
    limit: Option<u32>,
    #[param(nullable = false, inline)]
    kind: Option<KindAsked>,
    #[param(nullable = false, inline)]
    outcome: Option<OutcomeAsked>,
    /// About the subject of this id.
    #[param(nullable = false, pattern = "^s-[0-9a-f]{6,16}$")]
    subject: Option<String>,
    /// Made at or after this time, to the millisecond.
    #[param(nullable = false, format = DateTime)]
    from: Option<String>,
    /// Made before this time.
    #[param(nullable = false, format = DateTime)]
    to: Option<String>,
}

/// Which kind of records.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum KindAsked {
    Decision,
    Administration,
    System,
}

/// Decisions that came out so.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum OutcomeAsked {
    Granted,
    Denied,
    Unknown,
    Ambiguous,
}

impl OutcomeAsked {
    const fn word(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// All decisions.
pub(super) fn decisions() -> Selection {
    Selection { outcomes: DECISIONS.to_vec(), ..Selection::default() }
}

impl Asked {
    fn selection(&self) -> Result<Selection, Problem> {
        let time = |text: &Option<String>| {
            let parse = |text: &String| {
                text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond).map_err(|_| {
                    Problem::wrong("'from' and 'to' are times such as 2026-12-24T18:30:00Z")
                })
            };
            text.as_ref().map(parse).transpose()
        };
        let mut selection = Selection {
            since_ms: time(&self.from)?,
            until_ms: time(&self.to)?,
            ..Selection::default()
        };
        match self.kind {
            None => {}
            Some(KindAsked::Decision) => selection.outcomes = DECISIONS.to_vec(),
            Some(KindAsked::Administration) => {
                selection.outcomes = vec!["administrative"];
                selection.events_left_out = SYSTEM.to_vec();
            }
            Some(KindAsked::System) => {
                selection.outcomes = vec!["administrative"];
                selection.events = SYSTEM.to_vec();
            }
        }
        if let Some(outcome) = self.outcome {
            selection.outcomes = vec![outcome.word()];
        }
        if let Some(subject) = &self.subject {
            let id = SubjectId::new(subject);
            selection.subject = Some(id.map_err(|_| Problem::wrong("'subject' is an id"))?);
        }
        Ok(selection)
    }

    /// How many records a page has.
    fn limit(&self) -> Result<u32, Problem> {
        let limit = self.limit.unwrap_or(LIMIT);
        if (1..=LIMIT_MAX).contains(&limit) {
            return Ok(limit);
        }
        Err(Problem::wrong(format!("'limit' is 1 to {LIMIT_MAX}")))
    }

    /// The record before which they are told; none has a number beyond what the database can hold.
    fn before(&self) -> Result<u64, Problem> {
        let most = i64::MAX.unsigned_abs();
        let before = self.before.unwrap_or(most);
        if before <= most {
            return Ok(before);
        }
        Err(Problem::wrong(format!("'before' is {most} at most")))
    }
}

/// A page of records, the newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct RecordsPage {
    records: Vec<RecordShown>,
    /// What `before` has to be for the next page; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<u64>,
}

/// A record as a page shows it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecordShown {
    seq: u64,
    /// When it was made.
    at: String,
    /// `decision`, the name of an administrative event, or `unreadable`.
    kind: String,
    /// Of a decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    /// Of a decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Whom it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<SubjectShown>,
    /// The account of the page that did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    sentence: String,
    /// What else the topic `audit` says of it.
    #[schema(value_type = Object)]
    details: Map<String, Json>,
}

/// A decision as a screen at the door may show it: no score, no id, and a name only where that is wanted.
#[derive(Debug, Serialize)]
pub(super) struct ShortDecision<'a> {
    seq: u64,
    at: &'a str,
    outcome: Option<&'a str>,
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<NameShown<'a>>,
}

/// A name alone.
#[derive(Debug, Serialize)]
struct NameShown<'a> {
    name: &'a str,
}

/// `GET /api/v1/records`
pub(super) async fn page(
    State(app): State<Arc<App>>,
    Query(asked): Query<Asked>,
) -> Result<Answer<RecordsPage>, Problem> {
    let selection = asked.selection()?;
    let (limit, before) = (asked.limit()?, asked.before()?);
    let page = app.read(move |store| {
        let names = store.names()?;
        let found = store.records_before(&selection, before, limit)?;
        let next_before =
            found.last().filter(|_| found.len() == limit as usize).map(StoredRecord::seq);
        let records = found.iter().map(|record| RecordShown::of(record, &names)).collect();
        Ok(RecordsPage { records, next_before })
    });
    Ok(Answer(page.await?))
}

impl RecordShown {
    /// What is told of `stored`.
    pub(super) fn of(stored: &StoredRecord, names: &Names) -> Self {
        let record = match &stored.record {
            Ok(record) => record,
            Err(unreadable) => {
                return Self {
                    seq: unreadable.seq,
                    at: rfc3339(unreadable.issued_ms),
                    kind: "unreadable".to_owned(),
                    outcome: None,
                    reason: None,
                    subject: None,
                    by: None,
                    sentence: "this version cannot read the record".to_owned(),
                    details: Map::new(),
                };
            }
        };
        let wire = serde_json::to_value(Audit::of(record, false)).unwrap_or_default();
        let decision = wire.get("decision");
        let body = decision.or_else(|| wire.get("administrative"));
        let mut details = body.and_then(Json::as_object).cloned().unwrap_or_default();
        // It is for whoever hears the topics, and for nobody who looks at a page over somebody's shoulder.
        details.remove("duress");
        let mut take = |name: &str| match details.remove(name) {
            Some(Json::String(text)) => Some(text),
            _ => None,
        };
        let is_decision = decision.is_some();
        let [event, id] = ["event", "subject"].map(&mut take);
        // What is called so in an event of administration is one of its details.
        let [outcome, reason] =
            ["outcome", "reason"].map(|name| if is_decision { take(name) } else { None });
        let kind = if is_decision { "decision".to_owned() } else { event.unwrap_or_default() };
        let subject = id.and_then(|id| SubjectId::new(&id).ok());
        let subject = subject.map(|id| SubjectShown { name: names.get(&id).cloned(), id });
        let who = subject
            .as_ref()
            .map(|subject| subject.name.as_deref().unwrap_or_else(|| subject.id.as_str()));
        let sentence = match (&outcome, &reason, who) {
            (Some(outcome), Some(reason), who) if is_decision => {
                format!("{}: {outcome} ({reason})", who.unwrap_or("somebody"))
            }
            (_, _, Some(who)) => format!("{}: {who}", kind.replace('_', " ")),
            _ => kind.replace('_', " "),
        };
        details.insert("clock".to_owned(), serde_json::to_value(record.clock).unwrap_or_default());
        details.insert("acknowledged".to_owned(), (!stored.waiting).into());
        Self {
            seq: record.seq,
            at: rfc3339(record.issued_ms),
            kind,
            outcome,
            reason,
            subject,
            by: record.by.as_ref().map(ToString::to_string),
            sentence,
            details,
        }
    }

    /// Whether it is a decision.
    pub(super) fn is_decision(&self) -> bool {
        self.outcome.is_some()
    }

    /// The same for a screen at the door.
    pub(super) fn at_the_door(&self, with_name: bool) -> ShortDecision<'_> {
        let name = self.subject.as_ref().and_then(|subject| subject.name.as_deref());
        ShortDecision {
            seq: self.seq,
            at: &self.at,
            outcome: self.outcome.as_deref(),
            reason: self.reason.as_deref(),
            subject: name.filter(|_| with_name).map(|name| NameShown { name }),
        }
    }
}

/// Forms of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    Lines,
}

/// `GET /api/v1/records.csv`
pub(super) async fn csv(
    State(app): State<Arc<App>>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    file(app, &asked, Form::Csv).await
}

/// `GET /api/v1/records.jsonl`
pub(super) async fn lines(
    State(app): State<Arc<App>>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    file(app, &asked, Form::Lines).await
}

/// The columns of CSV, as paths into the JSON.
const COLUMNS: [&str; 18] = [
    "seq",
    "at",
    "kind",
    "outcome",
    "reason",
    "subject.id",
    "subject.name",
    "by",
    "details.score",
    "details.threshold",
    "details.metric",
    "details.margin",
    "details.claimed_fmr",
    "details.faces",
    "details.frames.agreeing",
    "details.frames.considered",
    "details.latency_ms.first_frame_to_decision",
    "details.clock",
];

/// A file that is being written.
struct Writing {
    app: Arc<App>,
    selection: Selection,
    form: Form,
    after: u64,
    before: u64,
    names: Names,
    head: bool,
}

async fn file(app: Arc<App>, asked: &Asked, form: Form) -> Result<Response, Problem> {
    asked.limit()?;
    let (selection, before) = (asked.selection()?, asked.before()?);
    let names = app.read(|store| Ok(store.names()?)).await?;
    let head = form == Form::Csv;
    let writing = Writing { app, selection, form, after: 0, before, names, head };
    let chunks = stream::try_unfold(writing, Writing::next);
    let (kind, name) = match form {
        Form::Csv => ("text/csv; charset=utf-8", "records.csv"),
        Form::Lines => ("application/jsonl", "records.jsonl"),
    };
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, &disposition)];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

impl Writing {
    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// It cannot be made, so that the connection is broken off; the log says why.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if std::mem::take(&mut self.head) {
            let head = format!("{}\r\n", COLUMNS.join(","));
            return Ok(Some((head.into(), self)));
        }
        let done = blocking(move || {
            let found = self.app.database().records(&self.selection, self.after, CHUNK)?;
            let mut text = String::new();
            for record in found.iter().filter(|record| record.seq() < self.before) {
                let shown = RecordShown::of(record, &self.names);
                let value = serde_json::to_value(&shown).map_err(|e| Problem::inside(&e))?;
                match self.form {
                    Form::Lines => {
                        let _infallible = writeln!(text, "{value}");
                    }
                    Form::Csv => text.push_str(&row(&value)?),
                }
            }
            let Some(last) = found.last() else { return Ok(None) };
            self.after = if last.seq() >= self.before { u64::MAX } else { last.seq() };
            Ok(Some((Bytes::from(text), self)))
        });
        done.await.map_err(|problem| {
            tracing::warn!(?problem, "a file of records was broken off");
            io::Error::other("the records cannot be read to their end")
        })
    }
}

fn row(value: &Json) -> Result<String, Problem> {
    let cell = |column: &&str| {
        let found = column.split('.').try_fold(value, |at, key| at.get(key));
        found.map_or_else(String::new, |value| {
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        })
    };
    csv_row(COLUMNS.iter().map(cell)).map_err(|error| Problem::inside(&error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::app::tests::{app, run, somebody};
    use super::*;
    use crate::clock::Clock as _;
    use crate::store::{Administrative, ConfigurationRefusal, Role};

    #[test]
    fn a_row_has_a_cell_for_each_column_and_none_is_a_formula() {
        let value = json!({
            "seq": 7, "subject": { "name": "=1+1" }, "details": { "score": -0.25 },
        });
        let row = row(&value).unwrap();
        assert!(
            row.starts_with("7,") && row.contains(",'=1+1,") && row.contains(",-0.25,"),
            "{row}"
        );
    }

    #[test]
    fn a_screen_at_the_door_hears_of_no_score_and_no_id() {
        let told = RecordShown {
            seq: 7,
            at: "t".to_owned(),
            kind: "decision".to_owned(),
            outcome: Some("granted".to_owned()),
            reason: Some("matched".to_owned()),
            subject: Some(SubjectShown {
                id: SubjectId::new("s-4f9a1c").unwrap(),
                name: Some("Anna".to_owned()),
            }),
            by: None,
            sentence: "Anna".to_owned(),
            details: [("score".to_owned(), json!(0.7))].into_iter().collect(),
        };
        let short = |names| serde_json::to_value(told.at_the_door(names)).unwrap();
        assert_eq!(
            short(false),
            json!({ "seq": 7, "at": "t", "outcome": "granted", "reason": "matched" })
        );
        assert_eq!(short(true)["subject"], json!({ "name": "Anna" }));
    }

    #[test]
    fn the_reason_of_an_event_is_one_of_its_details() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app(folder.path());
        let reason = ConfigurationRefusal::NotToml;
        let event = Administrative::ConfigurationRefused { reason, keys: Vec::new() };
        app.acting(&somebody("anna", Role::Administrator), |store, by| {
            store.record_admin(event, by.door, by.boot, by.now, by.wall).unwrap();
        });
        let stored = app.database().records(&Selection::default(), 0, 1).unwrap();
        let told = RecordShown::of(stored.first().unwrap(), &Names::default());
        assert_eq!(told.details["reason"], "not_toml");
        assert_eq!((told.outcome, told.reason), (None, None), "it is no decision");
    }

    #[test]
    fn a_page_tells_nothing_of_duress() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app(folder.path());
        let anna = somebody("anna", Role::Administrator);
        let subject = SubjectId::new("s-4f9a1c").unwrap();
        let shown = |event: Administrative| {
            let seq = app.acting(&anna, |store, by| {
                store.record_admin(event, by.door, by.boot, by.now, by.wall).unwrap().seq
            });
            let stored = app.database().records(&Selection::default(), seq - 1, 1).unwrap();
            let mut told = RecordShown::of(stored.first().unwrap(), &Names::default());
            (told.seq, told.at) = (0, String::new());
            serde_json::to_value(told).unwrap()
        };
        let [marked, free] = [true, false]
            .map(|duress| Administrative::SubjectMarked { subject: subject.clone(), duress });
        let told = shown(marked);
        assert_eq!(told["kind"], "subject_marked");
        assert_eq!(told, shown(free));
        let [forced, free] = [true, false].map(|duress| {
            let subject = subject.clone();
            Administrative::PinEntered { subject, right: true, duress }
        });
        assert_eq!(shown(forced), shown(free));
        let wall = app.clock.wall();
        let decided = |duress| crate::decide::Decision {
            verdict: crate::decide::Verdict::Granted { subject: subject.clone() },
            evidence: None,
            faces: 1,
            frames: crate::decide::FramesCounted { agreeing: 3, considered: 3 },
            decided_at: app.clock.now(),
            wall,
            latency: crate::decide::DecisionLatency::default(),
            duress,
            passback: false,
            passed: None,
            liveness: None,
        };
        let [forced, free] = [true, false].map(|duress| {
            let made = app.database().record_decision(&decided(duress), "front", app.boot);
            let before = made.unwrap().seq - 1;
            let stored = app.database().records(&Selection::default(), before, 1).unwrap();
            let mut told = RecordShown::of(stored.first().unwrap(), &Names::default());
            (told.seq, told.at) = (0, String::new());
            serde_json::to_string(&told).unwrap()
        });
        assert_eq!(forced, free);
    }

    #[test]
    fn a_file_that_cannot_be_written_to_its_end_is_broken_off() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app(folder.path());
        let anna = somebody("anna", Role::Administrator);
        app.acting(&anna, |store, by| {
            for _ in 0..=CHUNK {
                let event = Administrative::LiveViewWatched;
                store.record_admin(event, by.door, by.boot, by.now, by.wall).unwrap();
            }
        });
        for form in [Form::Csv, Form::Lines] {
            let writing = || Writing {
                app: Arc::clone(&app),
                selection: Selection::default(),
                form,
                after: 0,
                before: u64::MAX,
                names: Names::default(),
                head: false,
            };
            run(async {
                let (first, rest) = writing().next().await.unwrap().unwrap();
                assert!(!first.is_empty());
                let (last, end) = rest.next().await.unwrap().unwrap();
                assert!(!last.is_empty());
                assert!(end.next().await.unwrap().is_none(), "it is whole");
                let (_, rest) = writing().next().await.unwrap().unwrap();
                let beside = rusqlite::Connection::open(folder.path().join("door.db")).unwrap();
                beside.execute_batch("ALTER TABLE audit RENAME TO away").unwrap();
                assert!(rest.next().await.is_err(), "no end in order");
                beside.execute_batch("ALTER TABLE away RENAME TO audit").unwrap();
            });
        }
    }
}
