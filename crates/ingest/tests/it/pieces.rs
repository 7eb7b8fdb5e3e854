//! Records of a partition that are handed on together: what goes together, and that none counts as done before it is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ingest::{Admission, Drained, Item, Lane, LaneConfig, Metrics, OffsetAck, Rejected, Shared, Watermark};
use occupancy::crossing::Key;
use occupancy::ledger::{Position, Record};
use proptest::collection::vec;
use proptest::prelude::*;
use store::faults::Faulty;
use store::{Ledgers, MemoryStore, Quarantined, Reason, Source};

use crate::order::{DPUS, agrees_with_the_model, key};
use crate::steered::{at, dpu, keys, plus, record};

/// A record of the log, and what happens after it was read.
#[derive(Debug, Clone)]
struct Step {
    /// `None` for one that nobody can read.
    record: Option<(usize, Vec<Key>)>,
    /// Whether part of it is kept out.
    spoilt: bool,
    /// Offsets after it that no record has.
    gap: i64,
    /// So many are delivered again, this one the last of them.
    again: usize,
    /// What is held is handed on, as far as there is room.
    flows: bool,
    /// The partition is given up: with patience, or without.
    given_up: Option<bool>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let crossings = prop_oneof![4 => vec(key(), 0..4), 1 => vec(key(), 15..40)];
    let record = prop::option::weighted(0.9, (0..DPUS.len(), crossings));
    let again = prop_oneof![5 => Just(0), 1 => 1..4usize];
    let step = (record, prop::bool::weighted(0.1), 0..3i64, again, prop::bool::weighted(0.3), prop::option::weighted(0.1, any::<bool>()));
    let step = step.prop_map(|(record, spoilt, gap, again, flows, given_up)| Step { record, spoilt, gap, again, flows, given_up });
    vec(step, 1..40)
}

fn admitted(offset: i64, crossings: &[Key]) -> Record {
    Record { position: Some(Position { epoch: 1, partition: 0, offset }), ..record(crossings) }
}

fn row(offset: i64) -> Quarantined {
    let source = Source { topic: "t".to_owned(), partition: 0, offset, index: 0 };
    Quarantined {
        source,
        reason: Reason::Undecodable,
        detail: "no".to_owned(),
        dpu: None,
        received_at: at(0),
        payload: vec![1],
        replayed_at: None,
    }
}

fn admission(offset: i64, step: &Step) -> Admission {
    let record = step.record.as_ref().map(|(i, keys)| (dpu(DPUS[*i]), admitted(offset, keys)));
    let kept_out = step.spoilt || record.is_none();
    Admission { record, quarantine: kept_out.then(|| row(offset)).into_iter().collect(), ignored_heartbeat: None }
}

fn small(offset: i64, crossings: i64) -> Admission {
    let keys: Vec<Key> = (0..crossings).map(plus).collect();
    Admission { record: Some((dpu("a"), admitted(offset, &keys))), quarantine: Vec::new(), ignored_heartbeat: None }
}

/// Whoever owns the partition.
struct Owner {
    lane: Lane<OffsetAck>,
    watermark: Arc<Watermark>,
    held: VecDeque<Item<OffsetAck>>,
}

impl Owner {
    fn new(shared: &Shared, config: LaneConfig) -> Self {
        let lane = Lane::spawn(&tokio::runtime::Handle::current(), config, shared.clone());
        Self { lane, watermark: Arc::default(), held: VecDeque::new() }
    }

    fn hold(&mut self, offset: i64, admission: Admission) {
        let joined = match self.held.back_mut() {
            Some(last) => last.join(offset, admission),
            None => Err(admission),
        };
        if let Err(alone) = joined {
            self.held.push_back(Item::of(alone, self.watermark.begin(offset)));
        }
    }

    fn advance(&mut self) -> bool {
        while let Some(item) = self.held.pop_front() {
            match self.lane.try_submit(item) {
                Ok(()) => {}
                Err(Rejected::Full(item)) => {
                    self.held.push_front(item);
                    return false;
                }
                Err(Rejected::Closed(_)) => panic!("closed"),
            }
        }
        true
    }
}

/// All records before an offset are where they belong.
async fn holds_all_before(store: &dyn Ledgers, log: &[(i64, Step)], offset: i64) {
    let rows = store.quarantined(None, 1_000).await.unwrap();
    for (at, step) in log.iter().filter(|(at, _)| *at < offset) {
        let admission = admission(*at, step);
        assert!(admission.quarantine.iter().all(|row| rows.contains(row)), "{at} is not in quarantine before {offset}");
        if let Some((dpu, record)) = admission.record {
            let stored = keys(store, dpu.as_str()).await;
            assert!(record.crossings.iter().all(|key| stored.contains(key)), "{at} is not stored before {offset}");
        }
    }
}

/// Consumes the log, one owner after the other.
async fn consume(store: &Arc<dyn Ledgers>, log: &[(i64, Step)], config: LaneConfig) {
    let shared = Shared::new(Arc::clone(store), None, Metrics::new(&prometheus::Registry::new()).unwrap(), 3);
    let (mut owner, mut committed) = (Owner::new(&shared, config), 0);
    // What happens after a record happens once.
    let (mut next, mut seen) = (0, 0);
    while let Some((offset, step)) = log.get(next) {
        owner.hold(*offset, admission(*offset, step));
        next += 1;
        if next <= seen {
            continue;
        }
        seen = next;
        if step.flows {
            owner.advance();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if let Some(patient) = step.given_up {
            owner.lane.drain(Duration::from_secs(if patient { 600 } else { 0 })).await;
            committed = owner.watermark.reached().unwrap_or(committed);
            holds_all_before(&**store, log, committed).await;
            owner = Owner::new(&shared, config);
            next = log.iter().take_while(|(offset, _)| *offset < committed).count();
        }
        next = next.saturating_sub(step.again);
        if let Some(reached) = owner.watermark.reached() {
            holds_all_before(&**store, log, reached).await;
        }
    }
    while !owner.advance() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(owner.lane.drain(Duration::from_secs(600)).await, Drained::Finished);
    let end = log.last().map(|(offset, _)| offset + 1);
    assert_eq!(owner.watermark.reached().or(Some(committed)), end);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_record_counts_as_done_before_it_is(steps in steps(), queue_records in 1..9usize, batch_records in 1..9usize, batch_crossings in 1..40usize, seed in any::<u64>(), percent in 0..60u64) {
        let offsets = steps.iter().scan(0, |next, step| Some(std::mem::replace(next, *next + 1 + step.gap)));
        let log: Vec<(i64, Step)> = offsets.zip(steps.iter().cloned()).collect();
        let mut model: BTreeMap<usize, BTreeSet<Key>> = BTreeMap::new();
        for (i, keys) in steps.iter().filter_map(|step| step.record.as_ref()) {
            model.entry(*i).or_default().extend(keys);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let store: Arc<dyn Ledgers> = Arc::new(Faulty::new(MemoryStore::new(), seed, percent));
            consume(&store, &log, LaneConfig { queue_records, batch_records, batch_crossings }).await;
            holds_all_before(&*store, &log, i64::MAX).await;
            agrees_with_the_model(&*store, &model).await;
        });
    }
}

#[test]
fn large_records_and_those_of_which_something_is_kept_out_stay_alone() {
    let watermark = Arc::new(Watermark::default());
    let begin = |admission: Admission| Item::of(admission, watermark.begin(1));
    let spoilt = || Admission { quarantine: vec![row(1)], ..small(1, 1) };
    let unreadable = || Admission { record: None, ..spoilt() };
    assert!(begin(small(1, 16)).join(2, small(2, 16)).is_ok());
    for alone in [small(1, 17), spoilt(), unreadable()] {
        assert_eq!(begin(small(0, 1)).join(1, alone.clone()), Err(alone.clone()), "it comes after a small one");
        assert_eq!(begin(alone).join(2, small(2, 1)), Err(small(2, 1)), "a small one comes after it");
    }
}

#[test]
fn a_record_before_the_first_of_a_piece_begins_another() {
    let watermark = Arc::new(Watermark::default());
    let mut piece = Item::of(small(5, 1), watermark.begin(5));
    assert!(piece.join(6, small(6, 1)).is_ok());
    assert!(piece.join(5, small(5, 1)).is_ok(), "delivered again, it is what the piece stands for");
    assert_eq!(piece.join(4, small(4, 1)), Err(small(4, 1)), "the watermark would not wait for it");
    assert_eq!((watermark.reached(), piece.records.len()), (Some(5), 3));
}

#[test]
fn a_piece_is_bounded() {
    let watermark = Arc::new(Watermark::default());
    let mut piece = Item::of(small(0, 1), watermark.begin(0));
    let joined = (1..1_000).take_while(|offset| piece.join(*offset, small(*offset, 1)).is_ok()).count();
    assert_eq!((joined + 1, piece.records.len()), (256, 256));
}
