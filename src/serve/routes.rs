//! Every route of the page, in one table, and the router that is made of it.
//!
//! In: requests that the guard (`guard`) has let through. Out: each goes to its file. Invariants: the
//! router is made of [`ROUTES`], and the guard refuses what is not in it, so that no other route exists;
//! who may use one stands there, and the document of the routes (`openapi`) is made from it.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use axum::{Router, extract::Request};

use super::app::App;
use super::guard::{self, nowhere};
use super::openapi::{Described, Parameters, list_of, of, queried, stated};
use super::problem::in_form;
use super::{
    assets, doctor, events, figures, guided, live, login, openapi, people, pictures, pin, read,
    records, visits,
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
    /// Screens at the door, and nobody else: what is done there is done in front of the camera.
    Kiosk,
}

/// What a request carries.
#[derive(Debug, Clone, Copy)]
pub(super) enum Carries {
    Nothing,
    /// A JSON object of this form.
    Json(Described),
    /// Pictures, as `multipart/form-data`.
    Pictures {
        /// Whether a name comes with them.
        named: bool,
        /// How many there may be.
        most: usize,
    },
}

/// What is answered where all went well.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answers {
    /// 204.
    Nothing,
    /// 200 and JSON of this form.
    Json(Described),
    /// The same, or 204 where there is nothing.
    JsonOrNothing(Described),
    /// 201 and JSON of this form.
    Made(Described),
    /// 200 and this media type.
    Media(&'static str),
    /// 101: a WebSocket.
    Socket,
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
    /// What it does.
    pub about: &'static str,
    pub(super) carries: Carries,
    pub(super) answers: Answers,
    /// What may stand behind the question mark.
    pub(super) queried: Option<Parameters>,
    /// Statuses of refusals, beside those that follow from the rest (`openapi`).
    pub(super) refusals: &'static [u16],
}

const fn route(
    method: &'static str,
    path: &'static str,
    access: Access,
    answers: Answers,
    about: &'static str,
) -> Route {
    let (carries, queried) = (Carries::Nothing, None);
    Route { method, path, access, about, carries, answers, queried, refusals: &[] }
}

impl Route {
    const fn carrying(self, carries: Carries) -> Self {
        Self { carries, ..self }
    }

    const fn asking(self, queried: Parameters) -> Self {
        Self { queried: Some(queried), ..self }
    }

    const fn refusing(self, refusals: &'static [u16]) -> Self {
        Self { refusals, ..self }
    }
}

const HTML: Answers = Answers::Media("text/html");

/// All routes.
pub const ROUTES: &[Route] = {
    use Access::{Administrator, Anybody, Kiosk, Open, Reader};
    use Answers::{Json, JsonOrNothing, Made, Media, Nothing, Socket};
    use Carries::Pictures;
    &[
        route("GET", "/", Open, HTML, "The page."),
        route("GET", "/kiosk", Open, HTML, "The page for a screen at the door."),
        route("GET", "/assets/{*path}", Open, Media("*/*"), "A file of the page."),
        route("GET", "/healthz", Open, Media("text/plain"), "'ok' while the page answers."),
        route(
            "GET",
            "/metrics",
            Reader,
            Media("text/plain"),
            "Counts and states, as Prometheus reads them.",
        ),
        route(
            "POST",
            "/api/v1/session",
            Open,
            Json(of::<login::SessionShown>),
            "Log in: name and password.",
        )
        .carrying(Carries::Json(of::<login::Login>))
        .refusing(&[401, 409, 429]),
        route(
            "GET",
            "/api/v1/session",
            Anybody,
            Json(of::<login::SessionShown>),
            "Who is logged in, and the token for changes.",
        ),
        route("DELETE", "/api/v1/session", Anybody, Nothing, "Log out."),
        route("GET", "/api/v1/state", Reader, Json(of::<read::DoorState>), "How the door is."),
        route(
            "GET",
            "/api/v1/health",
            Reader,
            Json(of::<read::HealthShown>),
            "Rates, times, temperature and memory, over the last day.",
        ),
        route(
            "GET",
            "/api/v1/config",
            Reader,
            Json(list_of::<read::SettingShown>),
            "The configuration in force, without secrets.",
        ),
        route(
            "GET",
            "/api/v1/doctor",
            Administrator,
            Json(list_of::<doctor::Check>),
            "What 'deepid-edge doctor' says, as far as it can be had beside the daemon.",
        )
        .refusing(&[429]),
        route(
            "GET",
            "/api/v1/kiosk",
            Anybody,
            Json(of::<read::KioskShown>),
            "What the kiosk's page needs to know.",
        ),
        route(
            "POST",
            "/api/v1/pin",
            Kiosk,
            Nothing,
            "Type the PIN of whoever's second factor is waited for.",
        )
        .carrying(Carries::Json(of::<pin::Typed>))
        .refusing(&[409, 429]),
        route("GET", "/api/v1/openapi.json", Reader, Media("application/json"), "This document."),
        route(
            "GET",
            "/api/v1/events",
            Anybody,
            Media("text/event-stream"),
            "What happens, as it happens; with Last-Event-ID also the decisions since that one.",
        ),
        route(
            "GET",
            "/api/v1/live",
            Administrator,
            Socket,
            "The camera's pictures, over a WebSocket; never stored.",
        )
        // No WebSocket is asked for; by a version of HTTP that has none; too many watch.
        .refusing(&[400, 426, 429]),
        route(
            "GET",
            "/api/v1/subjects",
            Reader,
            Json(list_of::<people::Person>),
            "Who is enrolled.",
        )
        .asking(queried::<people::PeopleAsked>),
        route(
            "PATCH",
            "/api/v1/subjects/{id}",
            Administrator,
            Json(of::<people::Person>),
            "Rename, enable, disable or limit a subject: one of these.",
        )
        .carrying(Carries::Json(stated::<people::Changes>))
        .refusing(&[409]),
        route(
            "DELETE",
            "/api/v1/subjects/{id}",
            Administrator,
            Nothing,
            "Erase a subject with its references.",
        ),
        route("GET", "/api/v1/groups", Reader, Json(list_of::<people::GroupShown>), "The groups."),
        route(
            "PUT",
            "/api/v1/subjects/{id}/groups/{group}",
            Administrator,
            Json(of::<people::Person>),
            "Put a subject into a group, out of the one that it is in.",
        ),
        route(
            "DELETE",
            "/api/v1/subjects/{id}/groups/{group}",
            Administrator,
            Json(of::<people::Person>),
            "Take a subject out of its group.",
        ),
        route(
            "POST",
            "/api/v1/subjects/pictures",
            Administrator,
            Json(of::<pictures::Judged>),
            "Enrol somebody by pictures, which are forgotten.",
        )
        .carrying(Pictures { named: true, most: pictures::PICTURES_MAX }),
        route(
            "POST",
            "/api/v1/subjects/{id}/pictures",
            Administrator,
            Json(of::<pictures::Judged>),
            "Give a subject further references by pictures.",
        )
        .carrying(Pictures { named: false, most: pictures::PICTURES_MAX }),
        route(
            "POST",
            "/api/v1/subjects/{id}/verify",
            Administrator,
            Json(of::<pictures::Verified>),
            "Say whether a picture, which is forgotten, shows this subject.",
        )
        .carrying(Pictures { named: false, most: 1 }),
        route(
            "POST",
            "/api/v1/identify",
            Administrator,
            Json(of::<pictures::Identified>),
            "Say who a picture shows, which is forgotten.",
        )
        .carrying(Pictures { named: false, most: 1 }),
        route(
            "GET",
            "/api/v1/enrolments",
            Administrator,
            JsonOrNothing(of::<guided::Enrolment>),
            "The enrolment at the camera that runs.",
        ),
        route(
            "POST",
            "/api/v1/enrolments",
            Administrator,
            Made(of::<guided::Begun>),
            "Begin an enrolment at this door's camera; nobody is granted meanwhile.",
        )
        .carrying(Carries::Json(stated::<guided::Wanted>))
        .refusing(&[404, 409]),
        route(
            "DELETE",
            "/api/v1/enrolments/{id}",
            Administrator,
            Nothing,
            "Give the enrolment up.",
        ),
        route(
            "POST",
            "/api/v1/enrolments/{id}/finish",
            Administrator,
            Json(of::<people::Person>),
            "Write what was taken.",
        )
        .refusing(&[409, 422]),
        route(
            "GET",
            "/api/v1/visits",
            Administrator,
            Json(of::<visits::VisitList>),
            "The strangers' visits that may be enrolled: when, how good, for how long still.",
        )
        .refusing(&[429]),
        route(
            "POST",
            "/api/v1/visits/{id}/enrol",
            Administrator,
            Json(of::<visits::EnrolledVisit>),
            "Enrol the stranger of a visit, of whom nobody knows whether it was a living face.",
        )
        .carrying(Carries::Json(stated::<guided::Wanted>))
        .refusing(&[409, 429]),
        route(
            "GET",
            "/api/v1/records",
            Reader,
            Json(of::<records::RecordsPage>),
            "Records, the newest first, a page at a time.",
        )
        .asking(queried::<records::Asked>),
        route("GET", "/api/v1/records.csv", Reader, Media("text/csv"), "Records as CSV.")
            .asking(queried::<records::Asked>),
        route(
            "GET",
            "/api/v1/records.jsonl",
            Reader,
            Media("application/jsonl"),
            "Records as JSON lines.",
        )
        .asking(queried::<records::Asked>),
        route(
            "GET",
            "/api/v1/calibration",
            Reader,
            Json(of::<figures::Calibration>),
            "How alike the enrolled and strangers are.",
        )
        .refusing(&[422, 429]),
    ]
};

/// The route that a request means.
pub(super) fn find(method: &str, path: &str) -> Option<&'static Route> {
    let method = if method == "HEAD" { "GET" } else { method };
    ROUTES.iter().find(|route| route.method == method && route.path == path)
}

/// What can be done at `path`, as the header `Allow` has it.
pub(super) fn methods_of(path: &str) -> Vec<&'static str> {
    let there = || ROUTES.iter().filter(|route| route.path == path).map(|route| route.method);
    let head = there().any(|method| method == "GET").then_some("HEAD");
    there().chain(head).collect()
}

/// What answers at a route.
fn handler(route: &Route) -> Option<MethodRouter<Arc<App>>> {
    Some(match (route.method, route.path) {
        ("GET", "/") => get(assets::index),
        ("GET", "/kiosk") => get(assets::kiosk),
        ("GET", "/assets/{*path}") => get(assets::file),
        ("GET", "/healthz") => get(|| async { "ok\n" }),
        ("GET", "/metrics") => get(read::metrics),
        ("POST", "/api/v1/session") => post(login::begin),
        ("GET", "/api/v1/session") => get(login::show),
        ("DELETE", "/api/v1/session") => delete(login::end),
        ("GET", "/api/v1/state") => get(read::state),
        ("GET", "/api/v1/health") => get(read::health),
        ("GET", "/api/v1/config") => get(read::config),
        ("GET", "/api/v1/doctor") => get(doctor::look),
        ("GET", "/api/v1/kiosk") => get(read::kiosk),
        ("POST", "/api/v1/pin") => post(pin::enter),
        ("GET", "/api/v1/openapi.json") => get(openapi::document),
        ("GET", "/api/v1/events") => get(events::listen),
        ("GET", "/api/v1/live") => get(live::watch),
        ("GET", "/api/v1/subjects") => get(people::list),
        ("PATCH", "/api/v1/subjects/{id}") => patch(people::change),
        ("DELETE", "/api/v1/subjects/{id}") => delete(people::remove),
        ("GET", "/api/v1/groups") => get(people::groups),
        ("PUT", "/api/v1/subjects/{id}/groups/{group}") => put(people::assign),
        ("DELETE", "/api/v1/subjects/{id}/groups/{group}") => delete(people::dismiss),
        ("POST", "/api/v1/subjects/pictures") => post(pictures::enrol),
        ("POST", "/api/v1/subjects/{id}/pictures") => post(pictures::add),
        ("POST", "/api/v1/subjects/{id}/verify") => post(pictures::verify),
        ("POST", "/api/v1/identify") => post(pictures::identify),
        ("GET", "/api/v1/enrolments") => get(guided::show),
        ("POST", "/api/v1/enrolments") => post(guided::begin),
        ("DELETE", "/api/v1/enrolments/{id}") => delete(guided::cancel),
        ("POST", "/api/v1/enrolments/{id}/finish") => post(guided::finish),
        ("GET", "/api/v1/visits") => get(visits::list),
        ("POST", "/api/v1/visits/{id}/enrol") => post(visits::enrol),
        ("GET", "/api/v1/records") => get(records::page),
        ("GET", "/api/v1/records.csv") => get(records::csv),
        ("GET", "/api/v1/records.jsonl") => get(records::lines),
        ("GET", "/api/v1/calibration") => get(figures::calibration),
        _ => return None,
    })
}

/// All of it.
pub(super) fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let Some(handler) = handler(route) else { continue };
        let handler = match route.carries {
            Carries::Pictures { .. } => handler.layer(DefaultBodyLimit::max(pictures::REQUEST_MAX)),
            Carries::Nothing | Carries::Json(_) => handler,
        };
        router = router.route(route.path, handler);
    }
    guarded(router, app)
}

/// `router`, to which nothing gets but by the guard.
fn guarded(router: Router<Arc<App>>, app: &Arc<App>) -> Router {
    router
        .fallback(|| async { nowhere() })
        .method_not_allowed_fallback(|| async { nowhere() })
        .layer(from_fn_with_state(Arc::clone(app), guard::check))
        .layer(from_fn(with_headers))
        .with_state(Arc::clone(app))
}

/// Scripts, styles and connections of the page's own alone; nothing in a line of HTML; in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What every answer says to the browser.
async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = in_form(next.run(request).await).await;
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
    use axum::body::Body;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::super::app::tests::{app, run};
    use super::*;

    /// What `router` answers a browser on this machine that shows nothing of itself.
    fn ask(router: &Router, method: &str, path: &str) -> Response {
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.body(Body::empty()).unwrap();
        run(TowerToHyperService::new(router.clone()).call(request)).unwrap()
    }

    #[test]
    fn every_route_of_the_table_answers_to_whom_it_is_for() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app(folder.path());
        let router = router(&app);
        for route in ROUTES {
            assert!(handler(route).is_some(), "{} {}", route.method, route.path);
            let path = route.path.replace("{*path}", "style.css").replace(['{', '}'], "");
            let status = ask(&router, route.method, &path).status().as_u16();
            match (route.access, route.path) {
                // Nobody's address is known here, which a login asks for.
                (Access::Open, "/api/v1/session") => assert_eq!(status, 500),
                (Access::Open, _) => assert_eq!(status, 200, "{path}"),
                _ => assert_eq!(status, 401, "{} {path}", route.method),
            }
        }
    }

    #[test]
    fn a_route_that_is_not_in_the_table_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app(folder.path());
        let forgotten = get(|| async { "secret" }).post(|| async { "secret" });
        let more = Router::new()
            .route("/forgotten", forgotten.clone())
            .route("/healthz", forgotten)
            .nest("/within", Router::new().route("/it", get(|| async { "secret" })));
        let router = guarded(more, &app);
        assert_eq!(ask(&router, "GET", "/healthz").status(), 200, "it is in the table");
        let refused = ask(&router, "POST", "/healthz");
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["allow"]),
            (405, &"GET, HEAD".parse().unwrap())
        );
        for (method, path) in [
            ("GET", "/forgotten"),
            ("POST", "/forgotten"),
            ("GET", "/within/it"),
            ("HEAD", "/forgotten"),
            ("GET", "/none"),
        ] {
            assert_eq!(ask(&router, method, path).status(), 404, "{method} {path}");
        }
    }

    #[test]
    fn what_changes_something_is_for_administrators() {
        for route in ROUTES.iter().filter(|route| route.method != "GET") {
            let by = match route.path {
                // What is their own.
                "/api/v1/session" => continue,
                "/api/v1/pin" => Access::Kiosk,
                _ => Access::Administrator,
            };
            assert_eq!(route.access, by, "{} {}", route.method, route.path);
        }
    }

    #[test]
    fn a_route_is_found_by_method_and_path() {
        assert!(find("GET", "/api/v1/state").is_some() && find("HEAD", "/api/v1/state").is_some());
        assert!(find("POST", "/api/v1/state").is_none() && find("GET", "/api/v2").is_none());
    }
}
