//! What the door did, a page at a time, and as a file to carry away.
//!
//! In: which records. Out: JSON, CSV (RFC 4180), JSON lines. Invariants: one page of records is held at a
//! time, however many there are; a record that cannot be read is told as such and ends nothing; a cell of
//! CSV that a spreadsheet would take for a formula is told as text.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json as Answer;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::app::{App, blocking};
use super::events::{Names, name_of, names};
use super::problem::Problem;
use super::read::object;
use crate::clock::rfc3339;
use crate::compare::SubjectId;
use crate::publish::message::Audit;
use crate::store::{Selection, StoredRecord};

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
#[derive(Deserialize)]
pub(super) struct Asked {
    before: Option<u64>,
    limit: Option<u32>,
    kind: Option<String>,
    outcome: Option<String>,
    subject: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

impl Asked {
    fn selection(&self) -> Result<Selection, Problem> {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let time = |text: &Option<String>| {
            let parse = |text: String| {
                text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond).map_err(|_| {
                    Problem::wrong("'from' and 'to' are times such as 2026-12-24T18:30:00Z")
                })
            };
            filled(text).map(parse).transpose()
        };
        let mut selection = Selection {
            since_ms: time(&self.from)?,
            until_ms: time(&self.to)?,
            ..Selection::default()
        };
        match filled(&self.kind).as_deref() {
            None => {}
            Some("decision") => selection.outcomes = DECISIONS.to_vec(),
            Some("administration") => {
                selection.outcomes = vec!["administrative"];
                selection.events_left_out = SYSTEM.to_vec();
            }
            Some("system") => {
                selection.outcomes = vec!["administrative"];
                selection.events = SYSTEM.to_vec();
            }
            Some(_) => {
                return Err(Problem::wrong("'kind' is decision, administration or system"));
            }
        }
        if let Some(outcome) = filled(&self.outcome) {
            let known = DECISIONS.iter().find(|known| **known == outcome);
            let known = known.ok_or_else(|| {
                Problem::wrong("'outcome' is granted, denied, unknown or ambiguous")
            })?;
            selection.outcomes = vec![known];
        }
        if let Some(subject) = filled(&self.subject) {
            let id = SubjectId::new(&subject);
            selection.subject = Some(id.map_err(|_| Problem::wrong("'subject' is an id"))?);
        }
        Ok(selection)
    }
}

/// `GET /api/v1/records`
pub(super) async fn page(
    State(app): State<Arc<App>>,
    Query(asked): Query<Asked>,
) -> Result<Answer<Json>, Problem> {
    let selection = asked.selection()?;
    let limit = asked.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let before = asked.before.unwrap_or(u64::MAX);
    let page = app.read(move |store| {
        let names = names(store)?;
        let found = store.records_before(&selection, before, limit)?;
        let next = found.last().filter(|_| found.len() == limit as usize).map(StoredRecord::seq);
        let records: Vec<Json> = found.iter().map(|record| as_json(record, &names)).collect();
        Ok(object(json!({ "records": records, "next_before": next })))
    });
    Ok(Answer(page.await?))
}

/// A record as a page shows it.
pub(super) fn as_json(stored: &StoredRecord, names: &Names) -> Json {
    let record = match &stored.record {
        Ok(record) => record,
        Err(unreadable) => {
            return json!({
                "seq": unreadable.seq,
                "at": rfc3339(unreadable.issued_ms),
                "kind": "unreadable",
                "sentence": "this version cannot read the record",
                "details": {},
            });
        }
    };
    let wire = serde_json::to_value(Audit::of(record, false)).unwrap_or_default();
    let (decision, event) = (wire.get("decision"), wire.get("administrative"));
    let text = |value: Option<&Json>| value.and_then(Json::as_str).map(str::to_owned);
    let body = decision.or(event).cloned().unwrap_or_default();
    let kind = if decision.is_some() {
        "decision".to_owned()
    } else {
        text(body.get("event")).unwrap_or_default()
    };
    let (outcome, reason) = match decision {
        Some(decision) => (text(decision.get("outcome")), text(decision.get("reason"))),
        None => (None, None),
    };
    let id = text(body.get("subject"));
    let name = id.as_deref().and_then(|id| name_of(names, id));
    let who = name.or(id.as_deref()).unwrap_or("somebody");
    let sentence = match (&outcome, &reason) {
        (Some(outcome), Some(reason)) if id.is_some() => format!("{who}: {outcome} ({reason})"),
        (Some(outcome), Some(reason)) => format!("somebody: {outcome} ({reason})"),
        _ if id.is_some() => format!("{}: {who}", kind.replace('_', " ")),
        _ => kind.replace('_', " "),
    };
    let mut details = body;
    if let Json::Object(fields) = &mut details {
        for known in ["event", "outcome", "reason", "subject"] {
            fields.remove(known);
        }
        fields.insert("clock".to_owned(), json!(record.clock));
        fields.insert("acknowledged".to_owned(), (!stored.waiting).into());
    }
    object(json!({
        "seq": record.seq,
        "at": rfc3339(record.issued_ms),
        "kind": kind,
        "outcome": outcome,
        "reason": reason,
        "subject": id.map(|id| object(json!({ "id": id, "name": name }))),
        "by": record.by,
        "sentence": sentence,
        "details": details,
    }))
}

/// A decision as a screen at the door may show it: no score, no id, and a name only where that is
/// wanted.
pub(super) fn for_the_door(told: &Json, with_name: bool) -> Json {
    let name = told.pointer("/subject/name").filter(|_| with_name);
    object(json!({
        "seq": told.get("seq"),
        "at": told.get("at"),
        "outcome": told.get("outcome"),
        "reason": told.get("reason"),
        "subject": name.map(|name| json!({ "name": name })),
    }))
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

/// Where a file that is being written is.
struct Writing {
    app: Arc<App>,
    selection: Selection,
    form: Form,
    after: u64,
    before: u64,
    names: Option<Names>,
    head: bool,
}

async fn file(app: Arc<App>, asked: &Asked, form: Form) -> Result<Response, Problem> {
    let (selection, before) = (asked.selection()?, asked.before.unwrap_or(u64::MAX));
    let names = app.read(names).await?;
    let writing = Writing {
        app,
        selection,
        form,
        after: 0,
        before,
        names: Some(names),
        head: form == Form::Csv,
    };
    let chunks = stream::unfold(writing, |writing| async {
        let (bytes, writing) = writing.next().await?;
        Some((Ok::<_, Infallible>(bytes), writing))
    });
    let (kind, name) = match form {
        Form::Csv => ("text/csv; charset=utf-8", "records.csv"),
        Form::Lines => ("application/jsonl", "records.jsonl"),
    };
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, &disposition)];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

impl Writing {
    /// The next chunk; `None` at the end. What fails on the way ends the file, and the log says why.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if std::mem::take(&mut self.head) {
            let head = format!("{}\r\n", COLUMNS.join(","));
            return Some((head.into(), self));
        }
        let done = blocking(move || {
            let store = self.app.database();
            let found = store.records(&self.selection, self.after, CHUNK)?;
            drop(store);
            let names = self.names.take().unwrap_or_default();
            let mut text = String::new();
            for record in found.iter().filter(|record| record.seq() < self.before) {
                let value = as_json(record, &names);
                match self.form {
                    Form::Lines => {
                        let _infallible = writeln!(text, "{value}");
                    }
                    Form::Csv => text.push_str(&row(&value)),
                }
            }
            self.names = Some(names);
            let Some(last) = found.last() else { return Ok(None) };
            self.after = if last.seq() >= self.before { u64::MAX } else { last.seq() };
            Ok(Some((Bytes::from(text), self)))
        });
        done.await.ok().flatten()
    }
}

fn row(value: &Json) -> String {
    let cell = |column: &&str| {
        let found = column.split('.').try_fold(value, |at, key| at.get(key));
        let text = found.map_or_else(String::new, |value| {
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        });
        // A number may begin with a minus; a text that does would be taken for a formula.
        if found.is_some_and(Json::is_string) && text.starts_with(['=', '+', '-', '@', '\t', '\r'])
        {
            format!("'{text}")
        } else {
            text
        }
    };
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let written = writer.write_record(COLUMNS.iter().map(cell)).is_ok();
    let bytes = writer.into_inner().unwrap_or_default();
    if written { String::from_utf8_lossy(&bytes).into_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_formula_and_a_number_is_a_number() {
        let value = json!({
            "seq": 7,
            "subject": { "name": "=HYPERLINK(\"http://evil.example\")" },
            "details": { "score": -0.25 },
        });
        let row = row(&value);
        assert!(row.contains("\"'=HYPERLINK(\"\"http://evil.example\"\")\""), "{row}");
        assert!(row.contains(",-0.25,"), "{row}");
    }

    #[test]
    fn a_screen_at_the_door_hears_of_no_score_and_no_id() {
        let told = json!({
            "seq": 7, "at": "t", "outcome": "granted", "reason": "matched", "sentence": "Anna",
            "subject": { "id": "s-4f9a1c", "name": "Anna" }, "details": { "score": 0.7 },
        });
        let short = for_the_door(&told, false);
        assert_eq!(
            short,
            json!({ "seq": 7, "at": "t", "outcome": "granted", "reason": "matched" })
        );
        assert_eq!(for_the_door(&told, true)["subject"], json!({ "name": "Anna" }));
    }
}
