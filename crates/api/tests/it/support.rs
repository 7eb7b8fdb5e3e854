//! A server without a socket.

use std::sync::Arc;

use api::{App, Feed, HttpMetrics, LocalFeed, Manners, app};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use ingest::{EmbeddedConfig, EmbeddedIntake, Intake, IntakeError, Metrics, Receipt};
use occupancy::time::Clock;
use prometheus::Registry;
use query::{Query, Settings, Watch};
use serde_json::{Value, json};
use store::MemoryStore;
use tower::ServiceExt;
use wire::{Bad, Report};

pub(crate) const NOW: &str = "2024-03-01T12:00:00.000Z";

pub(crate) struct Server {
    pub(crate) router: Router,
    pub(crate) registry: Registry,
    pub(crate) query: Arc<Query>,
    pub(crate) watch: Arc<Watch>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem's type, checked to be a whole problem.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        let kind = problem["type"].as_str().unwrap();
        kind.strip_prefix("/problems/").unwrap_or_else(|| panic!("{kind}")).to_owned()
    }
}

impl Server {
    /// An empty server.
    pub(crate) async fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let (registry, query, watch) = answers(store.clone());
        let (metrics, feed) = (Metrics::new(&Registry::new()).unwrap(), Arc::new(LocalFeed::new(watch.clone())));
        let intake = EmbeddedIntake::start(EmbeddedConfig::default(), store, Some(feed), clock(), metrics).await.unwrap();
        Self::of(10_000, (registry, query, watch), Arc::new(intake), Feed::default(), Manners::default())
    }

    /// A server that meets requests as told.
    pub(crate) fn with(manners: Manners) -> Self {
        Self::of(10_000, answers(Arc::new(MemoryStore::new())), Arc::new(Stuck::Queues), Feed::default(), manners)
    }

    pub(crate) fn over(store: Arc<MemoryStore>, intake: Arc<dyn Intake>, feed: Feed) -> Self {
        Self::patient(10_000, store, intake, feed)
    }

    pub(crate) fn patient(timeout_ms: u64, store: Arc<MemoryStore>, intake: Arc<dyn Intake>, feed: Feed) -> Self {
        Self::of(timeout_ms, answers(store), intake, feed, Manners::default())
    }

    fn of(
        timeout_ms: u64,
        (registry, query, watch): (Registry, Arc<Query>, Arc<Watch>),
        intake: Arc<dyn Intake>,
        feed: Feed,
        manners: Manners,
    ) -> Self {
        let router = app(App {
            watch: watch.clone(),
            query: query.clone(),
            intake,
            feed: Arc::new(move || feed.clone()),
            metrics: HttpMetrics::new(&registry).unwrap(),
            version: "1.2.3",
            started_at: "2024-03-01T11:00:00Z".parse().unwrap(),
            timeout_ms,
            manners,
        });
        Self { router, registry, query, watch }
    }

    /// A server with a campus: a hall with a front door that DPU 1 hangs over, +1 enters.
    pub(crate) async fn campus() -> Self {
        let server = Self::new().await;
        let made = server.put("/v1/topology/campus", &campus(), ("if-none-match", "*")).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        server
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, ("accept", "*/*")).await
    }

    pub(crate) async fn get_with(&self, path: &str, header: (&str, &str)) -> Answer {
        self.call(Request::get(path).header(header.0, header.1).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value, header: (&str, &str)) -> Answer {
        let request = Request::put(path).header("content-type", "application/json").header(header.0, header.1);
        self.call(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn post(&self, body: impl Into<Body>) -> Answer {
        self.call(Request::post("/v1/crossings").header("content-type", "application/json").body(body.into()).unwrap()).await
    }
}

fn answers(store: Arc<MemoryStore>) -> (Registry, Arc<Query>, Arc<Watch>) {
    let registry = Registry::new();
    let query = Arc::new(Query::new(store, clock(), Settings::default()));
    let watch = Arc::new(Watch::new(query.clone(), 2, &registry).unwrap());
    (registry, query, watch)
}

pub(crate) fn clock() -> Clock {
    let now = NOW.parse().unwrap();
    Arc::new(move || now)
}

pub(crate) fn campus() -> Value {
    json!({
        "space": [{"id": "campus", "time_zone": "America/Los_Angeles"}, {"id": "hall", "parent": "campus", "capacity": 400}],
        "reset": [{"space": "campus", "at": "04:00", "from": "2024-01-01T00:00:00.000Z"}],
        "doorway": [{"id": "front", "between": ["outside", "hall"]}, {"id": "side", "between": ["campus", "hall"]}],
        "installation": [{"dpu": "1", "doorway": "front", "enters": "hall", "from": "2024-01-01T00:00:00.000Z"}]
    })
}

/// An intake that does one thing.
pub(crate) enum Stuck {
    Busy,
    Stopping,
    Panics,
    Never,
    Queues,
}

#[async_trait]
impl Intake for Stuck {
    async fn submit(&self, reports: Vec<Result<Report, Bad>>) -> Result<Receipt, IntakeError> {
        match self {
            Self::Busy => Err(IntakeError::Busy { waiting: 9, retry_after_s: 7 }),
            Self::Stopping => Err(IntakeError::Stopping),
            Self::Panics => panic!("of the inside"),
            Self::Never => std::future::pending().await,
            Self::Queues => Ok(Receipt::Queued { reports: reports.len() as u64 }),
        }
    }
}
