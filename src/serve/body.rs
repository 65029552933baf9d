//! What a request carries, read within a bound of bytes and time.
//!
//! In: a body. Out: its value. Invariant: whoever sends slowly, or without end, is refused; nothing is
//! held beyond the bound.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use zeroize::Zeroize as _;

use super::problem::Problem;

/// For how long a body that is no picture may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// A field that may be absent: where it is there it has a value, also where that may be null.
///
/// # Errors
/// It is no `T`.
pub(super) fn there<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

async fn bytes(body: Body, max: usize) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, max)).await;
    let Ok(read) = read else {
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the request came too slowly"));
    };
    read.map_err(|_| Problem::too_large(format!("at most {max} bytes are read")))
}

/// The same as [`json`] of what is secret: no problem tells anything of it, and where nobody else holds its
/// bytes they are wiped.
///
/// # Errors
/// As [`json`].
pub(super) async fn secret<T: DeserializeOwned>(body: Body, max: usize) -> Result<T, Problem> {
    let bytes = bytes(body, max).await?;
    let value = serde_json::from_slice(&bytes);
    if let Ok(mut bytes) = bytes.try_into_mut() {
        bytes.as_mut().zeroize();
    }
    value.map_err(|_| {
        Problem::wrong("the request's JSON is not what is wanted")
            .helped("see /api/v1/openapi.json")
    })
}

/// A JSON value of at most `max` bytes.
///
/// # Errors
/// [`Problem`]: it is too large, too slow, or none.
pub(super) async fn json<T: DeserializeOwned>(body: Body, max: usize) -> Result<T, Problem> {
    let bytes = bytes(body, max).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::wrong(format!("the request's JSON is not what is wanted: {error}"))
            .helped("see /api/v1/openapi.json")
    })
}
