//! Totals, counts and history over stores of two sizes, in memory and on disk.

use std::cell::OnceCell;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput};
use occupancy::bucket::Interval;
use occupancy::time::UnixMs;
use query::{HistoryCaps, Query, Span, Stats};
use store::{FjallStore, MemoryStore, Store};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::site::{DPUS, after, dpu, fill, query, room};

/// A store that holds so many crossings.
struct Filled {
    name: String,
    store: Arc<dyn Store>,
    query: Query,
    steps: usize,
    _folder: TempDir,
}

impl Filled {
    /// The i-th of instants that look random.
    fn instant(&self, i: usize) -> UnixMs {
        after(i.wrapping_mul(0x9e37_79b9) % self.steps)
    }
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    // Filled once one of them is to be measured, as that takes a while.
    let filled = OnceCell::new();
    let filled = || filled.get_or_init(|| filled_stores(&runtime)).iter();
    let names = ["memory", "disk"].into_iter().flat_map(|kind| [10_000, 1_000_000].map(|size| (kind, size)));
    let names: Vec<String> = names.map(|(kind, size)| format!("{kind}, {size} crossings")).collect();
    let of = |name: &String| filled().find(|one| one.name == *name).unwrap();
    for (group, measure) in MEASURES {
        let mut group = criterion.benchmark_group(*group);
        group.throughput(Throughput::Elements(1));
        for name in &names {
            let mut i = 0;
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                let filled = of(name);
                bencher.iter(|| {
                    i += 1;
                    measure(&runtime, filled, i);
                });
            });
        }
        group.finish();
    }
}

type Measure = fn(&Runtime, &Filled, usize);

/// What is asked of each store, and what it comes to is checked.
const MEASURES: &[(&str, Measure)] = &[
    ("totals of a DPU at T", |runtime, filled, i| {
        let (at, k) = (filled.instant(i), i.wrapping_mul(0x9e37_79b9) % filled.steps);
        let totals = runtime.block_on(filled.store.totals(&[(dpu(i % DPUS), at)])).unwrap();
        assert_eq!(totals[0].entered + totals[0].exited, k as u64);
    }),
    ("count of a room at T", |runtime, filled, i| {
        let count = runtime.block_on(filled.query.count(&room(i % DPUS / 2), Some(filled.instant(i)))).unwrap();
        assert_eq!((count.entered + count.exited) % 2, 0);
    }),
    ("count of a campus at T", |runtime, filled, i| {
        let count = runtime.block_on(filled.query.count(&"campus".parse().unwrap(), Some(filled.instant(i)))).unwrap();
        assert_eq!((count.entered + count.exited) % DPUS as i64, 0);
    }),
    ("count of a room now", |runtime, filled, i| {
        let count = runtime.block_on(filled.query.count(&room(i % DPUS / 2), None)).unwrap();
        assert_eq!(count.entered + count.exited, 2 * filled.steps as i64);
    }),
    ("history of a room, an hour walked", |runtime, filled, i| hour(runtime, filled, i, Stats::Full)),
    ("history of a room, an hour's flow", |runtime, filled, i| hour(runtime, filled, i, Stats::Flow)),
];

/// One bucket.
fn hour(runtime: &Runtime, filled: &Filled, i: usize, stats: Stats) {
    let from = filled.instant(i);
    let span = Span { from, to: from.plus_ms(1), interval: Interval::Minutes(60), zone: None, stats };
    let history = runtime.block_on(filled.query.history(&[room(i % DPUS / 2)], &span, None, HistoryCaps::default())).unwrap();
    assert!(history.series[0].buckets[0].bucket.entered > 0);
}

fn filled_stores(runtime: &Runtime) -> Vec<Filled> {
    let mut all = Vec::new();
    for crossings in [10_000, 1_000_000] {
        for kind in ["memory", "disk"] {
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let store: Arc<dyn Store> = if kind == "disk" {
                Arc::new(FjallStore::open(folder.path().join("store")).unwrap())
            } else {
                Arc::new(MemoryStore::new())
            };
            fill(runtime, &*store, crossings);
            let steps = crossings / DPUS;
            let query = query(runtime, store.clone(), steps);
            all.push(Filled { name: format!("{kind}, {crossings} crossings"), store, query, steps, _folder: folder });
        }
    }
    all
}
