//! The routes as a document in the form of `OpenAPI`.
//!
//! In: [`ROUTES`]. Out: version 3.1 of that. Made from the table by which requests are let through, so that no
//! route can be missing. Deliberately absent: a schema of each answer; `docs/page.md` tells their fields.
#![allow(clippy::unused_async, reason = "what answers a request is a future")]

use axum::Json as Answer;
use serde_json::{Map, Value as Json, json};

use super::routes::{Access, Carries, ROUTES, Route};

/// `GET /api/v1/openapi.json`
pub(super) async fn document() -> Answer<Json> {
    Answer(make())
}

fn make() -> Json {
    let mut paths: Map<String, Json> = Map::new();
    for route in ROUTES {
        let path = route.path.replace("{*path}", "{path}");
        let place = paths.entry(path).or_insert_with(|| json!({}));
        if let Json::Object(methods) = place {
            methods.insert(route.method.to_lowercase(), operation(route));
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
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail"],
                    "properties": {
                        "type": { "type": "string" },
                        "title": { "type": "string" },
                        "status": { "type": "integer" },
                        "detail": { "type": "string" },
                        "remedy": { "type": "string" },
                    },
                },
            },
        },
    })
}

fn operation(route: &Route) -> Json {
    let names = route.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(name.trim_start_matches('*'))
    });
    let parameters: Vec<Json> = names
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    let problem = json!({
        "description": "It is not fulfilled.",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    let done = if route.answers.is_empty() {
        json!({ "204": { "description": "Done." }, "default": problem })
    } else {
        json!({ "200": { "description": "Done.", "content": { route.answers: {} } }, "default": problem })
    };
    let security = match route.access {
        Access::Open => json!([]),
        Access::Anybody | Access::Reader | Access::Administrator => {
            json!([{ "session": [] }, { "token": [] }])
        }
    };
    let roles = match route.access {
        Access::Open => "everybody",
        Access::Anybody => "administrator, viewer, kiosk",
        Access::Reader => "administrator, viewer",
        Access::Administrator => "administrator",
    };
    let mut operation = json!({
        "summary": route.about,
        "description": format!("For: {roles}."),
        "parameters": parameters,
        "security": security,
        "responses": done,
    });
    let carried = match route.carries {
        Carries::Nothing => None,
        Carries::Json => Some("application/json"),
        Carries::Pictures => Some("multipart/form-data"),
    };
    if let (Some(kind), Json::Object(fields)) = (carried, &mut operation) {
        let content =
            json!({ "required": true, "content": { kind: { "schema": { "type": "object" } } } });
        fields.insert("requestBody".to_owned(), content);
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
            let named = operation["parameters"].as_array().map_or(0, Vec::len);
            assert_eq!(named, path.matches('{').count(), "{path}");
        }
    }
}
