//! ETags: the hash of a body. Reads answer 304 where the reader has that body already, writes need the one they change.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::problem::{Kind, Problem};

/// The tag of a body.
pub(crate) fn etag(body: &[u8]) -> String {
    let hash = Sha256::digest(body);
    let digits = hash.iter().take(16).flat_map(|byte| [byte >> 4, byte & 15]);
    let mut tag = String::with_capacity(34);
    tag.push('"');
    tag.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)));
    tag.push('"');
    tag
}

/// Who reads something, if it is read, and may have it already.
pub(crate) struct Reader {
    reads: bool,
    known: Option<Tags>,
}

impl Reader {
    pub(crate) fn of(request: &Request) -> Self {
        Self { reads: request.method() == Method::GET, known: Tags::of(request.headers(), &IF_NONE_MATCH) }
    }

    /// Tags every successful read that has no tag of its own, and answers 304 where nothing changed. The past can change, so
    /// caches must ask.
    pub(crate) async fn tag(self, response: Response) -> Response {
        // What is told without end is never the same twice.
        let whole = response.headers().get(CONTENT_TYPE).is_none_or(|content| content != "text/event-stream");
        if !self.reads || !whole || response.status() != StatusCode::OK {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        // Every body up to here was made in memory, in one piece.
        let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
            return Problem::new(Kind::Internal, "the answer broke off").into_response();
        };
        let own = parts.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let tag = own.unwrap_or_else(|| etag(&bytes));
        let unchanged = self.known.is_some_and(|known| known.matches(&tag));
        parts.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        parts.headers.extend(HeaderValue::try_from(tag).map(|tag| (ETAG, tag)));
        if unchanged {
            parts.status = StatusCode::NOT_MODIFIED;
            return Response::from_parts(parts, Body::empty());
        }
        Response::from_parts(parts, Body::from(bytes))
    }
}

/// The tags of an `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    These(Vec<String>),
}

impl Tags {
    fn of(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        // A tag that is no text is none of ours.
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
        // A proxy that compresses makes tags weak; ours stand for the body before that.
        let tags: Vec<String> =
            values.flat_map(|value| value.split(',')).map(|tag| tag.trim().trim_start_matches("W/").to_owned()).collect();
        if tags.is_empty() {
            return None;
        }
        Some(if tags.iter().any(|tag| tag == "*") { Self::Any } else { Self::These(tags) })
    }

    fn matches(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|one| one == tag),
        }
    }
}

/// Which version a write changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Precondition {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

impl Precondition {
    /// What the headers say; one of them is needed.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let [if_match, if_none_match] = [IF_MATCH, IF_NONE_MATCH].map(|name| Tags::of(headers, &name));
        if if_match.is_none() && if_none_match.is_none() {
            let detail = "send the header If-Match with the ETag of what you read, or If-None-Match: * for something new";
            return Err(Problem::new(Kind::PreconditionRequired, detail));
        }
        if if_none_match.as_ref().is_some_and(|tags| *tags != Tags::Any) {
            let detail = "the only If-None-Match for a write is *, for something new; to change what stands, send If-Match";
            return Err(Problem::new(Kind::PreconditionRequired, detail));
        }
        Ok(Self { if_match, if_none_match })
    }

    /// Whether it holds for a resource with this tag, or (`None`) for none.
    pub(crate) fn holds(&self, current: Option<&str>) -> bool {
        let matches = |tags: &Tags| current.is_some_and(|current| tags.matches(current));
        self.if_match.as_ref().is_none_or(matches) && !self.if_none_match.as_ref().is_some_and(matches)
    }
}
