//! The routes as a document in the form of `OpenAPI`.
//!
//! In: [`ROUTES`]. Out: version 3.1 of that. Made from the table by which requests are let through, so that no
//! route can be missing, and from the very types that are read and answered, so that no field can be.
//! Deliberately absent: the events of `/api/v1/events`, which `docs/page.md` names.
#![allow(clippy::unused_async, reason = "what answers a request is a future")]

use std::collections::{BTreeMap, BTreeSet};

use axum::Json as Answer;
use axum::http::StatusCode;
use serde_json::{Map, Value as Json, json};
use utoipa::openapi::path::ParameterIn;
use utoipa::{IntoParams, ToSchema};

use super::problem::ProblemShown;
use super::routes::{Access, Answers, Carries, ROUTES, Route};

/// The id of a subject, as a pattern.
pub(super) const SUBJECT: &str = "^s-[0-9a-f]{6,16}$";

/// Schemas by name.
#[derive(Debug, Default)]
pub(super) struct Schemas(BTreeMap<String, Json>);

/// The schema of a value; what it is made of goes into the schemas.
pub(super) type Described = fn(&mut Schemas) -> Json;

/// What may stand behind a question mark.
pub(super) type Parameters = fn() -> Json;

/// The schema of a `T`.
pub(super) fn of<T: ToSchema>(schemas: &mut Schemas) -> Json {
    let mut found = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut found);
    for (name, schema) in found {
        schemas.0.insert(name, serde_json::to_value(schema).unwrap_or_default());
    }
    json!({ "$ref": format!("#/components/schemas/{}", T::name()) })
}

/// The schema of a list of `T`.
pub(super) fn list_of<T: ToSchema>(schemas: &mut Schemas) -> Json {
    json!({ "type": "array", "items": of::<T>(schemas) })
}

/// A form that a derived schema cannot state, such as "one of the two".
pub(super) trait Stated {
    /// Its name among the schemas.
    const NAME: &str;

    /// Its schema.
    fn stated() -> Json;
}

/// The schema of a `T` whose form is stated by hand.
pub(super) fn stated<T: Stated>(schemas: &mut Schemas) -> Json {
    schemas.0.insert(T::NAME.to_owned(), T::stated());
    json!({ "$ref": format!("#/components/schemas/{}", T::NAME) })
}

/// The parameters of which a `T` is made.
pub(super) fn queried<T: IntoParams>() -> Json {
    let found = T::into_params(|| Some(ParameterIn::Query));
    serde_json::to_value(found).unwrap_or_default()
}

/// `GET /api/v1/openapi.json`
pub(super) async fn document() -> Answer<Json> {
    Answer(make())
}

fn make() -> Json {
    let mut schemas = Schemas::default();
    let problem = of::<ProblemShown>(&mut schemas);
    let mut paths: Map<String, Json> = Map::new();
    for route in ROUTES {
        let path = route.path.replace("{*path}", "{path}");
        let place = paths.entry(path).or_insert_with(|| json!({}));
        if let Json::Object(methods) = place {
            let operation = operation(route, &problem, &mut schemas);
            methods.insert(route.method.to_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "deepid-edge: the door's page",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": env!("CARGO_PKG_LICENSE") },
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "session": { "type": "apiKey", "in": "cookie", "name": super::guard::COOKIE },
                "token": { "type": "http", "scheme": "bearer" },
            },
            "schemas": schemas.0,
        },
    })
}

/// What a part of a path is.
fn schema_of_part(path: &str, name: &str) -> Json {
    match name {
        "id" if path.contains("/subjects/") => json!({ "type": "string", "pattern": SUBJECT }),
        "id" => json!({ "type": "string", "format": "uuid" }),
        "group" => json!({ "type": "string", "pattern": "^[a-z0-9_-]{1,32}$" }),
        _ => json!({ "type": "string" }),
    }
}

/// What stands in a path, and behind its question mark.
fn parameters(route: &Route) -> Vec<Json> {
    let names = route.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(name.trim_start_matches('*'))
    });
    let mut parameters: Vec<Json> = names
        .map(|name| {
            let schema = schema_of_part(route.path, name);
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    if let Some(Json::Array(queried)) = route.queried.map(|queried| queried()) {
        parameters.extend(queried);
    }
    parameters
}

/// Statuses of refusals, by what a request carries and who may ask.
fn refusals(route: &Route) -> BTreeSet<u16> {
    // 403: by another name, from another site, or by a role that may not.
    let mut found = BTreeSet::from([403]);
    found.extend(route.refusals);
    if route.access != Access::Open {
        found.insert(401);
    }
    if route.path.contains('{') {
        found.extend([400, 404]);
    }
    if route.queried.is_some() {
        found.extend([400, 422]);
    }
    match route.carries {
        Carries::Nothing => {}
        Carries::Json(_) => found.extend([408, 413, 422]),
        Carries::Pictures { .. } => found.extend([400, 408, 409, 413, 422]),
    }
    found
}

fn responses(route: &Route, problem: &Json, schemas: &mut Schemas) -> Json {
    const JSON: &str = "application/json";
    let content = |media: &str, schema: Json| json!({ media: { "schema": schema } });
    let done = |content: Json| json!({ "description": "Done.", "content": content });
    let mut responses = Map::new();
    let mut put = |status: &str, response: Json| responses.insert(status.to_owned(), response);
    match route.answers {
        Answers::Nothing => put("204", json!({ "description": "Done." })),
        Answers::Json(of) => put("200", done(content(JSON, of(schemas)))),
        Answers::JsonOrNothing(of) => {
            put("204", json!({ "description": "There is none." }));
            put("200", done(content(JSON, of(schemas))))
        }
        Answers::Made(of) => put("201", done(content(JSON, of(schemas)))),
        Answers::Media(media) => {
            if route.path == "/" || route.path == "/kiosk" || route.path.starts_with("/assets/") {
                put("304", json!({ "description": "It is the one of If-None-Match." }));
            }
            put("200", done(json!({ media: {} })))
        }
        Answers::Socket => put("101", json!({ "description": "A WebSocket from now on." })),
    };
    let refused = content("application/problem+json", problem.clone());
    for status in refusals(route) {
        let reason = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
        let description = reason.unwrap_or("It is not fulfilled.");
        put(&status.to_string(), json!({ "description": description, "content": refused }));
    }
    put("5XX", json!({ "description": "Something failed inside.", "content": refused }));
    Json::Object(responses)
}

/// The content of a request; `None` for one that carries nothing.
fn carried(route: &Route, schemas: &mut Schemas) -> Option<Json> {
    match route.carries {
        Carries::Nothing => None,
        Carries::Json(of) => Some(json!({ "application/json": { "schema": of(schemas) } })),
        Carries::Pictures { named, most } => {
            let bytes = json!({ "type": "string", "contentMediaType": "application/octet-stream" });
            let pictures =
                json!({ "type": "array", "items": bytes, "minItems": 1, "maxItems": most });
            let mut properties = json!({ "picture": pictures });
            let mut required = vec!["picture"];
            if named && let Json::Object(fields) = &mut properties {
                let name = json!({ "type": "string", "minLength": 1, "maxLength": 64 });
                fields.insert("name".to_owned(), name);
                required.push("name");
            }
            let schema =
                json!({ "type": "object", "properties": properties, "required": required });
            Some(json!({ "multipart/form-data": { "schema": schema } }))
        }
    }
}

fn operation(route: &Route, problem: &Json, schemas: &mut Schemas) -> Json {
    let security = match route.access {
        Access::Open => json!([]),
        Access::Anybody | Access::Reader | Access::Administrator | Access::Kiosk => {
            json!([{ "session": [] }, { "token": [] }])
        }
    };
    let roles = match route.access {
        Access::Open => "everybody",
        Access::Anybody => "administrator, viewer, kiosk",
        Access::Reader => "administrator, viewer",
        Access::Administrator => "administrator",
        Access::Kiosk => "kiosk",
    };
    let mut operation = json!({
        "summary": route.about,
        "description": format!("For: {roles}."),
        "parameters": parameters(route),
        "security": security,
        "responses": responses(route, problem, schemas),
    });
    if let (Some(content), Json::Object(fields)) = (carried(route, schemas), &mut operation) {
        let body = json!({ "required": true, "content": content });
        fields.insert("requestBody".to_owned(), body);
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_stands_in_the_document() {
        let document = make();
        for route in ROUTES {
            let path = route.path.replace("{*path}", "{path}");
            let operation = &document["paths"][&path][route.method.to_lowercase()];
            assert_eq!(operation["summary"], route.about, "{} {path}", route.method);
            let open = operation["security"].as_array().is_some_and(Vec::is_empty);
            assert_eq!(open, route.access == Access::Open, "{path}");
            let parameters = operation["parameters"].as_array().unwrap();
            let within = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
            assert_eq!(within, path.matches('{').count(), "{path}");
            let statuses = operation["responses"].as_object().unwrap();
            assert!(statuses.len() > 2 && statuses.contains_key("403"), "{path}");
            assert_eq!(statuses.contains_key("401"), !open || route.method == "POST", "{path}");
        }
        let queried = &document["paths"]["/api/v1/records"]["get"]["parameters"];
        let names: Vec<_> =
            queried.as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
        assert_eq!(names, ["before", "limit", "kind", "outcome", "subject", "from", "to"]);
    }

    /// Every `$ref` in `value`.
    fn refs(value: &Json, found: &mut Vec<String>) {
        match value {
            Json::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Json::as_str).map(str::to_owned));
                fields.values().for_each(|value| refs(value, found));
            }
            Json::Array(values) => values.iter().for_each(|value| refs(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_that_is_named_is_there_and_every_answer_in_json_has_one() {
        let document = make();
        let mut found = Vec::new();
        refs(&document, &mut found);
        assert!(found.len() > 20, "{found:?}");
        for name in found {
            let place = name.trim_start_matches('#');
            let schema = document.pointer(place);
            assert!(
                schema.is_some_and(|s| s["type"] == "object"
                    || s["enum"].is_array()
                    || s["allOf"].is_array()),
                "{name}: {schema:?}"
            );
        }
        for (path, methods) in document["paths"].as_object().unwrap() {
            for operation in methods.as_object().unwrap().values() {
                for response in operation["responses"].as_object().unwrap().values() {
                    let json = &response["content"]["application/json"];
                    let described = json.is_null() || json["schema"].is_object();
                    assert!(described || path.ends_with("openapi.json"), "{path}");
                }
            }
        }
    }
}
