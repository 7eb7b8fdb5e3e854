//! One change told to all who watch the space, as the events of their answers' bodies: all but the sockets. Time is virtual,
//! so that the pace at which a space is told takes none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::{App, Feed, HttpMetrics, Manners, app};
use criterion::{BenchmarkId, Criterion, Throughput};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes};
use hyper::{Request, StatusCode};
use ingest::{EmbeddedConfig, EmbeddedIntake, Metrics};
use occupancy::ledger::{Change, Counters};
use prometheus::Registry;
use query::{Query, TELL_EVERY, Watch};
use store::{Ledgers, MemoryStore};
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::site::{after, dpu, next_commit, query, room, seen};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a change, told to all who watch");
    group.sample_size(20);
    for watchers in [1, 100, 10_000] {
        group.throughput(Throughput::Elements(watchers as u64));
        group.bench_function(BenchmarkId::from_parameter(watchers), |bencher| {
            bencher.iter_custom(|times| told(watchers, times));
        });
    }
    group.finish();
}

/// How long it takes from so many changes, each as soon as it may be told, until all have heard of it.
fn told(watchers: u32, times: u64) -> Duration {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let store = Arc::new(MemoryStore::new());
    let times = usize::try_from(times).unwrap();
    let query = Arc::new(query(&runtime, store.clone(), times + 1));
    let watch = Arc::new(Watch::new(query.clone(), watchers, &Registry::new()).unwrap());
    let mut counters = [Counters::default()];
    let told = async {
        let routes = app(routed(store.clone(), query, watch.clone()).await);
        let (hear, mut heard) = mpsc::channel(watchers as usize);
        let mut tasks = JoinSet::new();
        for _ in 0..watchers {
            let request = Request::get(format!("/v1/live?space={}", room(0))).body(Empty::<Bytes>::new()).unwrap();
            let answer = routes.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            tasks.spawn(tell_on(answer.into_body(), hear.clone()));
        }
        all_hear(&mut heard, watchers, 0).await;
        let mut took = Duration::ZERO;
        for k in 0..times {
            tokio::time::sleep(TELL_EVERY).await;
            store.commit(next_commit(&mut counters, k)).await.unwrap();
            let change = Change { dpu: dpu(0), counters: counters[0], from: Some(seen(k).at) };
            let began = Instant::now();
            watch.changed(&[change]);
            all_hear(&mut heard, watchers, k as i64 + 1).await;
            took += began.elapsed();
        }
        took
    };
    runtime.block_on(async {
        tokio::select! {
            never = watch.run() => match never {},
            took = told => took,
        }
    })
}

/// The routes' state, over a store and those who watch it.
async fn routed(store: Arc<MemoryStore>, query: Arc<Query>, watch: Arc<Watch>) -> App {
    let (registry, now) = (Registry::new(), after(0));
    let metrics = Metrics::new(&registry).unwrap();
    let intake = EmbeddedIntake::start(EmbeddedConfig::default(), store, None, Arc::new(move || now), metrics).await.unwrap();
    App {
        query,
        watch,
        intake: Arc::new(intake),
        feed: Arc::new(Feed::default),
        metrics: HttpMetrics::new(&registry).unwrap(),
        version: "bench",
        started_at: now,
        timeout_ms: 10_000,
        manners: Manners::default(),
    }
}

/// One who watches, as a connection of the server does: how many crossings each event tells of.
async fn tell_on(mut told: impl Body<Data = Bytes, Error: std::fmt::Debug> + Unpin, hear: mpsc::Sender<i64>) {
    while let Some(frame) = told.frame().await {
        let event = frame.unwrap().into_data().unwrap();
        let event = std::str::from_utf8(&event).unwrap();
        if let Some(entered) = number(event, "\"entered\":") {
            hear.send(entered + number(event, "\"exited\":").unwrap()).await.unwrap();
        }
    }
}

/// The number that follows a key.
fn number(event: &str, key: &str) -> Option<i64> {
    event.split_once(key)?.1.split_once(',')?.0.parse().ok()
}

/// Until as many have heard of so many crossings.
async fn all_hear(heard: &mut mpsc::Receiver<i64>, mut watchers: u32, crossings: i64) {
    while watchers > 0 {
        watchers -= u32::from(heard.recv().await == Some(crossings));
    }
}
