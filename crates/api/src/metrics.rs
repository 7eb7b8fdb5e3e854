//! What the HTTP interface measures, and the page all measurements are read from.

use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TEXT_FORMAT};

use crate::problem::{Kind, Problem};

/// Counts and times requests; cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl HttpMetrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// A metric of the same name is registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = Opts::new("headcount_http_requests_total", "Requests answered, by method, route and status.");
        let requests = IntCounterVec::new(requests, &["method", "route", "status"])?;
        let seconds = HistogramOpts::new("headcount_http_seconds", "How long an answer took, by route, in seconds.")
            .buckets(prometheus::exponential_buckets(0.0005, 2.0, 15)?);
        let seconds = HistogramVec::new(seconds, &["route"])?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self { requests, seconds })
    }

    /// A request that is answered from now on.
    pub(crate) fn begin(&self, request: &Request) -> Timed {
        Timed { method: request.method().clone(), route: request.extensions().get::<MatchedPath>().cloned(), start: Instant::now() }
    }

    /// Counts and times a request that was answered.
    pub(crate) fn end(&self, Timed { method, route, start }: Timed, status: StatusCode) {
        let route = route.as_ref().map_or("none", MatchedPath::as_str);
        // Methods of anybody's invention would make labels without end.
        let method = if [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE].contains(&method) {
            method.as_str()
        } else {
            "other"
        };
        self.requests.with_label_values(&[method, route, status.as_str()]).inc();
        self.seconds.with_label_values(&[route]).observe(start.elapsed().as_secs_f64());
    }
}

/// A request that is being answered.
pub(crate) struct Timed {
    method: Method,
    route: Option<MatchedPath>,
    start: Instant,
}

/// `/metrics` in the Prometheus text format, for a port of its own that is not public.
pub fn metrics_app(registry: Registry) -> Router {
    Router::new().route("/metrics", get(page)).with_state(registry)
}

async fn page(State(registry): State<Registry>) -> Response {
    match prometheus::TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => Problem::new(Kind::Internal, error.to_string()).into_response(),
    }
}
