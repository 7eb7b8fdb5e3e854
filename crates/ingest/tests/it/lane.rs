//! One lane: when it acknowledges, how it retries, how it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ingest::{Ack, Drained, Item, Lane, LaneConfig, Metrics, Outcome, Rejected, Shared};
use occupancy::crossing::Key;
use occupancy::ledger::{Record, Tally};
use store::{Ledgers, Quarantined, Reason, Source, StoreError};
use tokio::sync::oneshot;

use crate::steered::{Steered, at, dpu, keys, plus, record};

#[derive(Debug)]
pub(crate) struct Told(pub(crate) oneshot::Sender<Outcome>);

impl Ack for Told {
    fn durable(self, outcome: Outcome) {
        self.0.send(outcome).unwrap();
    }
}

pub(crate) fn item(records: Vec<(&str, Record)>) -> (Item<Told>, oneshot::Receiver<Outcome>) {
    let (tell, told) = oneshot::channel();
    let records = records.into_iter().map(|(name, record)| (dpu(name), record)).collect();
    (Item { records, quarantine: Vec::new(), ack: Told(tell) }, told)
}

fn lane(store: &Arc<Steered>, config: LaneConfig) -> Lane<Told> {
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    let shared = Shared::new(Arc::clone(store) as Arc<dyn Ledgers>, None, metrics, 1000);
    Lane::spawn(&tokio::runtime::Handle::current(), config, shared)
}

fn tally(accepted: u64, duplicate: u64) -> Tally {
    Tally { accepted, duplicate }
}

#[tokio::test(start_paused = true)]
async fn an_ack_comes_after_the_commit_and_not_before() {
    let store = Arc::new(Steered::new());
    let lane = lane(&store, LaneConfig::default());
    store.hold().await;
    let (one, mut told) = item(vec![("a", record(&[plus(1), plus(2)]))]);
    lane.submit(one).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(60), &mut told).await.is_err(), "told before it was durable");
    store.release();
    assert_eq!(told.await.unwrap().tallies, [tally(2, 0)]);
    assert_eq!(keys(&*store, "a").await, [plus(1), plus(2)]);
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_store_is_retried_until_it_answers() {
    let store = Arc::new(Steered::new());
    store.failing.store(20, Ordering::SeqCst);
    let lane = lane(&store, LaneConfig::default());
    let (one, told) = item(vec![("a", record(&[plus(1)]))]);
    lane.submit(one).await.unwrap();
    assert_eq!(told.await.unwrap().tallies, [tally(1, 0)], "applied by a failed attempt, and still new");
    assert_eq!(store.commits.load(Ordering::SeqCst), 21);
    assert_eq!(store.inner.counters(&[dpu("a")]).await.unwrap()[0].unwrap().totals().entered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_mixes_dpus_late_crossings_duplicates_and_quarantine() {
    let store = Arc::new(Steered::new());
    let lane = lane(&store, LaneConfig::default());
    let (first, told) = item(vec![("a", record(&[plus(10), plus(30)]))]);
    lane.submit(first).await.unwrap();
    told.await.unwrap();
    store.hold().await;
    let (head, head_told) = item(vec![("c", record(&[plus(1)]))]);
    lane.submit(head).await.unwrap();
    while store.came.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    let (mut second, second_told) = item(vec![("a", record(&[plus(20), plus(10)])), ("b", record(&[plus(5)])), ("a", record(&[plus(40)]))]);
    let source = Source { topic: "t".to_owned(), partition: 0, offset: 1, index: Source::WHOLE };
    second.quarantine.push(Quarantined {
        source,
        reason: Reason::Undecodable,
        detail: "no".to_owned(),
        dpu: None,
        received_at: at(0),
        payload: vec![1],
        replayed_at: None,
    });
    let (third, third_told) = item(vec![("a", record(&[plus(20), plus(30)])), ("b", record(&[]))]);
    lane.submit(second).await.unwrap();
    lane.submit(third).await.unwrap();
    store.release();
    assert_eq!(head_told.await.unwrap().tallies, [tally(1, 0)]);
    assert_eq!(second_told.await.unwrap().tallies, [tally(1, 1), tally(1, 0), tally(1, 0)]);
    assert_eq!(third_told.await.unwrap().tallies, [tally(0, 2), tally(0, 0)]);
    assert_eq!(store.commits.load(Ordering::SeqCst), 3, "what waited went into one commit");
    assert_eq!(store.reads.load(Ordering::SeqCst), 1, "one read for the late ones of one DPU");
    assert_eq!(keys(&*store, "a").await, [plus(10), plus(20), plus(30), plus(40)]);
    assert_eq!(store.inner.counters(&[dpu("a")]).await.unwrap()[0].unwrap().totals().entered, 4);
    assert_eq!(store.inner.quarantined(None, 10).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_waits_for_room_gathers_more_and_commits_it_at_once() {
    let store = Arc::new(Steered::new());
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    let shared = Shared::new(Arc::clone(&store) as Arc<dyn Ledgers>, None, metrics, 2);
    let spawn = || Lane::spawn(&tokio::runtime::Handle::current(), LaneConfig::default(), shared.clone());
    let (first, second) = (spawn(), spawn());
    let mut told = Vec::new();
    let mut submit = |lane: &Lane<Told>, dpu: &str, ms: i64| {
        let (one, answer) = item(vec![(dpu, record(&[plus(ms)]))]);
        lane.try_submit(one).unwrap();
        told.push(answer);
    };
    store.hold().await;
    (0..3).for_each(|ms| submit(&first, "a", ms));
    let passes = || tokio::time::sleep(Duration::from_secs(60));
    passes().await;
    for ms in 3..6 {
        submit(&second, "b", ms);
        passes().await;
        assert_eq!(store.came.load(Ordering::SeqCst), 1, "the first has all the room");
    }
    store.release();
    for answer in told {
        assert_eq!(answer.await.unwrap().tallies, [tally(1, 0)]);
    }
    assert_eq!(store.commits.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_gives_the_item_back() {
    let store = Arc::new(Steered::new());
    let lane = lane(&store, LaneConfig { queue_records: 2, batch_records: 1, ..LaneConfig::default() });
    store.hold().await;
    let mut told = Vec::new();
    let refused = loop {
        let (one, answer) = item(vec![("a", record(&[plus(told.len() as i64)]))]);
        match lane.try_submit(one) {
            Ok(()) => told.push(answer),
            Err(Rejected::Full(item)) => break item,
            Err(Rejected::Closed(_)) => panic!("closed"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((refused.records.len(), lane.depth()), (1, 2));
    store.release();
    assert_eq!(lane.drain(Duration::from_secs(1)).await, Drained::Finished);
    for answer in told {
        assert_eq!(answer.await.unwrap().tallies, [tally(1, 0)]);
    }
    assert!(matches!(lane.try_submit(refused), Err(Rejected::Closed(_))));
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_bounded_in_records() {
    let store = Arc::new(Steered::new());
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    let shared = Shared::new(Arc::clone(&store) as Arc<dyn Ledgers>, None, metrics.clone(), 1000);
    let config = LaneConfig { queue_records: 4, batch_records: 5, ..LaneConfig::default() };
    let lane = Lane::spawn(&tokio::runtime::Handle::current(), config, shared);
    let of = |records: i64| item((0..records).map(|ms| ("a", record(&[plus(ms)]))).collect());
    let refuses = |records| matches!(lane.try_submit(of(records).0), Err(Rejected::Full(_)));
    store.hold().await;
    let mut told = Vec::new();
    // One is committed, and what comes after it waits.
    for records in [1, 9] {
        let (one, answer) = of(records);
        lane.submit(one).await.unwrap();
        told.push(answer);
        while store.came.load(Ordering::SeqCst) < 1 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!((lane.depth(), metrics.queued()), (4, 4), "more than fits takes all there is");
    assert!(refuses(1));
    store.release();
    told.pop().unwrap().await.unwrap();
    assert_eq!((lane.depth(), metrics.queued()), (0, 0));
    store.hold().await;
    let came = store.came.load(Ordering::SeqCst);
    for records in [1, 3] {
        let (one, answer) = of(records);
        lane.submit(one).await.unwrap();
        told.push(answer);
        while store.came.load(Ordering::SeqCst) == came {
            tokio::task::yield_now().await;
        }
    }
    assert!(refuses(2) && refuses(9));
    let (last, _) = of(1);
    assert!(lane.try_submit(last).is_ok() && refuses(1));
    let (waits, _) = of(2);
    let queueing = tokio::time::timeout(Duration::from_secs(1), lane.submit(waits));
    assert!(queueing.await.is_err(), "there is no room until the commit is done");
    assert_eq!(lane.drain(Duration::ZERO).await, Drained::Abandoned);
    assert_eq!((lane.depth(), metrics.queued()), (0, 0));
    assert!(lane.submit(of(2).0).await.is_err(), "who waits for room in a lane that has ended is told");
}

#[tokio::test(start_paused = true)]
async fn draining_finishes_what_is_queued_or_abandons_it() {
    let store = Arc::new(Steered::new());
    let finishing = lane(&store, LaneConfig { batch_records: 3, ..LaneConfig::default() });
    let mut told = Vec::new();
    for i in 0..10 {
        let (one, answer) = item(vec![("a", record(&[plus(i)]))]);
        finishing.submit(one).await.unwrap();
        told.push(answer);
    }
    assert_eq!(finishing.drain(Duration::from_secs(60)).await, Drained::Finished);
    assert!(told.iter_mut().all(|answer| answer.try_recv().is_ok()));
    assert_eq!(keys(&*store, "a").await.len(), 10);

    let abandoned = lane(&store, LaneConfig::default());
    store.hold().await;
    let (one, answer) = item(vec![("b", record(&[plus(1)]))]);
    abandoned.submit(one).await.unwrap();
    assert_eq!(abandoned.drain(Duration::from_secs(60)).await, Drained::Abandoned);
    assert!(answer.await.is_err(), "an abandoned item claims nothing");
}

#[tokio::test(start_paused = true)]
async fn a_close_is_heeded_however_fast_items_come() {
    const MOST: i64 = 1_000;
    let store = Arc::new(Steered::new());
    // Each commit leaves an item that found no place in it, and the queue is never empty.
    let lane = lane(&store, LaneConfig { queue_records: 8, batch_records: 3, ..LaneConfig::default() });
    let sending = async {
        let mut sent = Vec::new();
        for n in 1..=MOST {
            let (one, told) = item(vec![("a", record(&[plus(2 * n)])), ("b", record(&[plus(2 * n)]))]);
            if lane.submit(one).await.is_err() {
                break;
            }
            sent.push(told);
        }
        sent
    };
    let closing = async {
        while store.commits.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        lane.drain(Duration::from_secs(60)).await
    };
    let (sent, drained) = tokio::join!(sending, closing);
    assert_eq!(drained, Drained::Finished);
    assert!((2..MOST as usize).contains(&sent.len()), "{}", sent.len());
    for told in sent {
        assert_eq!(told.await.unwrap().tallies, [tally(1, 0), tally(1, 0)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_corrupt_store_stops_the_lane_for_its_owner_to_see() {
    let store = Arc::new(Steered::new());
    store.corrupt.store(true, Ordering::SeqCst);
    let lane = lane(&store, LaneConfig::default());
    let (one, told) = item(vec![("a", record(&[plus(1)]))]);
    lane.submit(one).await.unwrap();
    assert!(told.await.is_err());
    let corrupt = StoreError::Corrupt("on purpose".to_owned());
    assert_eq!(lane.drain(Duration::from_secs(1)).await, Drained::Failed(corrupt.clone()));
    assert_eq!(lane.failure(), Some(corrupt));
    assert_eq!(keys(&*store, "a").await, [] as [Key; 0]);
}

/// Batches of one item each, of which the first is under way.
async fn one_by_one(store: &Arc<Steered>, items: &[&[i64]]) -> (Lane<Told>, Vec<oneshot::Receiver<Outcome>>) {
    let lane = lane(store, LaneConfig { batch_records: 1, ..LaneConfig::default() });
    store.hold().await;
    let mut told = Vec::new();
    for keys in items {
        let (one, answer) = item(vec![("a", record(&keys.iter().copied().map(plus).collect::<Vec<_>>()))]);
        lane.submit(one).await.unwrap();
        told.push(answer);
    }
    while store.came.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(lane.depth(), items.len() - 1, "what is gathered ahead keeps its place");
    (lane, told)
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_that_waits_is_folded_upon_what_the_one_before_left() {
    let store = Arc::new(Steered::new());
    store.failing.store(4, Ordering::SeqCst);
    let (lane, told) = one_by_one(&store, &[&[1, 3], &[1, 2], &[3, 4]]).await;
    store.release();
    for (answer, right) in told.into_iter().zip([tally(2, 0), tally(1, 1), tally(1, 1)]) {
        assert_eq!(answer.await.unwrap().tallies, [right]);
    }
    assert_eq!(keys(&*store, "a").await, [plus(1), plus(2), plus(3), plus(4)]);
    assert_eq!((store.commits.load(Ordering::SeqCst), lane.depth()), (7, 0));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_waits_goes_with_the_lane() {
    let store = Arc::new(Steered::new());
    let (lane, told) = one_by_one(&store, &[&[1], &[2], &[3]]).await;
    store.corrupt.store(true, Ordering::SeqCst);
    store.release();
    for answer in told {
        assert!(answer.await.is_err(), "it claims nothing");
    }
    assert!(lane.failure().is_some());
    assert_eq!((keys(&*store, "a").await, lane.depth()), (Vec::new(), 0));
}

#[tokio::test(start_paused = true)]
async fn big_batches_are_cut_by_crossings() {
    let store = Arc::new(Steered::new());
    let lane = lane(&store, LaneConfig { batch_crossings: 10, ..LaneConfig::default() });
    store.hold().await;
    let mut told = Vec::new();
    for (name, crossings) in [("a", 25), ("b", 6), ("c", 4), ("d", 1)] {
        let (one, answer) = item(vec![(name, record(&(0..crossings).map(plus).collect::<Vec<_>>()))]);
        lane.submit(one).await.unwrap();
        told.push(answer);
    }
    store.release();
    for answer in told {
        answer.await.unwrap();
    }
    assert_eq!(store.commits.load(Ordering::SeqCst), 3, "25 alone, 6 and 4 together, 1");
}
