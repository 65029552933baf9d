//! Logging in and out.
//!
//! In: a name and a password. Out: a cookie, or for how long to wait. Invariants: one password at a time
//! is verified, and few wait for that, so that logins cannot exhaust a board; whoever goes before the
//! answer gives the place back when the password was verified, and has tried all the same; a wrong name
//! takes as long as a wrong password and says the same; a failed try makes the next one wait; a screen at
//! the door whose account is full takes the place of one that nobody looks at, never of one that listens.
#![allow(clippy::unused_async, reason = "what answers a request is a future")]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::app::{App, Peer};
use super::body;
use super::guard::{COOKIE, Identity, Shown};
use super::password::{self, token_hash};
use super::pin::whole_seconds;
use super::problem::Problem;
use super::sessions::{csrf, settling};
use crate::clock::Clock as _;
use crate::store::{Account, AccountProblem, Error, Role};

/// Logins that may wait for their turn, the one that has it among them.
pub(super) const WAITING_MAX: usize = 8;
const BODY_MAX: usize = 8 * 1024;
/// For how long a browser keeps the cookie of a screen at the door.
const KIOSK_COOKIE: Duration = Duration::from_secs(400 * 86_400);

/// Who wants to log in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    name: String,
    password: String,
}

/// Who is logged in.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionShown {
    /// The account's name.
    name: String,
    /// `administrator`, `viewer` or `kiosk`.
    #[schema(value_type = String)]
    role: Role,
    /// What `X-CSRF-Token` has to carry in a request that changes something; `null` for a machine,
    /// which needs none.
    csrf: Option<String>,
}

impl SessionShown {
    fn of(account: &Account, cookie: Option<&str>) -> Self {
        Self { name: account.name.to_string(), role: account.role, csrf: cookie.map(csrf) }
    }
}

/// `POST /api/v1/session`
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    Extension(Peer(address)): Extension<Peer>,
    body: Body,
) -> Result<Response, Problem> {
    let login: Login = body::json(body, BODY_MAX).await?;
    wait(&app, &login.name, address)?;
    let place = Arc::clone(&app.waiting).try_acquire_owned();
    let place = place.map_err(|_| Problem::too_many("too many log in at once", 5))?;
    let verifying = {
        let app = Arc::clone(&app);
        // On its own: a client that goes away ends this future, and neither the work nor its place.
        tokio::spawn(async move {
            let _place = place;
            verify(&app, login, address).await
        })
    };
    let account = verifying.await.unwrap_or_else(|error| Err(Problem::inside(&error)))?;
    let token = password::token().map_err(|error| Problem::inside(&error))?;
    if account.role == Role::Kiosk {
        let (hash, name) = (token_hash(&token), account.name.clone());
        // From now on it was there: another login must not take its place before it is used.
        app.screens().saw(&hash, app.clock.now());
        let who = Identity { account: account.clone(), shown: Shown::Cookie(token.clone()) };
        let settling = settling(app.started, app.clock.now());
        let for_work = Arc::clone(&app);
        let spare = move |held: &[String]| {
            let settled = settling.is_zero();
            settled.then(|| for_work.screens().spare(held, |one| for_work.is_listening(one)))?
        };
        let added =
            app.change(&who, move |store, by| match store.add_screen(&name, &hash, spare, by) {
                Err(Error::Accounts(AccountProblem::TooManyTokens(_))) => Ok(false),
                done => Ok(done.map(|_| true)?),
            });
        if !added.await? {
            return Err(full(settling));
        }
    } else {
        let now = app.clock.now();
        app.sessions().begin(&token, account.name.clone(), &account.password, now);
    }
    tracing::info!(account = %account.name, "logged in to the page");
    Ok(with_cookie(&app, &account, &token))
}

/// Refuses where somebody has to wait.
fn wait(app: &App, name: &str, address: IpAddr) -> Result<(), Problem> {
    let wait = app.throttle().wait(name, address, app.clock.now());
    if wait.is_zero() {
        return Ok(());
    }
    Err(Problem::too_many("too many failed tries", whole_seconds(wait)))
}

async fn verify(app: &Arc<App>, login: Login, address: IpAddr) -> Result<Account, Problem> {
    let Ok(_turn) = app.verifying.acquire().await else {
        return Err(Problem::inside(&"the page is about to end"));
    };
    let Login { name, password } = login;
    // Others may have failed while this one waited.
    wait(app, &name, address)?;
    let asked = name.clone();
    let account = app.read(move |store| Ok(store.account(&asked)?)).await?;
    let phc = account.as_ref().map(|account| account.password.clone());
    let right = app.verify(password, phc).await?;
    match account {
        Some(account) if right => {
            app.throttle().succeeded(&name, address);
            Ok(account)
        }
        _ => {
            app.throttle().failed(&name, address, app.clock.now());
            tracing::warn!(%address, "a login to the page failed");
            Err(Problem::new(StatusCode::UNAUTHORIZED, "name or password is wrong").helped(
                "'deepid-edge accounts list' shows the accounts, 'accounts password' sets a password",
            ))
        }
    }
}

/// Why a screen at the door gets no token; `settling` is for how long still it is not known which are used.
fn full(settling: Duration) -> Problem {
    if settling.is_zero() {
        return Problem::conflict("as many screens as may listen by this account")
            .helped("give this screen an account of its own: 'deepid-edge accounts add'");
    }
    let detail = "the account has as many screens as it may, and the door has just started: which of them are used is not known yet";
    Problem::too_many(detail, settling.as_secs())
}

fn with_cookie(app: &App, account: &Account, token: &str) -> Response {
    let secure = if app.encrypted { "; Secure" } else { "" };
    let age = if account.role == Role::Kiosk {
        format!("; Max-Age={}", KIOSK_COOKIE.as_secs())
    } else {
        String::new()
    };
    let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{age}");
    let mut response = axum::Json(SessionShown::of(account, Some(token))).into_response();
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

/// `GET /api/v1/session`
pub(super) async fn show(State(app): State<Arc<App>>, who: Identity) -> Response {
    let Identity { account, shown } = who;
    match shown.cookie() {
        Some(token) if account.role == Role::Kiosk => with_cookie(&app, &account, token),
        cookie => axum::Json(SessionShown::of(&account, cookie)).into_response(),
    }
}

/// `DELETE /api/v1/session`
pub(super) async fn end(State(app): State<Arc<App>>, who: Identity) -> Result<Response, Problem> {
    if let Some(token) = who.shown.cookie() {
        app.sessions().end(token);
        if who.account.role == Role::Kiosk {
            let (hash, name) = (token_hash(token), who.account.name.clone());
            app.change(&who, move |store, by| Ok(store.forget_token(&name, &hash, by)?)).await?;
        }
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let gone = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    if let Ok(value) = HeaderValue::from_str(&gone) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    Ok(response)
}
