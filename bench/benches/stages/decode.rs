//! Reports from bytes.

use criterion::{BenchmarkId, Criterion, Throughput};
use wire::Report;

use crate::site::{dpu, seen};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode a report");
    for crossings in [1, 1_000] {
        let report = Report { dpu: dpu(7), crossings: (0..crossings).map(|k| Ok(seen(k))).collect(), heartbeat: None, accept_clock: false };
        group.throughput(Throughput::Elements(crossings as u64));
        for (form, bytes) in [("protobuf", wire::report::encode(&report)), ("JSON", wire::report::encode_json(&report))] {
            assert_eq!(wire::report::decode(&bytes).unwrap(), report);
            group.bench_with_input(BenchmarkId::new(form, crossings), &bytes, |bencher, bytes| {
                bencher.iter(|| wire::report::decode(bytes));
            });
        }
    }
    group.finish();
}
