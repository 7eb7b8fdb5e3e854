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

mod compress;
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
mod json;
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

use std::convert::Infallible;
use std::future::ready;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use futures_util::FutureExt;
use ingest::Intake;
use occupancy::time::UnixMs;
use query::{Query, Watch};
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

pub use health::{Ready, probes};
pub use live::{Endless, LocalFeed};
pub use manners::{Manners, Peer};
pub use metrics::{HttpMetrics, metrics_app};
pub use openapi::openapi;

use compress::Takes;
use conditional::Reader;
use manners::{Asked, Limit, REQUEST_ID};
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
    let meets = Arc::new(Meets::of(&app));
    let routes = routes
        .merge(utoipa_swagger_ui::SwaggerUi::new("/docs").url("/openapi.json", openapi()))
        .fallback(async |request: Request| Problem::new(Kind::NotFound, format!("there is nothing at {}", request.uri().path())))
        .method_not_allowed_fallback(async |request: Request| {
            Problem::new(Kind::MethodNotAllowed, format!("{} is not possible at {}", request.method(), request.uri().path()))
        })
        .layer(layer_fn(move |route: Route| {
            let meets = Arc::clone(&meets);
            service_fn(move |request| meet(Arc::clone(&meets), route.clone(), request).map(Ok::<_, Infallible>))
        }));
    routes.with_state(Arc::new(app))
}

/// How each request is met, whatever its route.
struct Meets {
    metrics: HttpMetrics,
    cors: Option<CorsLayer>,
    bounds: Bounds,
}

/// How often one address may ask, and how long an answer may take.
#[derive(Clone)]
struct Bounds {
    limit: Option<Limit>,
    timeout: Duration,
}

impl Meets {
    fn of(app: &App) -> Self {
        let Manners { requests_per_second, proxies, cors_origins } = &app.manners;
        let limit = requests_per_second.map(|most| Limit::new(most, *proxies));
        Self {
            metrics: app.metrics.clone(),
            cors: (!cors_origins.is_empty()).then(|| manners::cors(cors_origins)),
            bounds: Bounds { limit, timeout: Duration::from_millis(app.timeout_ms) },
        }
    }
}

/// Gives a request an id, counts and times it, and answers it. One layer for all: for every request each clones all that is
/// within it, and boxes it anew. That box is to be small: what few need has one of its own, and the steps are put together
/// without `async`, which keeps what it was given beside what it makes of that.
fn meet(meets: Arc<Meets>, route: Route, request: Request) -> impl Future<Output = Response> + Send {
    let (timed, asked) = (meets.metrics.begin(&request), Asked::of(&request));
    let id = asked.id();
    let bounds = &meets.bounds;
    let answer = match &meets.cors {
        None => within(bounds, route, request).left_future(),
        Some(cors) => {
            // Outside of the limit: a page may read that it asked too often.
            let bounds = bounds.clone();
            let within = service_fn(move |request| within(&bounds, route.clone(), request).map(Ok::<_, Infallible>));
            Box::pin(cors.layer(within).oneshot(request)).map(|Ok(answer)| answer).right_future()
        }
    };
    asked.scope(answer).map(move |mut answer| {
        meets.metrics.end(timed, answer.status());
        answer.headers_mut().extend(id.map(|id| (REQUEST_ID, id)));
        answer
    })
}

/// Answers, whatever becomes of the route; tagged, and compressed where the client takes that.
fn within(Bounds { limit, timeout }: &Bounds, mut route: Route, request: Request) -> impl Future<Output = Response> + Send + use<> {
    if let Some(refused) = limit.as_ref().and_then(|limit| limit.refuses(&request)) {
        return ready(refused.into_response()).left_future();
    }
    let (timeout, takes, reader) = (*timeout, Takes::of(request.headers()), Reader::of(&request));
    let answer = route.call(request).then(|Ok(answer)| reader.tag(answer));
    let answer = AssertUnwindSafe(tokio::time::timeout(timeout, answer)).catch_unwind().map(move |answer| match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => {
            let detail = format!("no answer within {} ms: try again; sending again is safe", timeout.as_millis());
            Problem::new(Kind::Timeout, detail).into_response()
        }
        Err(_) => Problem::new(Kind::Internal, "the server could not answer; its log says why").into_response(),
    });
    answer.then(|answer| takes.compress(answer)).right_future()
}
