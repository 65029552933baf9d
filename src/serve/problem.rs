//! What went wrong, as RFC 9457 has it: a status, a sentence, and what helps.
//!
//! In: errors of the rooms before. Out: `application/problem+json`. Invariant: what failed inside is
//! logged and told by its kind, never by a path of this machine; secrets are masked.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use crate::enrol::EnrolError;
use crate::equip::EquipError;
use crate::mask;
use crate::remedy::Remedied;
use crate::store::{AccountProblem, Error, ErrorKind};

const PROBLEM: &str = "application/problem+json";
/// Bytes of what the library says of a request that it refuses.
const LIBRARY_SAYS_MAX: usize = 4096;

/// A request that is not fulfilled.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    remedy: Option<String>,
    retry_after_s: Option<u64>,
    /// The methods that there are, where another one was asked for.
    allow: Option<String>,
    /// Fields beside those of RFC 9457.
    more: Map<String, Json>,
}

/// What is wrong, as RFC 9457 has it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemShown {
    /// `about:blank`.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    status: u16,
    /// What is wrong.
    detail: String,
    /// What helps, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    #[serde(flatten)]
    #[schema(ignore)]
    more: Map<String, Json>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let (detail, more) = (detail.into(), Map::new());
        Self { status, detail, remedy: None, retry_after_s: None, allow: None, more }
    }

    /// The same with what helps.
    pub(super) fn helped(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    /// The same with a further field.
    pub(super) fn with(mut self, name: &str, value: &impl Serialize) -> Self {
        self.more.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    pub(super) fn no_session() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "nobody is logged in").helped("log in")
    }

    pub(super) fn forbidden(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    pub(super) fn absent(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn conflict(detail: &str) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// The path is there, and does not do what is asked for; `methods` are those that it does.
    pub(super) fn not_done(methods: &[&str]) -> Self {
        let detail = "it does not do that here";
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, detail);
        Self { allow: Some(methods.join(", ")), ..problem }
    }

    /// A value that is wrong, and what would be right.
    pub(super) fn wrong(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    pub(super) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    pub(super) fn too_many(detail: &str, retry_after_s: u64) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, detail);
        Self { retry_after_s: Some(retry_after_s.max(1)), ..problem }
    }

    /// Something failed inside: the log says what.
    pub(super) fn inside(what: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %what, "a request of the page failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "it could not be done")
            .helped("the service's journal says why")
    }

    /// What is wrong.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// What helps, where that is known.
    pub(super) fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, detail, remedy, retry_after_s, allow, more } = self;
        let shown = ProblemShown {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("error"),
            status: status.as_u16(),
            detail: mask::text(&detail).to_string(),
            remedy: remedy.map(|remedy| mask::text(&remedy).to_string()),
            more,
        };
        let body = serde_json::to_string(&shown).unwrap_or_default();
        let kind = HeaderValue::from_static(PROBLEM);
        let mut response = (status, body).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if let Some(seconds) = retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = allow.and_then(|allow| HeaderValue::from_str(&allow).ok()) {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }
}

/// A refusal in the form of all others, also where it is one of the library's own: a query, a path or a
/// body that it cannot read.
pub(super) async fn in_form(response: Response) -> Response {
    let status = response.status();
    let refused = status.is_client_error() || status.is_server_error();
    let told = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM);
    if !refused || told {
        return response;
    }
    let said = axum::body::to_bytes(response.into_body(), LIBRARY_SAYS_MAX).await;
    let said = String::from_utf8_lossy(&said.unwrap_or_default()).trim().to_owned();
    let reason = || status.canonical_reason().unwrap_or("it is not fulfilled").to_owned();
    let detail = if said.is_empty() { reason() } else { said };
    Problem::new(status, detail).helped("see /api/v1/openapi.json").into_response()
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let remedy = error.remedy().map(std::borrow::Cow::into_owned);
        let status = match (&error, error.kind()) {
            (Error::NoSuchSubject { .. } | Error::Accounts(AccountProblem::None(_)), _) => {
                StatusCode::NOT_FOUND
            }
            (Error::Rules(problem), _) if problem.is_absence() => StatusCode::NOT_FOUND,
            (Error::NameTaken { .. } | Error::AmbiguousName { .. } | Error::Accounts(_), _) => {
                StatusCode::CONFLICT
            }
            (_, ErrorKind::Request) => StatusCode::UNPROCESSABLE_ENTITY,
            (_, ErrorKind::Busy | ErrorKind::Access) => {
                tracing::warn!(%error, "a request of the page met the database");
                let what = "the database cannot be used now";
                let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, what);
                return Self { retry_after_s: Some(5), remedy, ..problem };
            }
            _ => return Self::inside(&error),
        };
        let detail = error.finding();
        Self { remedy, ..Self::new(status, detail) }
    }
}

impl From<EquipError> for Problem {
    fn from(error: EquipError) -> Self {
        let remedy = error.remedy().map(std::borrow::Cow::into_owned);
        let problem = Self::inside(&error);
        match remedy {
            Some(remedy) => problem.helped(remedy),
            None => problem,
        }
    }
}

impl From<EnrolError> for Problem {
    fn from(error: EnrolError) -> Self {
        match error {
            EnrolError::Equip(error) => error.into(),
            EnrolError::Store(error) => error.into(),
            EnrolError::Refused(_) => Self::wrong("no picture could be used"),
            EnrolError::Mixed { .. } => {
                Self::wrong(error.to_string()).helped(error.remedy().unwrap_or("try again"))
            }
            EnrolError::Source(_) | EnrolError::Picture(_) | EnrolError::NetworkFailed => {
                Self::inside(&error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::app::tests::run;
    use super::*;

    #[test]
    fn a_refusal_of_the_library_has_the_form_of_all_others() {
        let asked = |status: StatusCode, body: &'static str| {
            let response = run(in_form((status, body).into_response()));
            let kind = response.headers().get(header::CONTENT_TYPE).cloned();
            let status = response.status();
            let bytes = run(axum::body::to_bytes(response.into_body(), 10_000)).unwrap();
            (status, kind, String::from_utf8(bytes.to_vec()).unwrap())
        };
        let (status, kind, text) = asked(StatusCode::BAD_REQUEST, "limit: no number\n");
        assert_eq!((status, kind.unwrap()), (StatusCode::BAD_REQUEST, PROBLEM.parse().unwrap()));
        let told: Json = serde_json::from_str(&text).unwrap();
        assert_eq!((&told["status"], &told["detail"]), (&400.into(), &"limit: no number".into()));
        let (_, _, text) = asked(StatusCode::PAYLOAD_TOO_LARGE, "");
        assert!(text.contains("Payload Too Large") || text.contains("Content Too Large"), "{text}");
        let (_, kind, text) = asked(StatusCode::OK, "ok");
        assert_eq!(
            (kind.unwrap(), text.as_str()),
            ("text/plain; charset=utf-8".parse().unwrap(), "ok")
        );
    }
}
