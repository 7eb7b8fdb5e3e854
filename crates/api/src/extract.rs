//! Ids, query parameters and bodies from a request, each refused with a problem.

use std::fmt::Display;
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
pub(crate) use wire::document::AnyId;
use wire::named::Named;

use crate::problem::{Kind, Problem};

/// The largest body of reports, in bytes.
pub(crate) const REPORTS_MOST_BYTES: usize = 1 << 20;
/// The largest document, in bytes.
pub(crate) const DOCUMENT_MOST_BYTES: usize = 32 << 20;

/// The one id in the path.
pub(crate) struct Id<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr<Err: Display> + Send> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(|rejection| Problem::new(Kind::BadId, rejection.body_text()))?;
        parse(&text).map(Self)
    }
}

/// An id from a text.
pub(crate) fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::new(Kind::BadId, error.to_string()))
}

/// The query parameters.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::try_from_uri(&parts.uri);
        query.map(|Query(params)| Self(params)).map_err(|rejection| {
            let text = rejection.body_text();
            let detail = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, detail)| detail);
            // A bare + reads as a space, which no parameter may hold.
            let bare = parts.uri.query().is_some_and(|query| query.contains('+'));
            let hint = if bare { "; a + in a time is written %2B" } else { "" };
            Problem::new(Kind::BadQuery, format!("{detail}{hint}"))
        })
    }
}

/// A body of reports, not yet read.
pub(crate) struct Reports(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Reports {
    type Rejection = Problem;
    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        json_bytes(request, REPORTS_MOST_BYTES).await.map(Self)
    }
}

/// A document.
pub(crate) struct Document<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Document<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        document(&json_bytes(request, DOCUMENT_MOST_BYTES).await?).map(Self)
    }
}

/// A document from its bytes.
pub(crate) fn document<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map(|Named(document)| document).map_err(|error| Problem::new(Kind::BadBody, error.to_string()))
}

/// The bytes of a JSON body; one that says it is too large is refused before any of it is read.
async fn json_bytes(request: Request, most: usize) -> Result<Bytes, Problem> {
    check_media_type(request.headers())?;
    let told = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if let Some(told) = told.filter(|told| *told > most as u64) {
        return Err(says_too_large(most, told));
    }
    axum::body::to_bytes(request.into_body(), most).await.map_err(|error| {
        let mut causes = std::iter::successors(std::error::Error::source(&error), |error| error.source());
        // The limit is told apart from a broken connection by its name alone: its type is not exported.
        if causes.any(|cause| cause.to_string().contains("length limit exceeded")) {
            too_large(most, "and this is more")
        } else {
            Problem::new(Kind::BadBody, format!("the body broke off: {error}"))
        }
    })
}

/// What is said of a body that says it has so many bytes.
pub(crate) fn says_too_large(most: usize, told: u64) -> Problem {
    too_large(most, &format!("not {told}"))
}

fn too_large(most: usize, size: &str) -> Problem {
    Problem::new(Kind::BodyTooLarge, format!("at most {most} bytes are taken at once, {size}: send several smaller requests"))
}

/// Only JSON is taken: a web page of another origin can then not post here without asking first.
fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let told = headers.get(CONTENT_TYPE).and_then(|told| told.to_str().ok()).unwrap_or_default();
    if let Some(coding) = headers.get(CONTENT_ENCODING).filter(|coding| coding.as_bytes() != b"identity") {
        return Err(Problem::new(Kind::UnsupportedMediaType, format!("the body must come as it is, not with Content-Encoding {coding:?}")));
    }
    let essence = told.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(not_json(told))
}

/// What is said of a body of another media type.
pub(crate) fn not_json(told: &str) -> Problem {
    Problem::new(Kind::UnsupportedMediaType, format!("the header Content-Type must be application/json, not {told:?}"))
}
