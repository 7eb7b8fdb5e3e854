//! Errors as RFC 9457 problems: one table of types, one exhaustive match from each error enum.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ingest::IntakeError;
use occupancy::edit::EditError;
use occupancy::installation::InstallationError;
use occupancy::topology::TopologyError;
use query::{CorrectionFailed, EditFailed, QueryError, StoreError, WatchFailed};
use serde::Serialize;
use utoipa::ToSchema;

use crate::json::Json;
use crate::manners;

/// The media type of problems.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// The longest detail, in characters.
const DETAIL_MOST_CHARS: usize = 2000;

/// The types of problems there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    NotFound,
    MethodNotAllowed,
    BadId,
    BadQuery,
    BadBody,
    UnsupportedMediaType,
    BodyTooLarge,
    TooManyCrossings,
    UnknownSpace,
    UnknownDpu,
    FutureInstant,
    InvalidCorrection,
    KeyReused,
    BadHeader,
    BucketTooLarge,
    InvalidTopology,
    Conflict,
    PreconditionRequired,
    Stale,
    Busy,
    Stopping,
    IntakeFailed,
    StoreUnavailable,
    StoreCorrupt,
    NotReady,
    Timeout,
    TooManyClients,
    TooManyRequests,
    NotQuarantined,
    NotReplayable,
    RowsTooLarge,
    Internal,
}

impl Kind {
    /// Its status, the end of its `type`, and its title.
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is nothing at this path"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This method is not possible here"),
            Self::BadId => (StatusCode::BAD_REQUEST, "bad-id", "This is not an id"),
            Self::BadQuery => (StatusCode::BAD_REQUEST, "bad-query", "The query parameters cannot be read"),
            Self::BadBody => (StatusCode::BAD_REQUEST, "bad-body", "The body cannot be read"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body must be JSON"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large"),
            Self::TooManyCrossings => (StatusCode::PAYLOAD_TOO_LARGE, "too-many-crossings", "Too many crossings in one request"),
            Self::UnknownSpace => (StatusCode::NOT_FOUND, "unknown-space", "There is no such space"),
            Self::UnknownDpu => (StatusCode::NOT_FOUND, "unknown-dpu", "There is no such DPU"),
            Self::FutureInstant => (StatusCode::UNPROCESSABLE_ENTITY, "future-instant", "The instant is in the future"),
            Self::InvalidCorrection => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-correction", "This correction cannot be made"),
            Self::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The Idempotency-Key names another request"),
            Self::BadHeader => (StatusCode::BAD_REQUEST, "bad-header", "A header cannot be read"),
            Self::BucketTooLarge => (StatusCode::UNPROCESSABLE_ENTITY, "bucket-too-large", "More crossings in one bucket than are walked"),
            Self::InvalidTopology => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-topology", "The topology would not stand"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "This conflicts with what there is"),
            Self::PreconditionRequired => (StatusCode::PRECONDITION_REQUIRED, "precondition-required", "Say which version you change"),
            Self::Stale => (StatusCode::PRECONDITION_FAILED, "precondition-failed", "It is not the version you named"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Too much at once: try again"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping", "The server is stopping: try again"),
            Self::IntakeFailed => (StatusCode::SERVICE_UNAVAILABLE, "intake-failed", "No crossings are taken in"),
            Self::StoreUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", "The store does not answer: try again"),
            Self::StoreCorrupt => (StatusCode::INTERNAL_SERVER_ERROR, "store-corrupt", "What is stored cannot be read"),
            Self::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "Not ready"),
            Self::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "timeout", "No answer in time: try again"),
            Self::TooManyClients => (StatusCode::SERVICE_UNAVAILABLE, "too-many-clients", "Too many clients watch: try again later"),
            Self::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests: try again later"),
            Self::NotQuarantined => (StatusCode::NOT_FOUND, "not-quarantined", "There is no such row in quarantine"),
            Self::NotReplayable => (StatusCode::UNPROCESSABLE_ENTITY, "not-replayable", "This cannot be taken in as it is"),
            Self::RowsTooLarge => (StatusCode::UNPROCESSABLE_ENTITY, "rows-too-large", "More than is replayed at once"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server made a mistake"),
        }
    }
}

/// An error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    retry_after_s: u64,
}

impl Problem {
    /// A detail that names thousands of things is cut.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: wire::cut(detail.into(), DETAIL_MOST_CHARS), retry_after_s: 1 }
    }

    /// As it is told.
    pub(crate) fn body(&self) -> ProblemBody<'_> {
        let (status, slug, title) = self.kind.parts();
        ProblemBody { kind: format!("/problems/{slug}"), title, status: status.as_u16(), detail: &self.detail }
    }

    /// One that says when to try again, in seconds.
    pub(crate) fn retry(kind: Kind, detail: String, retry_after_s: u64) -> Self {
        Self { kind, detail, retry_after_s }
    }
}

/// An error, as RFC 9457 has it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// What kind of error, the same in every version: match on this.
    #[serde(rename = "type")]
    #[schema(example = "/problems/unknown-space")]
    kind: String,
    /// The kind in words.
    #[schema(example = "There is no such space")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// What exactly is wrong here, for people.
    #[schema(example = "there is no space hal")]
    detail: &'a str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, slug, _) = self.kind.parts();
        if status.is_server_error() {
            tracing::warn!(request = manners::asked(), problem = slug, detail = self.detail, "a request failed");
        }
        let mut response = (status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after_s));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let kind = match error {
            StoreError::Unavailable(_) | StoreError::Halted(_) => Kind::StoreUnavailable,
            StoreError::Corrupt(_) => Kind::StoreCorrupt,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let kind = match error {
            QueryError::UnknownSpace(_) => Kind::UnknownSpace,
            QueryError::UnknownDpu(_) => Kind::UnknownDpu,
            QueryError::Ahead { .. } => Kind::FutureInstant,
            QueryError::BucketTooLarge { .. } => Kind::BucketTooLarge,
            QueryError::NotQuarantined(_) => Kind::NotQuarantined,
            QueryError::RowsTooLarge { .. } => Kind::RowsTooLarge,
            QueryError::EmptyRange { .. }
            | QueryError::Calendar { .. }
            | QueryError::Limit { .. }
            | QueryError::Spaces { .. }
            | QueryError::Days { .. } => Kind::BadQuery,
            QueryError::Store(error) => return error.into(),
        };
        Self::new(kind, error.to_string())
    }
}

impl From<WatchFailed> for Problem {
    fn from(error: WatchFailed) -> Self {
        let kind = match error {
            WatchFailed::Full { .. } => Kind::TooManyClients,
            WatchFailed::Stopping => Kind::Stopping,
            WatchFailed::Query(error) => return error.into(),
        };
        Self::new(kind, error.to_string())
    }
}

impl From<EditFailed> for Problem {
    fn from(error: EditFailed) -> Self {
        let kind = match error {
            EditFailed::Stale => Kind::Stale,
            EditFailed::Refused(error) => return error.into(),
            EditFailed::Contended { .. } => Kind::Busy,
            EditFailed::Store(error) => return error.into(),
        };
        Self::new(kind, error.to_string())
    }
}

impl From<CorrectionFailed> for Problem {
    fn from(error: CorrectionFailed) -> Self {
        let kind = match error {
            CorrectionFailed::Number { .. } | CorrectionFailed::TooLong { .. } | CorrectionFailed::Twice { .. } => Kind::InvalidCorrection,
            CorrectionFailed::Ahead { .. } => Kind::FutureInstant,
            CorrectionFailed::OtherRequest => Kind::KeyReused,
            CorrectionFailed::Edit(error) => return error.into(),
            CorrectionFailed::Query(error) => return error.into(),
        };
        Self::new(kind, error.to_string())
    }
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        let kind = match &error {
            EditError::Topology(error) => topology(error),
            EditError::OtherDpu { .. } => Kind::InvalidTopology,
            EditError::UnknownSpace(_) => Kind::UnknownSpace,
            EditError::UnknownCorrection(_) => Kind::NotFound,
            EditError::CorrectionExists(_) | EditError::AlreadyRetracted(_) => Kind::Conflict,
        };
        Self::new(kind, error.to_string())
    }
}

/// A document wrong by itself, or one that conflicts with what there is.
fn topology(error: &TopologyError) -> Kind {
    match error {
        TopologyError::Taken { .. }
        | TopologyError::SidesChanged { .. }
        | TopologyError::Removal(_)
        | TopologyError::Installation(InstallationError::Overlap { .. }) => Kind::Conflict,
        TopologyError::NoRoot { .. }
        | TopologyError::SecondRoot { .. }
        | TopologyError::Twice { .. }
        | TopologyError::UnknownParent { .. }
        | TopologyError::Cycle { .. }
        | TopologyError::TooDeep { .. }
        | TopologyError::UnknownSpace { .. }
        | TopologyError::SameSides { .. }
        | TopologyError::UnknownDoorway { .. }
        | TopologyError::NotASide { .. }
        | TopologyError::Installation(InstallationError::Empty { .. }) => Kind::InvalidTopology,
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        let detail = error.to_string();
        match error {
            IntakeError::Busy { waiting: _, retry_after_s } => Self::retry(Kind::Busy, detail, retry_after_s),
            IntakeError::Unavailable { why: _, retry_after_s } => Self::retry(Kind::StoreUnavailable, detail, retry_after_s),
            IntakeError::Stopping => Self::new(Kind::Stopping, detail),
            IntakeError::Failed(_) => Self::new(Kind::IntakeFailed, detail),
        }
    }
}
