//! Whatever the order, grouping, duplication and failures: the ledgers are those of a naive model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ingest::{Drained, Lane, LaneConfig, Metrics, Shared};
use occupancy::crossing::{Direction, Key};
use occupancy::ledger::{Record, Totals};
use occupancy::time::{Day, UnixMs};
use proptest::prelude::*;
use store::faults::Faulty;
use store::{Ledgers, MemoryStore};

use crate::lane::item;
use crate::steered::{at, dpu, record};

pub(crate) const DPUS: [&str; 3] = ["a", "b", "c"];

/// One submitted item: records of some DPUs, and whether the lane is started anew after it.
type Step = (Vec<(usize, Vec<Key>)>, bool);

pub(crate) fn key() -> impl Strategy<Value = Key> {
    (0..4i64, 0..6i64, any::<bool>()).prop_map(|(day, ms, plus)| {
        let direction = if plus { Direction::Plus } else { Direction::Minus };
        Key { direction, ..Key::first_at(at(day * 86_400_000 + ms)) }
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let records = prop::collection::vec((0..DPUS.len(), prop::collection::vec(key(), 0..5)), 0..4);
    prop::collection::vec((records, prop::bool::weighted(0.1)), 1..25)
}

/// Submits the steps, starting a new lane where one says so; returns the crossings told to be new.
async fn run(store: &Arc<dyn Ledgers>, steps: &[Step], config: LaneConfig) -> u64 {
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    let shared = Shared::new(Arc::clone(store), None, metrics, 1);
    let spawn = || Lane::spawn(&tokio::runtime::Handle::current(), config, shared.clone());
    let mut lane = spawn();
    let mut answers = Vec::new();
    for (records, restart) in steps {
        let records: Vec<(&str, Record)> = records.iter().map(|(i, keys)| (DPUS[*i], record(keys))).collect();
        let (one, answer) = item(records);
        lane.submit(one).await.unwrap();
        answers.push(answer);
        if *restart {
            assert_eq!(lane.drain(Duration::from_secs(600)).await, Drained::Finished);
            lane = spawn();
        }
    }
    assert_eq!(lane.drain(Duration::from_secs(600)).await, Drained::Finished);
    let mut accepted = 0;
    for answer in answers {
        accepted += answer.await.unwrap().tallies.iter().map(|tally| tally.accepted).sum::<u64>();
    }
    accepted
}

pub(crate) async fn agrees_with_the_model(store: &dyn Ledgers, model: &BTreeMap<usize, BTreeSet<Key>>) {
    for (i, keys) in model {
        let dpu = dpu(DPUS[*i]);
        let rows = store.crossings(&dpu, Key::first_at(UnixMs::MIN), UnixMs::MAX, usize::MAX).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.key).collect::<Vec<_>>(), keys.iter().copied().collect::<Vec<_>>());
        let mut day: Option<Day> = None;
        let (mut sum, mut within) = (Totals::default(), Totals::default());
        for row in rows {
            if day != Some(row.key.at.day()) {
                (day, within) = (Some(row.key.at.day()), Totals::default());
            }
            (sum, within) = (sum.with(row.key.direction), within.with(row.key.direction));
            assert_eq!(row.totals, within, "{dpu} {:?}", row.key);
            let until = row.key.at.plus_ms(1);
            let naive = keys.iter().filter(|key| key.at < until).fold(Totals::default(), |sum, key| sum.with(key.direction));
            assert_eq!(store.totals(&[(dpu.clone(), until)]).await.unwrap(), [naive]);
        }
        let counters = store.counters(&[dpu]).await.unwrap()[0].unwrap();
        assert_eq!((counters.totals(), counters.last), (sum, keys.last().copied()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_gives_the_naive_model(steps in steps(), batch_records in 1..6usize, batch_crossings in 1..20usize, seed in any::<u64>(), percent in 0..60u64) {
        let mut model: BTreeMap<usize, BTreeSet<Key>> = BTreeMap::new();
        for (i, keys) in steps.iter().flat_map(|(records, _)| records) {
            model.entry(*i).or_default().extend(keys);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let store: Arc<dyn Ledgers> = Arc::new(Faulty::new(MemoryStore::new(), seed, percent));
            let accepted = run(&store, &steps, LaneConfig { batch_records, batch_crossings, queue_records: 4 }).await;
            assert_eq!(accepted, model.values().map(|keys| keys.len() as u64).sum::<u64>());
            agrees_with_the_model(&*store, &model).await;
        });
    }
}
