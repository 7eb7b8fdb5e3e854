//! What is answered, and who hears what changes: those who watch counts, and, where several processes share a store, the
//! view in memory that follows them.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use api::LocalFeed;
use ingest::CountersFeed;
use ingest_kafka::{Follow, Follower};
use occupancy::ledger::Change;
use prometheus::Registry;
use query::{Live, Query, Watch};
use store::Store;

use crate::args::{Times, Topic};
use crate::{clock, consume};

/// How many clients may watch counts live at once, unless told otherwise.
pub(crate) const WATCHERS_MOST: u32 = 10_000;

/// Answers over a store.
pub(crate) struct Answers {
    pub(crate) query: Arc<Query>,
    pub(crate) watch: Arc<Watch>,
    store: Arc<dyn Store>,
    /// The view in memory, where the store is shared.
    view: Option<Arc<Live>>,
}

impl Answers {
    /// Over a store that, where it is `shared`, other processes change too.
    pub(crate) fn over(store: Arc<dyn Store>, shared: bool, times: Times, watchers_most: u32, registry: &Registry) -> Result<Self> {
        let view = if shared { Some(Arc::new(Live::new(store.clone(), registry)?)) } else { None };
        let asked: Arc<dyn Store> = view.as_ref().map_or_else(|| store.clone(), |view| view.clone());
        let settings = query::Settings { max_clock_ahead_ms: times.max_clock_ahead_ms, silent_after_ms: times.silent_after_ms };
        let query = Arc::new(Query::new(asked, clock::system(), settings));
        let watch = Arc::new(Watch::new(query.clone(), watchers_most, registry)?);
        Ok(Self { query, watch, store, view })
    }

    /// Where the lanes of this process publish, if nobody else writes.
    pub(crate) fn feed(&self) -> Arc<dyn CountersFeed> {
        Arc::new(LocalFeed::new(self.watch.clone()))
    }

    /// Follows the other processes, where there are any.
    pub(crate) fn follow(&self, brokers: Option<&String>, topic: &Topic) -> Result<Option<Follower>> {
        let (Some(view), Some(brokers)) = (&self.view, brokers) else { return Ok(None) };
        let both = Arc::new(Both { view: view.clone(), watch: self.watch.clone() });
        Ok(Some(Follower::start(&consume::kafka(brokers, &topic.names), &topic.names.group, self.store.clone(), both)?))
    }
}

/// What follows hands on to the view, and then, as it can be read, to those who watch.
struct Both {
    view: Arc<Live>,
    watch: Arc<Watch>,
}

impl Follow for Both {
    fn restart(&self) {
        self.watch.incomplete();
        self.view.restart();
    }

    fn take(&self, change: Change) {
        self.view.take(change.clone());
        self.watch.changed(&[change]);
    }

    fn confirm(&self, as_of: Instant) {
        self.view.confirm(as_of.into());
        self.watch.complete(as_of.into());
    }
}
