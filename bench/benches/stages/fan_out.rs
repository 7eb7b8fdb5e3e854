//! One change told to all who watch the space. Time is virtual, so that the pace at which a space is told takes none.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use futures_util::{Stream, StreamExt};
use occupancy::ledger::{Change, Counters};
use prometheus::Registry;
use query::{News, TELL_EVERY, Watch};
use store::{Ledgers, MemoryStore};
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::site::{dpu, next_commit, query, room, seen};

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
    let watch = Watch::new(query, watchers, &Registry::new()).unwrap();
    let mut counters = [Counters::default()];
    let told = async {
        let (hear, mut heard) = mpsc::channel(watchers as usize);
        let mut tasks = JoinSet::new();
        for _ in 0..watchers {
            let news = watch.subscribe(&[room(0)]).await.unwrap().into_stream();
            tasks.spawn(tell_on(news, hear.clone()));
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

/// One who watches, as a connection of the server does.
async fn tell_on(news: impl Stream<Item = News>, hear: mpsc::Sender<i64>) {
    let mut news = pin!(news);
    while let Some(news) = news.next().await {
        if let News::Count(count) = news {
            hear.send(count.entered + count.exited).await.unwrap();
        }
    }
}

/// Until as many have heard of so many crossings.
async fn all_hear(heard: &mut mpsc::Receiver<i64>, mut watchers: u32, crossings: i64) {
    while watchers > 0 {
        watchers -= u32::from(heard.recv().await == Some(crossings));
    }
}
