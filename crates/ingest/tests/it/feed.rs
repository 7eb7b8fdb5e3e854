//! What lanes publish, and when.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ingest::{CountersFeed, Drained, FeedError, Item, Lane, LaneConfig, Metrics, Outcome, Shared};
use occupancy::crossing::Heartbeat;
use occupancy::ledger::{Change, Position, Record};
use occupancy::time::UnixMs;
use store::Ledgers;
use tokio::sync::oneshot;

use crate::lane::{Told, item};
use crate::steered::{Steered, at, dpu, plus, record};

/// Keeps what was published, once it no longer fails.
#[derive(Default)]
struct Kept {
    changes: Mutex<Vec<Change>>,
    failing: AtomicU32,
}

#[async_trait]
impl CountersFeed for Kept {
    async fn publish(&self, changes: &[Change]) -> Result<(), FeedError> {
        let failing = self.failing.load(Ordering::SeqCst);
        if failing > 0 {
            self.failing.store(failing - 1, Ordering::SeqCst);
            return Err(FeedError { changes: changes.len(), why: "on purpose".to_owned() });
        }
        self.changes.lock().unwrap().extend_from_slice(changes);
        Ok(())
    }
}

impl Kept {
    /// What was published since the last look: whose, entered so far, from when.
    fn news(&self) -> Vec<(String, u64, Option<UnixMs>)> {
        let changes = std::mem::take(&mut *self.changes.lock().unwrap());
        changes.into_iter().map(|change| (change.dpu.to_string(), change.counters.totals().entered, change.from)).collect()
    }
}

fn lane(store: &Arc<Steered>, feed: &Arc<Kept>) -> Lane<Told> {
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    let feed = Arc::clone(feed) as Arc<dyn CountersFeed>;
    let store = Arc::clone(store) as Arc<dyn Ledgers>;
    Lane::spawn(&tokio::runtime::Handle::current(), LaneConfig::default(), Shared::new(store, Some(feed), metrics, 1))
}

async fn take(lane: &Lane<Told>, (item, told): (Item<Told>, oneshot::Receiver<Outcome>)) -> Outcome {
    lane.submit(item).await.unwrap();
    told.await.unwrap()
}

fn logged(offset: i64, crossings: &[i64]) -> Record {
    let crossings: Vec<_> = crossings.iter().map(|ms| plus(*ms)).collect();
    Record { position: Some(Position { epoch: 1, partition: 0, offset }), ..record(&crossings) }
}

#[tokio::test(start_paused = true)]
async fn a_change_says_from_when_on_totals_may_differ() {
    let (store, feed) = (Arc::new(Steered::new()), Arc::new(Kept::default()));
    let owner = lane(&store, &feed);
    take(&owner, item(vec![("a", logged(0, &[10, 30])), ("b", logged(1, &[5]))])).await;
    let whole = |name: &str, entered| (name.to_owned(), entered, Some(UnixMs::MIN));
    assert_eq!(feed.news(), [whole("a", 2), whole("b", 1)], "what a new owner finds may be unknown to those who follow");
    // A duplicate counts like any other, and of a DPU's records the earliest crossing.
    take(&owner, item(vec![("a", logged(2, &[40])), ("a", logged(3, &[20, 10]))])).await;
    assert_eq!(feed.news(), [("a".to_owned(), 4, Some(at(10)))]);
    let beat = Some(Heartbeat { at: at(50), boot: 1, last_seq: 0 });
    take(&owner, item(vec![("b", Record { heartbeat: beat, ..logged(4, &[]) })])).await;
    assert_eq!(feed.news(), [("b".to_owned(), 1, None)]);

    // Another owner is given the same records: it skips them, and publishes what it found.
    let next = lane(&store, &feed);
    let commits = store.commits.load(Ordering::SeqCst);
    take(&next, item(vec![("a", logged(2, &[40]))])).await;
    assert_eq!((feed.news(), store.commits.load(Ordering::SeqCst)), (vec![whole("a", 4)], commits));
    take(&next, item(vec![("a", logged(3, &[20, 10]))])).await;
    assert_eq!(feed.news(), [("a".to_owned(), 4, Some(at(10)))]);
}

#[tokio::test(start_paused = true)]
async fn an_ack_comes_after_the_publication_which_is_tried_without_end() {
    let (store, feed) = (Arc::new(Steered::new()), Arc::new(Kept::default()));
    let owner = lane(&store, &feed);
    feed.failing.store(50, Ordering::SeqCst);
    let (one, mut told) = item(vec![("a", logged(0, &[10]))]);
    owner.submit(one).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(60), &mut told).await.is_err(), "told before it was published");
    assert_eq!(store.counters(&[dpu("a")]).await.unwrap()[0].unwrap().totals().entered, 1, "it is durable");
    assert!(owner.trouble().unwrap().contains("1 changes of counters are not known to be published: on purpose"));
    assert_eq!(told.await.unwrap().tallies.len(), 1);
    assert_eq!((feed.news().len(), owner.trouble()), (1, None));

    // A drain ends even that; nothing is told.
    feed.failing.store(u32::MAX, Ordering::SeqCst);
    let (one, told) = item(vec![("a", logged(1, &[20]))]);
    owner.submit(one).await.unwrap();
    assert_eq!(owner.drain(Duration::from_secs(5)).await, Drained::Abandoned);
    assert!(told.await.is_err());
}
