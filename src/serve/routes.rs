//! Every route of the page, in one table, and the router that is made of it.
//!
//! In: requests that the guard (`guard`) has let through. Out: each goes to its file. Invariants: a route
//! that is not in [`ROUTES`] does not exist, because the guard lets nothing else through; who may use it
//! stands there, and the document of the routes (`openapi`) is made from it.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};
use axum::{Router, extract::Request};

use super::app::App;
use super::problem::Problem;
use super::{
    assets, events, figures, guard, guided, live, login, openapi, people, pictures, read, records,
};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Everybody who reaches the page.
    Open,
    /// Whoever is logged in.
    Anybody,
    /// Viewers and administrators.
    Reader,
    /// Administrators.
    Administrator,
}

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carries {
    /// Nothing.
    Nothing,
    /// A JSON object.
    Json,
    /// Pictures, as `multipart/form-data`.
    Pictures,
}

/// One route.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// Its path; what stands in braces is one segment, or with an asterisk the rest.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// What a request carries.
    pub carries: Carries,
    /// What it answers with: a media type; empty for an answer without content.
    pub answers: &'static str,
    /// What it does.
    pub about: &'static str,
}

const JSON: &str = "application/json";
const HTML: &str = "text/html";

const fn route(
    method: &'static str,
    path: &'static str,
    access: Access,
    carries: Carries,
    answers: &'static str,
    about: &'static str,
) -> Route {
    Route { method, path, access, carries, answers, about }
}

/// All routes.
pub const ROUTES: &[Route] = {
    use Access::{Administrator, Anybody, Open, Reader};
    use Carries::{Json, Nothing, Pictures};
    &[
        route("GET", "/", Open, Nothing, HTML, "The page."),
        route("GET", "/kiosk", Open, Nothing, HTML, "The page for a screen at the door."),
        route("GET", "/assets/{*path}", Open, Nothing, "*/*", "A file of the page."),
        route("GET", "/healthz", Open, Nothing, "text/plain", "'ok' while the page answers."),
        route(
            "GET",
            "/metrics",
            Reader,
            Nothing,
            "text/plain",
            "Counts and states, as Prometheus reads them.",
        ),
        route("POST", "/api/v1/session", Open, Json, JSON, "Log in: name and password."),
        route(
            "GET",
            "/api/v1/session",
            Anybody,
            Nothing,
            JSON,
            "Who is logged in, and the token for changes.",
        ),
        route("DELETE", "/api/v1/session", Anybody, Nothing, "", "Log out."),
        route("GET", "/api/v1/state", Reader, Nothing, JSON, "How the door is."),
        route(
            "GET",
            "/api/v1/health",
            Reader,
            Nothing,
            JSON,
            "Rates, times, temperature and memory, over the last day.",
        ),
        route(
            "GET",
            "/api/v1/config",
            Reader,
            Nothing,
            JSON,
            "The configuration in force, without secrets.",
        ),
        route(
            "GET",
            "/api/v1/kiosk",
            Anybody,
            Nothing,
            JSON,
            "What the kiosk's page needs to know.",
        ),
        route("GET", "/api/v1/openapi.json", Reader, Nothing, JSON, "This document."),
        route(
            "GET",
            "/api/v1/events",
            Anybody,
            Nothing,
            "text/event-stream",
            "What happens, as it happens.",
        ),
        route(
            "GET",
            "/api/v1/live",
            Administrator,
            Nothing,
            "application/octet-stream",
            "The camera's pictures, over a WebSocket; never stored.",
        ),
        route("GET", "/api/v1/subjects", Reader, Nothing, JSON, "Who is enrolled."),
        route(
            "PATCH",
            "/api/v1/subjects/{id}",
            Administrator,
            Json,
            JSON,
            "Rename, enable, disable or limit a subject.",
        ),
        route(
            "DELETE",
            "/api/v1/subjects/{id}",
            Administrator,
            Nothing,
            "",
            "Erase a subject with its references.",
        ),
        route("GET", "/api/v1/groups", Reader, Nothing, JSON, "The groups."),
        route(
            "PUT",
            "/api/v1/subjects/{id}/groups/{group}",
            Administrator,
            Nothing,
            JSON,
            "Put a subject into a group, out of the one that it is in.",
        ),
        route(
            "DELETE",
            "/api/v1/subjects/{id}/groups/{group}",
            Administrator,
            Nothing,
            JSON,
            "Take a subject out of its group.",
        ),
        route(
            "POST",
            "/api/v1/subjects/pictures",
            Administrator,
            Pictures,
            JSON,
            "Enrol somebody by pictures, which are forgotten.",
        ),
        route(
            "POST",
            "/api/v1/subjects/{id}/pictures",
            Administrator,
            Pictures,
            JSON,
            "Give a subject further references by pictures.",
        ),
        route(
            "POST",
            "/api/v1/identify",
            Administrator,
            Pictures,
            JSON,
            "Say who a picture shows, which is forgotten.",
        ),
        route(
            "GET",
            "/api/v1/enrolments",
            Administrator,
            Nothing,
            JSON,
            "The enrolment at the camera that runs.",
        ),
        route(
            "POST",
            "/api/v1/enrolments",
            Administrator,
            Json,
            JSON,
            "Begin an enrolment at this door's camera; nobody is granted meanwhile.",
        ),
        route(
            "DELETE",
            "/api/v1/enrolments/{id}",
            Administrator,
            Nothing,
            "",
            "Give the enrolment up.",
        ),
        route(
            "POST",
            "/api/v1/enrolments/{id}/finish",
            Administrator,
            Nothing,
            JSON,
            "Write what was taken.",
        ),
        route(
            "GET",
            "/api/v1/records",
            Reader,
            Nothing,
            JSON,
            "Records, the newest first, a page at a time.",
        ),
        route("GET", "/api/v1/records.csv", Reader, Nothing, "text/csv", "Records as CSV."),
        route(
            "GET",
            "/api/v1/records.jsonl",
            Reader,
            Nothing,
            "application/jsonl",
            "Records as JSON lines.",
        ),
        route(
            "GET",
            "/api/v1/calibration",
            Reader,
            Nothing,
            JSON,
            "How alike the enrolled and strangers are.",
        ),
    ]
};

/// The route that a request means.
pub(super) fn find(method: &str, path: &str) -> Option<&'static Route> {
    let method = if method == "HEAD" { "GET" } else { method };
    ROUTES.iter().find(|route| route.method == method && route.path == path)
}

/// All of it.
pub(super) fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/", get(assets::index))
        .route("/kiosk", get(assets::kiosk))
        .route("/assets/{*path}", get(assets::file))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(read::metrics))
        .route("/api/v1/session", post(login::begin).get(login::show).delete(login::end))
        .route("/api/v1/state", get(read::state))
        .route("/api/v1/health", get(read::health))
        .route("/api/v1/config", get(read::config))
        .route("/api/v1/kiosk", get(read::kiosk))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/api/v1/events", get(events::listen))
        .route("/api/v1/live", get(live::watch))
        .route("/api/v1/subjects", get(people::list))
        .route("/api/v1/subjects/{id}", patch(people::change).delete(people::remove))
        .route("/api/v1/groups", get(people::groups))
        .route("/api/v1/subjects/{id}/groups/{group}", put(people::assign).delete(people::dismiss))
        .route("/api/v1/subjects/pictures", post(pictures::enrol))
        .route("/api/v1/subjects/{id}/pictures", post(pictures::add))
        .route("/api/v1/identify", post(pictures::identify))
        .route("/api/v1/enrolments", get(guided::show).post(guided::begin))
        .route("/api/v1/enrolments/{id}", delete(guided::cancel))
        .route("/api/v1/enrolments/{id}/finish", post(guided::finish))
        .route("/api/v1/records", get(records::page))
        .route("/api/v1/records.csv", get(records::csv))
        .route("/api/v1/records.jsonl", get(records::lines))
        .route("/api/v1/calibration", get(figures::calibration))
        .fallback(|| async { Problem::absent("there is no such page") })
        .method_not_allowed_fallback(|| async { Problem::absent("there is no such method here") })
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(app), guard::check))
        .layer(from_fn(with_headers))
        .with_state(Arc::clone(app))
}

/// Scripts, styles and connections of the page's own alone; nothing in a line of HTML; in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What every answer says to the browser.
async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await.into_response();
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_something_is_for_administrators() {
        for route in ROUTES.iter().filter(|route| route.method != "GET") {
            let own = route.path == "/api/v1/session";
            assert!(
                own || route.access == Access::Administrator,
                "{} {}",
                route.method,
                route.path
            );
        }
    }

    #[test]
    fn a_route_is_found_by_method_and_path() {
        assert!(find("GET", "/api/v1/state").is_some() && find("HEAD", "/api/v1/state").is_some());
        assert!(find("POST", "/api/v1/state").is_none() && find("GET", "/api/v2").is_none());
    }
}
