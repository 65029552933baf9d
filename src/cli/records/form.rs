//! How records are written: as a table, as JSON lines, as CSV.
//!
//! In: a record, and names where they are wanted. Out: text. The JSON is what `audit` carries over
//! MQTT without what belongs to the message (`schema`, `late`), with `acknowledged`, and `name`
//! where names are wanted. Pure; CSV after RFC 4180, without formulas.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::super::exit::Kind;
use super::super::failure::Failure;
use crate::clock::{ClockTrust, rfc3339, utc};
use crate::compare::SubjectId;
use crate::publish::message::Audit;
use crate::store::{
    Administrative, AuditRecord, Body, Names, StoredRecord, UnreadableRecord, csv_row,
};

/// A form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Table,
    Lines,
    Csv,
}

/// The columns of CSV; `name` comes last, where names are wanted.
const COLUMNS: [&str; 23] = [
    "seq",
    "id",
    "issued",
    "clock",
    "door",
    "boot",
    "monotonic_ms",
    "acknowledged",
    "outcome",
    "reason",
    "subject",
    "score",
    "threshold",
    "metric",
    "margin",
    "claimed_fmr",
    "model",
    "faces",
    "frames.agreeing",
    "frames.considered",
    "latency_ms.first_frame_to_decision",
    "latency_ms.last_frame_to_decision",
    "details",
];

impl Form {
    /// What stands above the records.
    pub(super) fn head(self, with_names: bool) -> String {
        match self {
            Self::Lines => String::new(),
            Self::Table => {
                let mut line = row(["record", "time", "outcome", "reason", "subject"]);
                line.push_str(if with_names { "name\n" } else { "\n" });
                line
            }
            Self::Csv => {
                let name = with_names.then_some("name");
                let mut line = COLUMNS.into_iter().chain(name).collect::<Vec<_>>().join(",");
                line.push_str("\r\n");
                line
            }
        }
    }

    /// Adds one record to `text`.
    ///
    /// # Errors
    /// [`Kind::Fault`] when the record has no form, which no record is known to do.
    pub(super) fn add(
        self,
        text: &mut String,
        record: &StoredRecord,
        names: Option<&Names>,
    ) -> Result<(), Failure> {
        match self {
            Self::Table => text.push_str(&line(record, names)),
            Self::Lines => {
                let _infallible = writeln!(text, "{}", as_json(record, names));
            }
            Self::Csv => text.push_str(&values(record, names)?),
        }
        Ok(())
    }
}

/// A record as JSON.
pub(super) fn as_json(record: &StoredRecord, names: Option<&Names>) -> Json {
    let mut value = match &record.record {
        Ok(record) => serde_json::to_value(Audit::of(record, false)).unwrap_or_default(),
        Err(UnreadableRecord { seq, issued_ms, what }) => {
            json!({ "seq": seq, "issued": rfc3339(*issued_ms), "unreadable": what })
        }
    };
    if let Json::Object(fields) = &mut value {
        fields.remove("schema");
        fields.remove("late");
        fields.insert("acknowledged".to_owned(), (!record.waiting).into());
        if let Some(name) = name(record, names) {
            fields.insert("name".to_owned(), name.into());
        }
    }
    value
}

/// A JSON value line by line: each key with its path.
pub(super) fn in_full(value: &Json) -> String {
    let mut text = String::new();
    spread("", value, &mut text);
    text
}

fn spread(path: &str, value: &Json, text: &mut String) {
    let Json::Object(fields) = value else {
        let told = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _infallible = writeln!(text, "{path:<44} {told}");
        return;
    };
    for (key, value) in fields {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        spread(&path, value, text);
    }
}

/// One line of the table.
fn line(stored: &StoredRecord, names: Option<&Names>) -> String {
    let record = match &stored.record {
        Ok(record) => record,
        Err(UnreadableRecord { seq, issued_ms, what }) => {
            let cells = [&seq.to_string(), &utc(*issued_ms), "unreadable", what, ""];
            return format!("{}\n", row(cells).trim_end());
        }
    };
    let doubt = if record.clock == ClockTrust::Trusted { "" } else { "?" };
    let time = format!("{}{doubt}", utc(record.issued_ms));
    let (outcome, reason) = what(record);
    let subject = subject(record).map_or("", SubjectId::as_str);
    let mut line = row([&record.seq.to_string(), &time, &outcome, &reason, subject]);
    line.push_str(name(stored, names).unwrap_or_default());
    format!("{}\n", line.trim_end())
}

fn row([seq, time, outcome, reason, subject]: [&str; 5]) -> String {
    format!("{seq:>8}  {time:<21}  {outcome:<14}  {reason:<24}  {subject:<18}  ")
}

/// Outcome and reason; for what is no decision, the event and what it is about.
fn what(record: &AuditRecord) -> (String, String) {
    match &record.body {
        Body::Decision(decision) => (word(&decision.outcome), decision.reason.clone()),
        Body::Administrative(event) => {
            let told = match event {
                Administrative::Requested { request, verdict, count } => {
                    format!("{request} {} ×{count}", word(verdict))
                }
                _ => serde_json::to_value(event)
                    .ok()
                    .and_then(|value| Some(value.get("event")?.as_str()?.to_owned()))
                    .unwrap_or_default(),
            };
            ("administrative".to_owned(), told)
        }
    }
}

/// The word that a closed list's value is on the wire.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn subject(record: &AuditRecord) -> Option<&SubjectId> {
    match &record.body {
        Body::Decision(decision) => decision.subject.as_ref(),
        Body::Administrative(event) => match event {
            Administrative::SubjectEnrolled { subject, .. }
            | Administrative::SubjectRenamed { subject }
            | Administrative::SubjectEnabled { subject }
            | Administrative::SubjectDisabled { subject }
            | Administrative::SubjectRemoved { subject }
            | Administrative::SubjectAssigned { subject, .. }
            | Administrative::ValiditySet { subject, .. } => Some(subject),
            _ => None,
        },
    }
}

fn name<'a>(stored: &StoredRecord, names: Option<&'a Names>) -> Option<&'a str> {
    let record = stored.record.as_ref().ok()?;
    names?.get(subject(record)?).map(String::as_str)
}

/// One line of CSV, by the columns' paths into the JSON.
fn values(record: &StoredRecord, names: Option<&Names>) -> Result<String, Failure> {
    let value = as_json(record, names);
    let event = value.get("administrative");
    let cell = |column: &str| -> String {
        let special = match column {
            "outcome" if event.is_some() => Some("administrative".to_owned()),
            "outcome" if value.get("unreadable").is_some() => Some("unreadable".to_owned()),
            "reason" => event.and_then(|event| event.get("event")).map(text_of),
            "subject" => event.and_then(|event| event.get("subject")).map(text_of),
            "details" => event.or_else(|| value.get("unreadable")).map(text_of),
            _ => None,
        };
        let at = |root: &Json| column.split('.').try_fold(root, |at, key| at.get(key)).map(text_of);
        special.or_else(|| at(&value)).or_else(|| at(value.get("decision")?)).unwrap_or_default()
    };
    let name = names.map(|_| cell("name"));
    csv_row(COLUMNS.map(cell).into_iter().chain(name)).map_err(|what| {
        Failure::new(
            Kind::Fault,
            format!("a record has no form in CSV: {what}"),
            "please report it",
        )
    })
}

fn text_of(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
