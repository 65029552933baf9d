//! What went wrong, as RFC 9457 has it: a status, a sentence, and what helps.
//!
//! In: errors of the rooms before. Out: `application/problem+json`. Invariant: what failed inside is
//! logged and told by its kind, never by a path of this machine; secrets are masked.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};

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
    more: Option<Json>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), remedy: None, retry_after_s: None, more: None }
    }

    /// The same with what helps.
    pub(super) fn helped(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    /// The same with the fields of `more`, an object.
    pub(super) fn with(self, more: Json) -> Self {
        Self { more: Some(more), ..self }
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
        let mut body = match more {
            Some(Json::Object(fields)) => Json::Object(fields),
            _ => json!({}),
        };
        if let Json::Object(fields) = &mut body {
            let reason = status.canonical_reason().unwrap_or("error");
            fields.insert("type".to_owned(), "about:blank".into());
            fields.insert("title".to_owned(), reason.into());
            fields.insert("status".to_owned(), status.as_u16().into());
            fields.insert("detail".to_owned(), mask::text(&detail).into());
            if let Some(remedy) = remedy {
                fields.insert("remedy".to_owned(), mask::text(&remedy).into());
            }
        }
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (status, body.to_string()).into_response();
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
            EnrolError::Source(_) | EnrolError::Picture(_) | EnrolError::NetworkFailed => {
                Self::inside(&error)
            }
        }
    }
}
