//! Who may do what: every request passes here before anything else looks at it.
//!
//! In: a request. Out: the same with an [`Identity`], or a refusal. What is asked, in this order: is it
//! meant for this machine (`Host`), does it come from the page itself (`Origin`, `Sec-Fetch-Site`), is
//! there such a route, who is it (cookie or token), may its role, and does a change carry the token that
//! a foreign site cannot know (`X-CSRF-Token`).
//! Invariant: what is not in the table of routes is not served; an account that is removed, or has
//! another password, has no session any more.

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
use super::routes::{Access, find};
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
    /// The cookie's value; `None` for a machine, which shows a token.
    pub cookie: Option<String>,
}

impl FromRequestParts<Arc<App>> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::no_session)
    }
}

/// Lets a request through, or not.
pub(super) async fn check(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    // A body may not be shared between threads, so that nothing of it is held while somebody is looked up.
    let asked = Asked {
        headers: request.headers().clone(),
        method: request.method().clone(),
        authority: request.uri().authority().map(ToString::to_string),
        path: request.extensions().get::<MatchedPath>().cloned(),
    };
    match judge(&app, &asked).await {
        Ok(Some(identity)) => {
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        Ok(None) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// What of a request is judged.
struct Asked {
    headers: HeaderMap,
    method: Method,
    authority: Option<String>,
    path: Option<MatchedPath>,
}

async fn judge(app: &Arc<App>, asked: &Asked) -> Result<Option<Identity>, Problem> {
    let Asked { headers, method, authority, path } = asked;
    let config = app.feed.config();
    let host = header_text(headers, header::HOST.as_str()).or(authority.as_deref());
    let host = host.unwrap_or_default();
    if !is_ours(host, &config.serve.names) {
        return Err(Problem::forbidden("the page is asked for by a name that is not its own")
            .helped("add the name to serve.names"));
    }
    if !is_own_origin(headers, host) {
        return Err(Problem::forbidden("the request comes from another site"));
    }
    let route = path.as_ref().and_then(|path| find(method.as_str(), path.as_str()));
    let Some(route) = route else {
        // No route: the fallback says so.
        return Ok(None);
    };
    if route.access == Access::Open {
        return Ok(None);
    }
    let identity = identify(app, headers).await?;
    let may = match route.access {
        Access::Open | Access::Anybody => true,
        Access::Reader => identity.account.role != Role::Kiosk,
        Access::Administrator => identity.account.role == Role::Administrator,
    };
    if !may {
        return Err(Problem::forbidden("this account may not do that"));
    }
    let changes = !matches!(*method, Method::GET | Method::HEAD);
    if let (true, Some(cookie)) = (changes, &identity.cookie) {
        let shown = header_text(headers, CSRF).unwrap_or_default();
        // Compared by their hashes: how long that takes tells nothing of the value.
        if token_hash(shown) != token_hash(&csrf(cookie)) {
            return Err(Problem::forbidden("the request lacks the session's X-CSRF-Token"));
        }
    }
    Ok(Some(identity))
}

/// Who shows this cookie or this token.
async fn identify(app: &Arc<App>, headers: &HeaderMap) -> Result<Identity, Problem> {
    if let Some(shown) = header_text(headers, header::AUTHORIZATION.as_str()) {
        let token = shown.strip_prefix("Bearer ").ok_or_else(Problem::no_session)?;
        let hash = token_hash(token.trim());
        let account = app.read(move |store| Ok(store.account_of_token(&hash)?)).await?;
        return account
            .map(|account| Identity { account, cookie: None })
            .ok_or_else(Problem::no_session);
    }
    let cookie = cookie_of(headers).ok_or_else(Problem::no_session)?.to_owned();
    let session = app.sessions().find(&cookie, app.clock.now());
    let account = if let Some(session) = session {
        let name = session.account.clone();
        let account = app.read(move |store| Ok(store.account(name.as_str())?)).await?;
        account.filter(|account| token_hash(&account.password) == session.password)
    } else {
        // A screen at the door stays logged in over restarts: its cookie is a token.
        let hash = token_hash(&cookie);
        let account = app.read(move |store| Ok(store.account_of_token(&hash)?)).await?;
        account.filter(|account| account.role == Role::Kiosk)
    };
    if let Some(account) = account {
        return Ok(Identity { account, cookie: Some(cookie) });
    }
    app.sessions().end(&cookie);
    Err(Problem::no_session())
}

impl Identity {
    /// Whether who asks may still: accounts are removed while somebody listens.
    pub(super) async fn still(&self, app: &Arc<App>) -> bool {
        let name = self.account.name.clone();
        let found = app.read(move |store| Ok(store.account(name.as_str())?)).await;
        let same = found.is_ok_and(|found| {
            found.is_some_and(|found| {
                (found.role, &found.password) == (self.account.role, &self.account.password)
            })
        });
        let Some(cookie) = self.cookie.as_ref().filter(|_| self.account.role != Role::Kiosk) else {
            return same;
        };
        same && app.sessions().find(cookie, app.clock.now()).is_some()
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

    use super::*;

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
