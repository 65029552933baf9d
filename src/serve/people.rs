//! Who is enrolled, and what may be changed about it.
//!
//! In: ids, names, times. Out: subjects and groups. Every change is the very one that the command line
//! makes ([`Store::administer`], [`Store::change_rules`]), in one transaction with a record that names the
//! account; a request makes one change. Invariant: what is erased is erased as `subjects remove` does it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::{IntoParams, ToSchema};

use super::app::App;
use super::body;
use super::feed::SubjectShown;
use super::guard::Identity;
use super::openapi::Stated;
use super::problem::Problem;
use crate::clock::utc;
use crate::compare::SubjectId;
use crate::policy::{RuleBook, RuleName};
use crate::store::{Change, RuleChange, Store, Subject};

const BODY_MAX: usize = 16 * 1024;

/// Who is asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PeopleAsked {
    /// A part of the name or of the id.
    #[param(nullable = false)]
    q: Option<String>,
}

/// Somebody who is enrolled.
#[derive(Serialize, ToSchema)]
pub(super) struct Person {
    #[schema(value_type = String)]
    id: SubjectId,
    name: String,
    /// Whether the person may be granted anything.
    enabled: bool,
    /// The group, if the person is in one.
    groups: Vec<String>,
    /// From when on, on the clock at the door.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_from: Option<String>,
    /// Until when, on the clock at the door.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<String>,
    /// How many references, of any model.
    references: u64,
    /// How many, by model.
    models: BTreeMap<String, u64>,
    created_at: String,
}

impl Person {
    /// Id and name.
    pub(super) fn shown(&self) -> SubjectShown {
        SubjectShown { id: self.id.clone(), name: Some(self.name.clone()) }
    }
}

/// `GET /api/v1/subjects`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Query(PeopleAsked { q }): Query<PeopleAsked>,
) -> Result<Answer<Vec<Person>>, Problem> {
    let wanted = q.unwrap_or_default().trim().to_lowercase();
    let found = app.read(move |store| {
        let people = People::read(store)?;
        let subjects = store.subjects()?;
        let matches = |subject: &&Subject| {
            wanted.is_empty()
                || subject.name.to_lowercase().contains(&wanted)
                || subject.id.as_str().contains(&wanted)
        };
        Ok(subjects.iter().filter(matches).map(|subject| people.tell(subject)).collect())
    });
    Ok(Answer(found.await?))
}

/// What is known beside a subject's own row.
struct People {
    book: RuleBook,
    models: BTreeMap<SubjectId, BTreeMap<String, u64>>,
}

impl People {
    fn read(store: &Store) -> Result<Self, Problem> {
        let mut models: BTreeMap<SubjectId, BTreeMap<String, u64>> = BTreeMap::new();
        for held in store.held()? {
            *models.entry(held.subject).or_default().entry(held.model).or_default() +=
                held.references;
        }
        Ok(Self { book: store.rule_book()?, models })
    }

    fn tell(&self, subject: &Subject) -> Person {
        let terms = self.book.subjects.get(&subject.id).cloned().unwrap_or_default();
        let time = |time: Option<DateTime>| time.map(|time| time.to_string());
        Person {
            id: subject.id.clone(),
            name: subject.name.clone(),
            enabled: subject.enabled,
            groups: terms.group.iter().map(ToString::to_string).collect(),
            valid_from: time(terms.from),
            valid_until: time(terms.until),
            references: subject.references,
            models: self.models.get(&subject.id).cloned().unwrap_or_default(),
            created_at: utc(subject.created_ms),
        }
    }
}

/// A subject as it is told.
///
/// # Errors
/// There is none, or what the database says.
pub(super) fn tell(store: &Store, id: &SubjectId) -> Result<Person, Problem> {
    let subject = store.subject(id.as_str())?;
    Ok(People::read(store)?.tell(&subject))
}

/// The id in a path.
///
/// # Errors
/// It is none, so that there is no such subject.
pub(super) fn id_of(text: &str) -> Result<SubjectId, Problem> {
    SubjectId::new(text).map_err(|_| Problem::absent("there is no such subject"))
}

/// What is to be changed: the name, whether somebody may be granted, or the validity. A time that is
/// absent stays, one that is null is taken away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "absent, null and a time are three wishes")]
pub(super) struct Changes {
    #[serde(default, deserialize_with = "body::there")]
    name: Option<String>,
    #[serde(default, deserialize_with = "body::there")]
    enabled: Option<bool>,
    /// From when on: on the clock at the door, or in UTC.
    #[serde(default, deserialize_with = "body::there")]
    valid_from: Option<Option<String>>,
    /// Until when.
    #[serde(default, deserialize_with = "body::there")]
    valid_until: Option<Option<String>>,
}

impl Stated for Changes {
    const NAME: &str = "Changes";

    fn stated() -> Json {
        let time = |about| {
            json!({
                "description": about,
                "anyOf": [
                    { "type": "string", "format": "date-time" },
                    { "type": "string", "format": "date-time-local" },
                    { "type": "null" },
                ],
            })
        };
        json!({
            "type": "object",
            "description": "One change: the name, whether somebody may be granted, or the validity. A time that is absent stays, one that is null is taken away.",
            "additionalProperties": false,
            "properties": {
                "name": { "type": "string", "minLength": 1, "maxLength": 64 },
                "enabled": { "type": "boolean" },
                "valid_from": time("From when on: on the clock at the door, or in UTC."),
                "valid_until": time("Until when."),
            },
            "oneOf": [
                { "required": ["name"], "maxProperties": 1 },
                { "required": ["enabled"], "maxProperties": 1 },
                {
                    "anyOf": [{ "required": ["valid_from"] }, { "required": ["valid_until"] }],
                    "not": { "anyOf": [{ "required": ["name"] }, { "required": ["enabled"] }] },
                },
            ],
        })
    }
}

/// The one change that is asked for.
enum Wanted {
    Name(String),
    Enabled(bool),
    #[expect(clippy::option_option, reason = "absent, null and a time are three wishes")]
    Validity {
        from: Option<Option<DateTime>>,
        until: Option<Option<DateTime>>,
    },
}

impl Changes {
    /// # Errors
    /// It is none, more than one, or a time is wrong.
    fn wanted(self, zone: &jiff::tz::TimeZone) -> Result<Wanted, Problem> {
        let Self { name, enabled, valid_from, valid_until } = self;
        let parse = |time: Option<Option<String>>| {
            time.map(|time| time.map(|text| time_of(&text, zone)).transpose()).transpose()
        };
        match (name, enabled, parse(valid_from)?, parse(valid_until)?) {
            (Some(name), None, None, None) => Ok(Wanted::Name(name)),
            (None, Some(enabled), None, None) => Ok(Wanted::Enabled(enabled)),
            (None, None, None, None) => Err(Problem::wrong("nothing is to be changed")),
            (None, None, from, until) => Ok(Wanted::Validity { from, until }),
            _ => Err(Problem::wrong("more than one change is asked for").helped(
                "one request for the name, one for 'enabled', one for 'valid_from' and 'valid_until'",
            )),
        }
    }
}

/// A time on the clock at the door: a date and a time, or a moment in UTC that is converted.
fn time_of(text: &str, zone: &jiff::tz::TimeZone) -> Result<DateTime, Problem> {
    let moment =
        || text.parse::<jiff::Timestamp>().ok().map(|at| at.to_zoned(zone.clone()).datetime());
    let civil = || text.parse::<DateTime>().ok();
    moment().or_else(civil).ok_or_else(|| {
        Problem::wrong(format!("'{}' is no time", text.chars().take(40).collect::<String>()))
            .helped("write it as 2026-12-24T18:30:00, on the clock at the door")
    })
}

/// `PATCH /api/v1/subjects/ID`
pub(super) async fn change(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
    body: Body,
) -> Result<Answer<Person>, Problem> {
    let id = id_of(&id)?;
    let changes: Changes = body::json(body, BODY_MAX).await?;
    let wanted = changes.wanted(&app.feed.config().time_zone())?;
    let told = app.change(&who, move |store, by| {
        let subject = store.subject(id.as_str())?;
        match wanted {
            Wanted::Name(name) if name != subject.name => {
                store.administer(Change::Rename { subject: &id, name: &name }, by)?;
            }
            Wanted::Enabled(enabled) if enabled != subject.enabled => {
                store.administer(Change::Enable { subject: &id, enabled }, by)?;
            }
            Wanted::Name(_) | Wanted::Enabled(_) => {}
            Wanted::Validity { from, until } => {
                let terms = store.rule_book()?.subjects.remove(&id).unwrap_or_default();
                let (from, until) = (from.unwrap_or(terms.from), until.unwrap_or(terms.until));
                if (from, until) != (terms.from, terms.until) {
                    store.change_rules(RuleChange::Validity { subject: &id, from, until }, by)?;
                }
            }
        }
        tell(store, &id)
    });
    Ok(Answer(told.await?))
}

/// `DELETE /api/v1/subjects/ID`
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = id_of(&id)?;
    app.change(&who, move |store, by| {
        let done = store.administer(Change::Remove { subject: &id }, by)?;
        if let Some(error) = done.left_in_log {
            tracing::warn!(%error, "what was erased is still in the log beside the database; 'systemctl restart deepid-edge' cuts it");
        }
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A group.
#[derive(Serialize, ToSchema)]
pub(super) struct GroupShown {
    /// Its name, which is what it is known by.
    id: String,
    name: String,
    /// The schedule that it follows, if it follows one.
    schedules: Vec<String>,
    /// How many are in it.
    members: usize,
}

/// `GET /api/v1/groups`
pub(super) async fn groups(
    State(app): State<Arc<App>>,
) -> Result<Answer<Vec<GroupShown>>, Problem> {
    let listed = app.read(|store| {
        let book = store.rule_book()?;
        let members = |group: &RuleName| {
            book.subjects.values().filter(|terms| terms.group.as_ref() == Some(group)).count()
        };
        Ok(book
            .groups
            .iter()
            .map(|(group, schedule)| GroupShown {
                id: group.to_string(),
                name: group.to_string(),
                schedules: schedule.iter().map(ToString::to_string).collect(),
                members: members(group),
            })
            .collect())
    });
    Ok(Answer(listed.await?))
}

fn group_of(text: &str) -> Result<RuleName, Problem> {
    RuleName::new(text).map_err(|_| Problem::absent("there is no such group"))
}

/// `PUT /api/v1/subjects/ID/groups/NAME`
pub(super) async fn assign(
    State(app): State<Arc<App>>,
    who: Identity,
    Path((id, group)): Path<(String, String)>,
) -> Result<Answer<Person>, Problem> {
    let (id, group) = (id_of(&id)?, group_of(&group)?);
    let told = app.change(&who, move |store, by| {
        store.change_rules(RuleChange::Assign { subject: &id, group: Some(&group) }, by)?;
        tell(store, &id)
    });
    Ok(Answer(told.await?))
}

/// `DELETE /api/v1/subjects/ID/groups/NAME`
pub(super) async fn dismiss(
    State(app): State<Arc<App>>,
    who: Identity,
    Path((id, group)): Path<(String, String)>,
) -> Result<Answer<Person>, Problem> {
    let (id, group) = (id_of(&id)?, group_of(&group)?);
    let told = app.change(&who, move |store, by| {
        store.subject(id.as_str())?;
        let terms = store.rule_book()?.subjects.remove(&id).unwrap_or_default();
        if terms.group != Some(group) {
            return Err(Problem::absent("the subject is not in that group"));
        }
        store.change_rules(RuleChange::Assign { subject: &id, group: None }, by)?;
        tell(store, &id)
    });
    Ok(Answer(told.await?))
}
