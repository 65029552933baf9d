//! Who is enrolled, and what may be changed about it.
//!
//! In: ids, names, times. Out: subjects and groups. Every change is the very one that the command line
//! makes ([`Store::administer`], [`Store::change_rules`]), in one transaction with a record that names the
//! account. Invariant: what is erased is erased as `subjects remove` does it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use jiff::civil::DateTime;
use serde::{Deserialize, Deserializer};
use serde_json::{Value as Json, json};

use super::app::App;
use super::body;
use super::guard::Identity;
use super::problem::Problem;
use super::read::object;
use crate::clock::utc;
use crate::compare::SubjectId;
use crate::policy::{RuleBook, RuleName};
use crate::store::{Change, RuleChange, Store, Subject};

const BODY_MAX: usize = 16 * 1024;

#[derive(Deserialize)]
pub(super) struct Asked {
    q: Option<String>,
}

/// `GET /api/v1/subjects`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Query(Asked { q }): Query<Asked>,
) -> Result<Answer<Json>, Problem> {
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

    fn tell(&self, subject: &Subject) -> Json {
        let terms = self.book.subjects.get(&subject.id).cloned().unwrap_or_default();
        let time = |time: Option<DateTime>| time.map(|time| time.to_string());
        object(json!({
            "id": subject.id,
            "name": subject.name,
            "enabled": subject.enabled,
            "groups": terms.group.iter().collect::<Vec<_>>(),
            "valid_from": time(terms.from),
            "valid_until": time(terms.until),
            "references": subject.references,
            "models": self.models.get(&subject.id).cloned().unwrap_or_default(),
            "created_at": utc(subject.created_ms),
        }))
    }
}

/// A subject as it is told.
///
/// # Errors
/// There is none, or what the database says.
pub(super) fn tell(store: &Store, id: &SubjectId) -> Result<Json, Problem> {
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

/// What is to be changed: a field that is absent stays, one that is null is taken away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "absent, null and a time are three wishes")]
struct Changes {
    name: Option<String>,
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    valid_from: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    valid_until: Option<Option<String>>,
}

#[expect(clippy::option_option, reason = "absent, null and a time are three wishes")]
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(from).map(Some)
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
) -> Result<Answer<Json>, Problem> {
    let id = id_of(&id)?;
    let changes: Changes = body::json(body, BODY_MAX).await?;
    let zone = app.feed.config().time_zone();
    let parse = |time: Option<Option<String>>| -> Result<Option<Option<DateTime>>, Problem> {
        time.map(|time| time.map(|text| time_of(&text, &zone)).transpose()).transpose()
    };
    let (from, until) = (parse(changes.valid_from)?, parse(changes.valid_until)?);
    let told = app.change(&who, move |store, by| {
        let subject = store.subject(id.as_str())?;
        if from.is_some() || until.is_some() {
            let terms = store.rule_book()?.subjects.remove(&id).unwrap_or_default();
            let (from, until) = (from.unwrap_or(terms.from), until.unwrap_or(terms.until));
            if (from, until) != (terms.from, terms.until) {
                store.change_rules(RuleChange::Validity { subject: &id, from, until }, by)?;
            }
        }
        if let Some(name) = changes.name.filter(|name| *name != subject.name) {
            store.administer(Change::Rename { subject: &id, name: &name }, by)?;
        }
        if let Some(enabled) = changes.enabled.filter(|enabled| *enabled != subject.enabled) {
            store.administer(Change::Enable { subject: &id, enabled }, by)?;
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

/// `GET /api/v1/groups`
pub(super) async fn groups(State(app): State<Arc<App>>) -> Result<Answer<Json>, Problem> {
    let listed = app.read(|store| {
        let book = store.rule_book()?;
        let members = |group: &RuleName| {
            book.subjects.values().filter(|terms| terms.group.as_ref() == Some(group)).count()
        };
        Ok(book
            .groups
            .iter()
            .map(|(group, schedule)| {
                let schedules: Vec<_> = schedule.iter().collect();
                json!({ "id": group, "name": group, "schedules": schedules, "members": members(group) })
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
) -> Result<Answer<Json>, Problem> {
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
) -> Result<Answer<Json>, Problem> {
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
