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

/// A request that is not fulfilled.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    remedy: Option<String>,
    retry_after_s: Option<u64>,
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
        Self { status, detail, remedy: None, retry_after_s: None, more }
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
        let Self { status, detail, remedy, retry_after_s, more } = self;
        let shown = ProblemShown {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("error"),
            status: status.as_u16(),
            detail: mask::text(&detail).to_string(),
            remedy: remedy.map(|remedy| mask::text(&remedy).to_string()),
            more,
        };
        let body = serde_json::to_string(&shown).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (status, body).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if let Some(seconds) = retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
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
            EnrolError::Mixed { .. } => Self::wrong(error.to_string()),
            EnrolError::Source(_) | EnrolError::Picture(_) | EnrolError::NetworkFailed => {
                Self::inside(&error)
            }
        }
    }
}
