//! A lane over the store in memory: what taking in costs without a disk.

use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use ingest::{Ack, Item, Lane, LaneConfig, Metrics, Outcome, Shared};
use occupancy::id::DpuId;
use occupancy::ledger::Record;
use prometheus::Registry;
use store::MemoryStore;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::site::{dpu, record, seen};

/// Crossings in all.
const CROSSINGS: usize = 10_000;

struct Told(oneshot::Sender<Outcome>);

impl Ack for Told {
    fn durable(self, outcome: Outcome) {
        // Whoever submitted it waits.
        let _ = self.0.send(outcome);
    }
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("a lane, to memory");
    group.throughput(Throughput::Elements(CROSSINGS as u64)).sample_size(20);
    // An item is one request: of a single DPU, or of a thousand.
    for (name, dpus, each) in [("items of 1,000 crossings of one DPU", 1, 1_000), ("items of 1,000 DPUs", 1_000, 1)] {
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            let fresh = || (lane(&runtime), items(dpus, each));
            let take = |(lane, items): (Lane<Told>, Vec<Vec<(DpuId, Record)>>)| runtime.block_on(taken(lane, items));
            bencher.iter_batched(fresh, take, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn lane(runtime: &Runtime) -> Lane<Told> {
    let shared = Shared::new(Arc::new(MemoryStore::new()), None, Metrics::new(&Registry::new()).unwrap(), 65_536);
    Lane::spawn(runtime.handle(), LaneConfig::default(), shared)
}

fn items(dpus: usize, each: usize) -> Vec<Vec<(DpuId, Record)>> {
    let item = |i: usize| (0..dpus).map(|n| (dpu(n), record((i * each..(i + 1) * each).map(seen).collect()))).collect();
    (0..CROSSINGS / dpus / each).map(item).collect()
}

/// Until all is acknowledged.
async fn taken(lane: Lane<Told>, items: Vec<Vec<(DpuId, Record)>>) -> u64 {
    let mut told = Vec::with_capacity(items.len());
    for records in items {
        let (tell, heard) = oneshot::channel();
        let item = Item { records, quarantine: Vec::new(), ack: Told(tell) };
        lane.submit(item).await.unwrap_or_else(|_| unreachable!("the lane is open"));
        told.push(heard);
    }
    let mut accepted = 0;
    for heard in told {
        accepted += heard.await.unwrap().tallies.iter().map(|tally| tally.accepted).sum::<u64>();
    }
    assert_eq!(accepted, CROSSINGS as u64);
    accepted
}
