//! The HTTP interface: a file per resource, each with its own `router()`; [`app`] puts them together.
//!
//! # Guarantees
//!
//! - Every error is an RFC 9457 problem with a stable `type`, also where no route, no handler or no answer was found.
//! - A topology or a list of installations is only replaced by one who has read what stands there: `If-Match` is
//!   checked against the very revision the edit is appended to.
//! - Corrections with an `Idempotency-Key` are made once, however often the request comes.
//! - A 2xx to reported crossings means durable; any other status means: send them again unchanged.

#![allow(unused_qualifications, reason = "in what utoipa's macros make of routes")]

mod conditional;
mod corrections;
mod count;
mod crossings;
mod csv;
mod cursor;
mod dpus;
mod edit;
mod events;
mod examples;
mod explain;
mod extract;
mod health;
mod history;
mod installations;
mod instant;
mod live;
mod manners;
mod metrics;
mod openapi;
mod problem;
mod quarantine;
mod spaces;
mod status;
mod suspects;
mod topology;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use ingest::Intake;
use occupancy::time::UnixMs;
use query::{Query, Watch};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

pub use health::{Ready, probes};
pub use live::LocalFeed;
pub use manners::{Manners, Peer};
pub use metrics::{HttpMetrics, metrics_app};
pub use openapi::openapi;

use manners::Limit;
use problem::{Kind, Problem};

/// How the way in stands: what the program knows and the store does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feed {
    /// Why no traffic should come here now; `None` when all is well.
    pub not_ready: Option<String>,
    /// Pieces of work waiting in the lanes.
    pub queued: u64,
    /// Records of the log not yet folded; `None` without a log.
    pub lag: Option<u64>,
}

/// What the routes need.
pub struct App {
    /// Answers.
    pub query: Arc<Query>,
    /// Counts as they change.
    pub watch: Arc<Watch>,
    /// The way in for crossings.
    pub intake: Arc<dyn Intake>,
    /// How the way in stands.
    pub feed: Arc<dyn Fn() -> Feed + Send + Sync>,
    /// Counts and times requests.
    pub metrics: HttpMetrics,
    /// The program's version.
    pub version: &'static str,
    /// When the program started.
    pub started_at: UnixMs,
    /// After how long a request without an answer is given up, in ms. Longer than the intake's own patience.
    pub timeout_ms: u64,
    /// How requests are met.
    pub manners: Manners,
}

/// All routes.
pub fn app(app: App) -> Router {
    let (routes, _) = openapi::routes().split_for_parts();
    let routes = routes
        .merge(utoipa_swagger_ui::SwaggerUi::new("/docs").url("/openapi.json", openapi()))
        .fallback(async |request: Request| Problem::new(Kind::NotFound, format!("there is nothing at {}", request.uri().path())))
        .method_not_allowed_fallback(async |request: Request| {
            Problem::new(Kind::MethodNotAllowed, format!("{} is not possible at {}", request.method(), request.uri().path()))
        })
        .layer(from_fn(conditional::tag))
        .layer(from_fn_with_state(Duration::from_millis(app.timeout_ms), give_up))
        .layer(CatchPanicLayer::custom(|_| Problem::new(Kind::Internal, "the server could not answer; its log says why").into_response()))
        .layer(CompressionLayer::new());
    let Manners { cors_origins, requests_per_second, proxies } = &app.manners;
    let routes = match requests_per_second {
        Some(most) => routes.layer(from_fn_with_state(Limit::new(*most, *proxies), manners::limit)),
        None => routes,
    };
    // Outside of the limit: a page may read that it asked too often.
    let routes = if cors_origins.is_empty() { routes } else { routes.layer(manners::cors(cors_origins)) };
    routes.layer(from_fn_with_state(app.metrics.clone(), metrics::measure)).layer(from_fn(manners::identify)).with_state(Arc::new(app))
}

/// Gives up a request that takes too long.
async fn give_up(State(timeout): State<Duration>, request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(timeout, next.run(request)).await;
    answer.unwrap_or_else(|_| {
        Problem::new(Kind::Timeout, format!("no answer within {} ms: try again; sending again is safe", timeout.as_millis()))
            .into_response()
    })
}
