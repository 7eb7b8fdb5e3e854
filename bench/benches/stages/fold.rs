//! Crossings into a ledger: after all others, and amid a day.

use std::collections::BTreeMap;

use criterion::{BenchmarkId, Criterion, Throughput};
use occupancy::crossing::Key;
use occupancy::ledger::{Counters, DayTail, Fold, Record, Tail, fold};

use crate::site::{append, record, seen};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fold into a ledger");
    // Every other crossing stands there, a day's worth; the others are appended after them, or merged among them.
    let stored = append(&Counters::default(), (0..2_000).step_by(2).map(seen).collect());
    let last = stored.rows.last().copied();
    let day = DayTail { rows: stored.rows.to_vec(), last, ..DayTail::default() };
    let tail = Tail { days: BTreeMap::from([(seen(0).at.day(), day)]), ..Tail::default() };
    for crossings in [1, 1_000] {
        group.throughput(Throughput::Elements(crossings as u64));
        let after = [record((2_000..2_000 + crossings).map(seen).collect())];
        group.bench_with_input(BenchmarkId::new("append", crossings), &after, |bencher, records| {
            bencher.iter(|| fold(&stored.counters, records));
        });
        let late: Vec<Key> = (1..2_000).step_by(2).take(crossings).map(seen).collect();
        group.bench_with_input(BenchmarkId::new("merge into 1,000", crossings), &[record(late)], |bencher, records: &[Record; 1]| {
            bencher.iter(|| match fold(&stored.counters, records) {
                Some(Fold::Merge(merge)) => merge.apply(&tail),
                other => unreachable!("no merge: {other:?}"),
            });
        });
    }
    group.finish();
}
