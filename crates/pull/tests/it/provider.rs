//! A provider on a socket of its own, an outlet that is a ledger, and a puller between them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{RawQuery, State as Shared};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use occupancy::crossing::Crossing;
use occupancy::time::{Clock, UnixMs};
use pull::{Batch, Outlet, Provider, Puller, State};
use serde_json::Value;
use tokio::task::JoinSet;

/// What answers a request: its query, and its headers.
pub(crate) type Answer = Arc<dyn Fn(&str, &HeaderMap) -> Response + Send + Sync>;

/// A provider; gone when dropped.
pub(crate) struct Provided {
    pub(crate) url: String,
    _serving: JoinSet<()>,
}

/// Starts a provider.
pub(crate) async fn provider(answer: impl Fn(&str, &HeaderMap) -> Response + Send + Sync + 'static) -> Provided {
    async fn handle(Shared(answer): Shared<Answer>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
        answer(&query.unwrap_or_default(), &headers)
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(handle).with_state(Arc::new(answer) as Answer);
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
    Provided { url, _serving: serving }
}

/// The value of a query's parameter, as it stands there.
pub(crate) fn parameter<'a>(query: &'a str, name: &str) -> &'a str {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
}

/// JSON with a status.
pub(crate) fn json(status: u16, value: &Value) -> Response {
    (axum::http::StatusCode::from_u16(status).unwrap(), value.to_string()).into_response()
}

/// What arrived.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    pub(crate) crossings: BTreeSet<Crossing>,
    /// Of rejected items, why, and how often.
    pub(crate) rejected: BTreeMap<String, usize>,
    pub(crate) heard_to: BTreeMap<String, UnixMs>,
    /// Crossings that came, those that came before too.
    pub(crate) sent: usize,
}

/// An outlet that keeps the set of what arrived; `fails` says whether it keeps a batch but denies that.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) arrived: Arc<Mutex<Arrived>>,
    pub(crate) fails: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { arrived: Arc::default(), fails: Arc::new(|| false) }
    }
}

impl Outlet for Ledger {
    type Published = String;
    type Error = String;

    async fn publish(&mut self, batch: &Batch) -> Result<String, String> {
        // As a server would: an await before and after, where the puller may be dropped.
        tokio::task::yield_now().await;
        {
            let mut arrived = self.arrived.lock().unwrap();
            for report in &batch.reports {
                let crossings = report.crossings.iter().map(|key| Crossing { dpu: report.dpu.clone(), key: *key.as_ref().unwrap() });
                arrived.sent += report.crossings.len();
                arrived.crossings.extend(crossings);
                if let Some(heartbeat) = report.heartbeat {
                    arrived.heard_to.insert(report.dpu.to_string(), heartbeat.at);
                }
            }
            for rejected in &batch.rejected {
                let payload: Value = serde_json::from_slice(&rejected.payload()).unwrap();
                assert_eq!(
                    (&payload["rejected"]["why"], &payload["rejected"]["item"]),
                    (&Value::from(rejected.why.clone()), &Value::from(rejected.item.clone()))
                );
                assert!(wire::report::decode(&rejected.payload()).is_err(), "it would pass for a report");
                *arrived.rejected.entry(rejected.why.clone()).or_default() += 1;
            }
        }
        tokio::task::yield_now().await;
        if (self.fails)() { Err("the answer got lost".to_owned()) } else { Ok("taken".to_owned()) }
    }
}

/// A clock that stands still.
pub(crate) fn at(text: &str) -> Clock {
    let now: UnixMs = text.parse().unwrap();
    Arc::new(move || now)
}

/// Settings for tests: quick to try again.
pub(crate) const QUICK: &str =
    "\n[limits]\nmax_requests_per_minute = 1000000\nbackoff_first_ms = 1\nbackoff_longest_ms = 4\ntimeout_ms = 2000\nonce_attempts = 200\n";

/// A puller with its state in a folder.
pub(crate) fn puller(config: &str, folder: &Path, ledger: &Ledger, clock: &Clock) -> Puller<Ledger> {
    let provider = Provider::parse(config).unwrap();
    let state = State::open(&folder.join("state.json"), &provider).unwrap();
    Puller::new(provider, folder, state, ledger.clone(), clock.clone()).unwrap()
}
