//! A commit into the embedded store, synced to disk: one crossing each of some DPUs.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use occupancy::ledger::Counters;
use store::{FjallStore, Ledgers};
use tokio::runtime::Runtime;

use crate::site::{dpu, next_commit};

pub(crate) fn bench(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("commit to disk");
    for dpus in [1, 100, 1_000] {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let store = FjallStore::open(folder.path().join("store")).unwrap();
        let (mut counters, mut k) = (vec![Counters::default(); dpus], 0);
        group.throughput(Throughput::Elements(dpus as u64));
        group.bench_function(BenchmarkId::new("DPUs", dpus), |bencher| {
            let next = || {
                k += 1;
                next_commit(&mut counters, k)
            };
            bencher.iter_batched(next, |commit| runtime.block_on(store.commit(commit)).unwrap(), BatchSize::SmallInput);
        });
        let stored = runtime.block_on(store.counters(&[dpu(0)])).unwrap();
        assert_eq!(stored[0].map(|counters| counters.totals()), Some(counters[0].totals()));
    }
    group.finish();
}
