//! Access to the store and the feed that tries again while they are unavailable, and tells why.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use occupancy::ledger::Change;
use store::{Ledgers, StoreError};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::feed::CountersFeed;
use crate::metrics::Metrics;

/// The first pause between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the lanes of a process have in common; cheap to clone.
#[derive(Clone)]
pub struct Shared {
    pub(crate) store: Arc<dyn Ledgers>,
    /// Where changes are published; `None` where nobody follows.
    pub(crate) feed: Option<Arc<dyn CountersFeed>>,
    pub(crate) metrics: Metrics,
    room: Arc<Semaphore>,
    room_records: u32,
}

impl Shared {
    /// Lanes over the ledgers in `store`, which publish to `feed`, where somebody follows.
    ///
    /// Together they have up to `room_records` records in commits at once: in a backlog some lanes commit while others
    /// gather more, so that each commit is larger, is done sooner, and less is under way.
    #[must_use]
    pub fn new(store: Arc<dyn Ledgers>, feed: Option<Arc<dyn CountersFeed>>, metrics: Metrics, room_records: u32) -> Self {
        // No more than a semaphore counts on any machine.
        let room = Semaphore::new(usize::try_from(room_records).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS));
        Self { store, feed, metrics, room: Arc::new(room), room_records }
    }

    /// Waits for room for as many records; for more than there will ever be, until all of it is free.
    pub(crate) async fn room(&self, records: usize) -> Option<SemaphorePermit<'_>> {
        let records = u32::try_from(records).unwrap_or(u32::MAX).min(self.room_records);
        // Never refused, as it is never closed.
        self.room.acquire_many(records).await.ok()
    }
}

/// What a lane reads from and writes to; cheap to clone.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) shared: Shared,
    /// Why the store or the feed is being asked again; `None` while they answer.
    pub(crate) trouble: Arc<watch::Sender<Option<String>>>,
}

impl Access {
    /// Repeats an attempt until its outcome is known, without end: whoever owns the caller's task may abort it.
    pub(crate) async fn until_known<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            let known = attempt().await;
            let Err(StoreError::Unavailable(why)) = known else {
                self.trouble.send_if_modified(|trouble| trouble.take().is_some());
                return known;
            };
            self.shared.metrics.retries.inc();
            tracing::warn!(why, pause_ms = pause.as_millis(), "the store is unavailable, trying again");
            pause = self.waited(why, pause).await;
        }
    }

    /// Publishes changes, without end like the above.
    pub(crate) async fn publish(&self, feed: &dyn CountersFeed, changes: &[Change]) {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = feed.publish(changes).await {
            self.shared.metrics.feed_retries.inc();
            tracing::warn!(%error, pause_ms = pause.as_millis(), "the feed of counters is unavailable, trying again");
            pause = self.waited(error.to_string(), pause).await;
        }
        self.trouble.send_if_modified(|trouble| trouble.take().is_some());
    }

    /// Tells of the trouble and waits; the next pause.
    async fn waited(&self, why: String, pause: Duration) -> Duration {
        self.trouble.send_replace(Some(why));
        tokio::time::sleep(pause).await;
        (pause * 2).min(LONGEST_PAUSE)
    }
}
