//! Lanes that crash, retry and replay over the store with seeded faults: in the end it holds what the log says. And
//! nodes that say nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use engines::Proxy;
use occupancy::crossing::{Direction, Key};
use occupancy::id::DpuId;
use occupancy::ledger::{Position, Record, Row};
use occupancy::time::{DAY_MS, UnixMs};
use store::conformance::model::Model;
use store::conformance::{Lane, ledger};
use store::faults::{Faulty, Rng};
use store::{Commit, Ledgers};
use store_cql::{CqlOptions, CqlStore, migrate};

use crate::cluster;

const SEEDS: u64 = 40;

/// One partition of a log with crossings of one DPU, some of them late, some sent again.
fn log(rng: &mut Rng, id: &DpuId) -> Vec<(DpuId, Record)> {
    let mut sent: Vec<Key> = Vec::new();
    let mut record = |offset: i64| {
        for _ in 0..1 + rng.below(3) {
            let again = usize::try_from(rng.below(4 * (sent.len() as u64 + 1))).unwrap();
            let at = UnixMs::new((rng.below(3).cast_signed() - 1) * DAY_MS + rng.below(10).cast_signed()).unwrap();
            let direction = if rng.percent(50) { Direction::Plus } else { Direction::Minus };
            sent.push(sent.get(again).copied().unwrap_or(Key { at, boot: 1, seq: rng.below(5), direction }));
        }
        let crossings = sent.iter().rev().take(3).copied().collect();
        let position = Some(Position { epoch: 1, partition: 0, offset });
        Record { crossings, heartbeat: None, appended_at: UnixMs::new(5 * DAY_MS + offset / 2).unwrap(), position }
    };
    (0..12).map(|offset| (id.clone(), record(offset))).collect()
}

async fn run<S: store::Store>(seed: u64, store: &Faulty<S>) {
    let (mut rng, id) = (Rng::new(seed), format!("s{seed}").parse().unwrap());
    let log = log(&mut rng, &id);
    let (mut lane, mut next) = (Lane::default(), 0);
    let mut zombies: Vec<Arc<Commit>> = Vec::new();
    while next < log.len() {
        let size = 1 + usize::try_from(rng.below(4)).unwrap();
        let batch = &log[next..(next + size).min(log.len())];
        let commit = Arc::new(lane.prepare(store, batch).await.unwrap());
        let mut stored = store.commit(Arc::clone(&commit)).await.is_ok();
        while !stored && rng.percent(60) {
            stored = store.commit(Arc::clone(&commit)).await.is_ok();
        }
        if stored {
            next += batch.len();
        }
        // It crashes, and another goes on from what was acknowledged, or from further back; what it held may still come.
        if !stored || rng.percent(20) {
            lane = Lane::default();
            next -= usize::try_from(rng.below(3)).unwrap().min(next);
            zombies.push(commit);
        }
        if rng.percent(30) && !zombies.is_empty() {
            let late = zombies.swap_remove(usize::try_from(rng.below(zombies.len() as u64)).unwrap());
            drop(store.commit(late).await);
        }
    }
    store.land().await.unwrap();
    let mut first: BTreeMap<Key, UnixMs> = BTreeMap::new();
    for (_, record) in &log {
        for key in record.crossings.iter() {
            first.entry(*key).or_insert(record.appended_at);
        }
    }
    let model: Model = first.keys().copied().collect();
    let rows: Vec<Row> = model.rows().into_iter().map(|(key, totals)| Row { key, totals, appended_at: first[&key] }).collect();
    let found = ledger(store.inner(), &id).await;
    assert_eq!((found.rows, found.openings), (rows, model.openings()), "seed {seed}");
    let counters = found.counters.unwrap();
    let last = log.last().and_then(|(_, record)| record.position);
    assert_eq!((counters.totals(), counters.last, counters.position), (model.before(UnixMs::MAX), model.last(), last), "seed {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_the_store_ends_as_the_log_says() {
    let Some(store) = cluster::store().await else { return };
    let store = Faulty::new(store, 7, 40);
    for seed in 0..SEEDS {
        run(seed, &store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_takes_connections_and_says_nothing_is_given_up() {
    let Some(options) = cluster::keyspace().await else { return };
    let proxy = Proxy::to(cluster::node()).unwrap();
    let options = CqlOptions::new(format!("cql://{}/{}", proxy.address(), options.url.keyspace).parse().unwrap());
    let hasty = CqlOptions { timeout_ms: 300, ..options.clone() };
    proxy.mute(true);
    let why = format!("no node of {} answers: a node took the connection, and nothing came within 900 ms", options.url);
    assert_eq!(CqlStore::connect(&hasty).await.unwrap_err().to_string(), why);
    assert_eq!(migrate(&hasty, &cluster::plan()).await.unwrap_err().to_string(), why);
    proxy.mute(false);
    CqlStore::connect(&options).await.unwrap();
}
