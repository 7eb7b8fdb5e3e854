//! Access to the store and the feed that tries again while they are unavailable, and tells why.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use occupancy::ledger::Change;
use store::{Ledgers, StoreError};
use tokio::sync::watch;

use crate::feed::CountersFeed;
use crate::metrics::Metrics;

/// The first pause between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What a lane reads from and writes to; cheap to clone.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) store: Arc<dyn Ledgers>,
    /// Where changes are published; `None` where nobody follows.
    pub(crate) feed: Option<Arc<dyn CountersFeed>>,
    pub(crate) metrics: Metrics,
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
            self.metrics.retries.inc();
            tracing::warn!(why, pause_ms = pause.as_millis(), "the store is unavailable, trying again");
            pause = self.waited(why, pause).await;
        }
    }

    /// Publishes changes, without end like the above.
    pub(crate) async fn publish(&self, feed: &dyn CountersFeed, changes: &[Change]) {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = feed.publish(changes).await {
            self.metrics.feed_retries.inc();
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
