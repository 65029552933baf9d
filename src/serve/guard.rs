//! Who may do what: every request passes here before anything else looks at it.
//!
//! In: a request. Out: the same with an [`Identity`], or a refusal. What is asked, in this order: is it
//! meant for this machine (`Host`), does it come from the page itself (`Origin`, `Sec-Fetch-Site`), is
//! there such a route, who is it (cookie or token), may its role, and does a change carry the token that
//! a foreign site cannot know (`X-CSRF-Token`).
//! Invariants: what is not in the table of routes is refused; an account that is removed, or has another
//! password, has no session any more, and a token that was taken away lets nobody in.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::password::token_hash;
use super::problem::Problem;
use super::routes::{Access, find, methods_of};
use super::sessions::csrf;
use crate::clock::Clock as _;
use crate::store::{Account, Role};

/// The cookie of a session.
pub(super) const COOKIE: &str = "deepid_edge_session";
const CSRF: &str = "x-csrf-token";

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub account: Account,
    pub shown: Shown,
}

/// What somebody shows of themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// The value of a cookie: a session's, or the token of a screen at the door.
    Cookie(String),
    /// A machine's token, by its SHA-256.
    Token(String),
}

impl Shown {
    /// What a request shows.
    fn of(headers: &HeaderMap) -> Option<Self> {
        if let Some(shown) = header_text(headers, header::AUTHORIZATION.as_str()) {
            return shown
                .strip_prefix("Bearer ")
                .map(|token| Self::Token(token_hash(token.trim())));
        }
        Some(Self::Cookie(cookie_of(headers)?.to_owned()))
    }

    /// The cookie's value; `None` for a machine.
    pub(super) fn cookie(&self) -> Option<&str> {
        match self {
            Self::Cookie(cookie) => Some(cookie),
            Self::Token(_) => None,
        }
    }

    /// By which one who shows this is told from others: a secret's hash.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Cookie(cookie) => token_hash(cookie),
            Self::Token(hash) => hash.clone(),
        }
    }
}

impl FromRequestParts<Arc<App>> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::no_session)
    }
}

/// Lets a request through, or not.
pub(super) async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // Apart from its body, which may not be shared between threads while somebody is looked up.
    let (mut parts, body) = request.into_parts();
    match judge(&app, &parts).await {
        Ok(identity) => {
            if let Some(identity) = identity {
                parts.extensions.insert(identity);
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn judge(app: &Arc<App>, asked: &Parts) -> Result<Option<Identity>, Problem> {
    let Parts { headers, method, uri, extensions, .. } = asked;
    let config = app.feed.config();
    let authority = uri.authority().map(ToString::to_string);
    let host = header_text(headers, header::HOST.as_str()).or(authority.as_deref());
    let host = host.unwrap_or_default();
    if !is_ours(host, &config.serve.names) {
        return Err(Problem::forbidden("the page is asked for by a name that is not its own")
            .helped("add the name to serve.names"));
    }
    if !is_own_origin(headers, host) {
        return Err(Problem::forbidden("the request comes from another site"));
    }
    let path = extensions.get::<MatchedPath>().ok_or_else(nowhere)?;
    // What is not in the table is refused, also where something would answer.
    let route = find(method.as_str(), path.as_str()).ok_or_else(|| not_done(path.as_str()))?;
    if route.access == Access::Open {
        return Ok(None);
    }
    let shown = Shown::of(headers).ok_or_else(Problem::no_session)?;
    let account = account_of(app, &shown).await?.ok_or_else(Problem::no_session)?;
    let may = match route.access {
        Access::Open | Access::Anybody => true,
        Access::Reader => account.role != Role::Kiosk,
        Access::Administrator => account.role == Role::Administrator,
        Access::Kiosk => account.role == Role::Kiosk,
    };
    if !may {
        return Err(Problem::forbidden("this account may not do that"));
    }
    let changes = !matches!(*method, Method::GET | Method::HEAD);
    if let (true, Some(cookie)) = (changes, shown.cookie()) {
        let token = header_text(headers, CSRF).unwrap_or_default();
        // Compared by their hashes: how long that takes tells nothing of the value.
        if token_hash(token) != token_hash(&csrf(cookie)) {
            return Err(Problem::forbidden("the request lacks the session's X-CSRF-Token"));
        }
    }
    Ok(Some(Identity { account, shown }))
}

/// Nothing is there.
pub(super) fn nowhere() -> Problem {
    Problem::absent("there is no such page")
}

/// What is said where `path` is asked for something that it does not do.
fn not_done(path: &str) -> Problem {
    let methods = methods_of(path);
    if methods.is_empty() { nowhere() } else { Problem::not_done(&methods) }
}

/// Whose account is shown; `None` for nobody's, or nobody's any more.
async fn account_of(app: &Arc<App>, shown: &Shown) -> Result<Option<Account>, Problem> {
    let of_token = async |hash: String| {
        let asked = hash.clone();
        let found = app.read(move |store| Ok(store.account_of_token(&asked)?)).await?;
        if found.as_ref().is_some_and(|account| account.role == Role::Kiosk) {
            app.screens().saw(&hash, app.clock.now());
        }
        Ok::<_, Problem>(found)
    };
    let cookie = match shown {
        Shown::Token(hash) => return of_token(hash.clone()).await,
        Shown::Cookie(cookie) => cookie,
    };
    let session = app.sessions().find(cookie, app.clock.now());
    let Some(session) = session else {
        // A screen at the door stays logged in over restarts: its cookie is a token.
        let account = of_token(token_hash(cookie)).await?;
        return Ok(account.filter(|account| account.role == Role::Kiosk));
    };
    let name = session.account.clone();
    let account = app.read(move |store| Ok(store.account(name.as_str())?)).await?;
    let account = account.filter(|account| token_hash(&account.password) == session.password);
    if account.is_none() {
        app.sessions().end(cookie);
    }
    Ok(account)
}

impl Identity {
    /// Whether who asks may still: accounts are removed, tokens taken away and passwords changed while
    /// somebody listens.
    pub(super) async fn still(&self, app: &Arc<App>) -> bool {
        let found = account_of(app, &self.shown).await;
        found.is_ok_and(|found| {
            found.is_some_and(|found| {
                (found.name, found.role) == (self.account.name.clone(), self.account.role)
            })
        })
    }
}

fn header_text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The session's cookie in a request.
pub(super) fn cookie_of(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}

/// The host of `authority`, without port and brackets.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.split(':').next().unwrap_or_default()
}

/// Whether a request for `authority` is meant for this machine: by an address, or by a name that it was
/// told. Any other name may be a foreign site's that was pointed here.
fn is_ours(authority: &str, names: &[String]) -> bool {
    let host = host_of(authority).trim_end_matches('.').to_ascii_lowercase();
    host.parse::<IpAddr>().is_ok() || host == "localhost" || names.contains(&host)
}

/// Whether a request comes from the page itself, or from no browser.
fn is_own_origin(headers: &HeaderMap, host: &str) -> bool {
    if header_text(headers, "sec-fetch-site").is_some_and(|site| site == "cross-site") {
        // A link from elsewhere to the page itself is fine; it carries no cookie.
        return header_text(headers, "sec-fetch-mode") == Some("navigate")
            && header_text(headers, header::ORIGIN.as_str()).is_none();
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::super::app::tests::{app, run, somebody};
    use super::*;

    #[test]
    fn who_listens_by_a_token_may_for_as_long_as_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app(folder.path());
        let machine = somebody("machine", Role::Viewer);
        let Shown::Token(hash) = machine.shown.clone() else { panic!("a token") };
        let name = machine.account.name.clone();
        app.acting(&machine, |store, by| {
            store.add_account(&name, Role::Viewer, &machine.account.password, by).unwrap();
            store.add_token(&name, &hash, by).unwrap();
        });
        assert!(run(machine.still(&app)));
        app.acting(&machine, |store, by| store.remove_tokens(&name, by)).unwrap();
        assert!(!run(machine.still(&app)), "the account is there, and its token is not");
    }

    #[test]
    fn a_screen_at_the_door_may_until_its_token_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app(folder.path());
        let cookie = Shown::Cookie("a cookie".to_owned());
        let screen = Identity { shown: cookie, ..somebody("hall", Role::Kiosk) };
        let name = screen.account.name.clone();
        app.acting(&screen, |store, by| {
            store.add_account(&name, Role::Kiosk, &screen.account.password, by).unwrap();
            store.add_token(&name, &token_hash("a cookie"), by).unwrap();
        });
        assert!(run(screen.still(&app)));
        app.acting(&screen, |store, by| {
            store.set_password(&name, &screen.account.password, by).unwrap();
        });
        assert!(!run(screen.still(&app)));
    }

    #[test]
    fn only_addresses_and_told_names_are_ours() {
        let names = ["door.lan".to_owned()];
        for ours in ["127.0.0.1:8480", "192.168.1.5", "[::1]:8480", "localhost:8480", "DOOR.lan."] {
            assert!(is_ours(ours, &names), "{ours}");
        }
        for foreign in ["", "evil.example", "door.lan.evil.example", "127.0.0.1.evil.example:8480"]
        {
            assert!(!is_ours(foreign, &names), "{foreign}");
        }
    }

    #[test]
    fn other_sites_are_told_by_what_browsers_send() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            is_own_origin(&headers, "door.lan:8480")
        };
        assert!(of(&[]));
        assert!(of(&[("origin", "https://door.lan:8480")]));
        assert!(of(&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]));
        for foreign in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("origin", "https://door.lan:8481"),
            ("sec-fetch-site", "cross-site"),
        ] {
            assert!(!of(&[foreign]), "{foreign:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_static("a=b; deepid_edge_session=xyz; c=d");
        headers.insert(header::COOKIE, value);
        assert_eq!(cookie_of(&headers), Some("xyz"));
        assert_eq!(cookie_of(&HeaderMap::new()), None);
    }
}
