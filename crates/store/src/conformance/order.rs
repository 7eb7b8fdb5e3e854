//! The main property: any order, any batching, any restarts give the ledgers of the naive model.

use std::cell::RefCell;

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Record, Row, Totals};
use occupancy::time::{DAY_MS, UnixMs};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::test_runner::TestRunner;

use super::model::Model;
use super::{Lane, Subject, dpu, ledger, totals};
use crate::{Part, Stamped, Summary};

/// Which of a case's DPUs, and which crossing.
type Arrival = (usize, Key);

const DPUS: usize = 3;

#[derive(Debug, Clone)]
struct Case {
    /// Crossings as they arrive, some of them again.
    arrivals: Vec<Arrival>,
    /// How many crossings each record takes, how many records each batch takes, and whether the lane restarts before it
    /// and the store with it; over and over.
    records: Vec<usize>,
    batches: Vec<(usize, bool, bool)>,
    /// Instants to ask for.
    probes: Vec<UnixMs>,
}

fn instants() -> impl Strategy<Value = UnixMs> {
    let days = prop_oneof![-2_i64..3, Just(-40_000), Just(9), Just(17_588)];
    let within = prop_oneof![0_i64..4, DAY_MS - 2..DAY_MS, 0..DAY_MS];
    (days, within).prop_map(|(day, ms)| UnixMs::new(day * DAY_MS + ms).unwrap())
}

fn crossings() -> impl Strategy<Value = Arrival> {
    let direction = prop_oneof![Just(Direction::Minus), Just(Direction::Plus)];
    let seq = prop_oneof![0_u64..4, 240_u64..300];
    (0..DPUS, instants(), 0_u64..3, seq, direction).prop_map(|(dpu, at, boot, seq, direction)| (dpu, Key { at, boot, seq, direction }))
}

fn cases() -> impl Strategy<Value = Case> {
    let arrivals = (vec(crossings(), 1..40), vec(any::<proptest::sample::Index>(), 0..12)).prop_flat_map(|(set, again)| {
        let resent: Vec<Arrival> = again.iter().map(|index| *index.get(&set)).collect();
        Just([set, resent].concat()).prop_shuffle()
    });
    let batches = vec((1_usize..6, any::<bool>(), proptest::bool::weighted(0.1)), 1..8);
    (arrivals, vec(1_usize..5, 1..8), batches, vec(instants(), 0..12)).prop_map(|(arrivals, records, batches, probes)| Case {
        arrivals,
        records,
        batches,
        probes,
    })
}

/// The log's clock stands still: so rows of different orders are the same to the last byte.
fn appended_at() -> UnixMs {
    UnixMs::CLOCK_SET
}

fn records(case: &Case, ids: &[DpuId]) -> Vec<(DpuId, Record)> {
    let mut sizes = case.records.iter().cycle();
    let mut records: Vec<(DpuId, Record)> = Vec::new();
    let mut room = 0;
    for (dpu, key) in &case.arrivals {
        match records.last_mut() {
            Some((last, record)) if *last == ids[*dpu] && room > 0 => {
                record.crossings = record.crossings.iter().copied().chain([*key]).collect();
            }
            _ => {
                room = *sizes.next().unwrap();
                let record = Record { crossings: vec![*key].into(), heartbeat: None, appended_at: appended_at(), position: None };
                records.push((ids[*dpu].clone(), record));
            }
        }
        room -= 1;
    }
    for (_, record) in records.iter_mut().step_by(3) {
        record.heartbeat = record.crossings.last().map(|key| Heartbeat { at: key.at, boot: key.boot, last_seq: key.seq });
    }
    records
}

async fn run(subject: &mut impl Subject, case: &Case, ids: &[DpuId]) {
    let records = records(case, ids);
    let mut lane = Lane::default();
    let mut batches = case.batches.iter().cycle();
    let mut rest = records.as_slice();
    while !rest.is_empty() {
        let (size, lane_restarts, store_restarts) = *batches.next().unwrap();
        if lane_restarts || store_restarts {
            lane = Lane::default();
        }
        if store_restarts {
            subject.restart().await;
        }
        let (batch, later) = rest.split_at(size.min(rest.len()));
        lane.take(subject.store(), batch).await.unwrap();
        rest = later;
    }
    for (i, id) in ids.iter().enumerate() {
        check(subject, case, i, id, &records).await;
    }
}

async fn check(subject: &impl Subject, case: &Case, i: usize, id: &DpuId, records: &[(DpuId, Record)]) {
    let model: Model = case.arrivals.iter().filter(|(dpu, _)| *dpu == i).map(|(_, key)| *key).collect();
    let found = ledger(subject.store(), id).await;
    let rows: Vec<Row> = model.rows().into_iter().map(|(key, totals)| Row { key, totals, appended_at: appended_at() }).collect();
    assert_eq!(found.rows, rows);
    assert_eq!(found.openings, model.openings());
    let mine = || records.iter().filter(|(dpu, _)| dpu == id).map(|(_, record)| record);
    let heard = mine().flat_map(|record| record.crossings.iter().map(|key| key.at)).max();
    let expected = model.last().map(|last| Counters {
        opening: model.before(last.at.day().start()),
        day: rows.last().unwrap().totals,
        last: Some(last),
        heartbeat: mine().filter_map(|record| record.heartbeat).max(),
        heard: heard.map(|at| at.min(appended_at())),
        position: None,
        stamp_us: 0,
    });
    assert_eq!(found.counters.map(|counters| Counters { stamp_us: 0, ..counters }), expected);
    let edges = case.arrivals.iter().flat_map(|(_, key)| [key.at, key.at.plus_ms(1), key.at.day().start()]);
    let before: Vec<(DpuId, UnixMs)> = edges.chain(case.probes.iter().copied()).map(|at| (id.clone(), at)).collect();
    let found_totals = subject.store().totals(&before).await.unwrap();
    assert_eq!(found_totals, before.iter().map(|(_, at)| model.before(*at)).collect::<Vec<_>>());
    for part in [Part::Whole, Part::WithinDay] {
        let asked: Vec<_> = before.iter().map(|(dpu, at)| (dpu.clone(), *at, part)).collect();
        let stamped = subject.store().stamped(&asked).await.unwrap();
        let rest = |(at, one): (UnixMs, &Stamped)| match one.part {
            Part::Whole => Totals::default(),
            Part::WithinDay => model.before(at.plus_ms(-1).day().start()),
        };
        let told: Vec<Totals> = before.iter().zip(&stamped).map(|((_, at), one)| rest((*at, one)).plus(one.totals)).collect();
        assert_eq!(told, found_totals);
        let held = found.counters.map_or(i64::MIN, |counters| counters.stamp_us);
        assert!(stamped.iter().all(|one| one.part <= part && one.stamp_us <= held));
    }
    // Of all instants, and of those of one day.
    let day = |at: UnixMs| at.plus_ms(-1).day();
    let within = before.iter().filter(|(_, at)| before.first().is_some_and(|(_, first)| day(*first) == day(*at)));
    for some in [&before, &within.cloned().collect()] {
        let relative = subject.store().relative_totals(some).await.unwrap();
        let since_first = |all: &[Totals]| all.iter().map(|totals| since(*totals, all[0])).collect::<Vec<_>>();
        let expected: Vec<Totals> = some.iter().map(|(_, at)| model.before(*at)).collect();
        assert_eq!(since_first(&relative), since_first(&expected), "{some:?}");
        // The same beside the realtime row, and beside a DPU that nobody has heard of.
        let instants = some.iter().map(|(_, at)| *at).collect();
        let wanted = [(dpu("nobody"), vec![UnixMs::MAX]), (id.clone(), Vec::new()), (id.clone(), instants)];
        let summaries = subject.store().summaries(&wanted).await.unwrap();
        let unknown = Summary { counters: None, totals: vec![totals(0, 0)] };
        let bare = Summary { counters: found.counters, totals: Vec::new() };
        assert_eq!(summaries[..2], [unknown, bare]);
        assert_eq!(summaries[2].counters, found.counters);
        assert_eq!(since_first(&summaries[2].totals), since_first(&expected), "{some:?}");
    }
}

/// What passed between two totals.
pub(super) fn since(later: Totals, earlier: Totals) -> (i64, i64) {
    let gained = |later: u64, earlier: u64| later.cast_signed() - earlier.cast_signed();
    (gained(later.entered, earlier.entered), gained(later.exited, earlier.exited))
}

/// Any permutation of a set of crossings, some sent twice, in any batches, with restarts between, ends as the model says.
pub async fn any_order_and_batching_give_the_same_ledgers(subject: &mut impl Subject) {
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    let subject = RefCell::new((subject, 0));
    let outcome = TestRunner::new(config).run(&cases(), |case| {
        let (subject, runs) = &mut *subject.borrow_mut();
        // Each run has DPUs of its own.
        *runs += 1;
        let ids: Vec<DpuId> = (0..DPUS).map(|i| format!("run{runs}-{i}").parse().unwrap()).collect();
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(run(*subject, &case, &ids)));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
