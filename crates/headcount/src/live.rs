//! The live view of `serve`: a store that several processes share is read from memory, which follows their changes.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use ingest_kafka::{Follow, Follower};
use occupancy::ledger::Change;
use prometheus::Registry;
use query::Live;
use store::Store;

use crate::args::Serve;
use crate::consume;

/// What is asked, and what keeps it up to date.
pub(crate) struct Viewed {
    pub(crate) store: Arc<dyn Store>,
    follower: Option<Follower>,
}

/// The store behind a live view, where there are other processes to follow; else the store itself.
pub(crate) fn view(store: Arc<dyn Store>, args: &Serve, registry: &Registry) -> Result<Viewed> {
    let Some(brokers) = args.kafka.as_ref().filter(|_| args.keep.store.is_shared()) else { return Ok(Viewed { store, follower: None }) };
    let live = Arc::new(Live::new(store.clone(), registry)?);
    let view = Arc::new(View(Arc::clone(&live)));
    let follower = Follower::start(&consume::kafka(brokers, &args.topic.names), &args.topic.names.group, store, view)?;
    Ok(Viewed { store: live, follower: Some(follower) })
}

impl Viewed {
    /// Whether other processes may change what is asked.
    pub(crate) fn has_others(&self) -> bool {
        self.follower.is_some()
    }

    /// Follows no more.
    pub(crate) async fn stop(self) {
        if let Some(follower) = self.follower {
            follower.stop().await;
        }
    }
}

/// What follows on one side is a view on the other.
struct View(Arc<Live>);

impl Follow for View {
    fn restart(&self) {
        self.0.restart();
    }

    fn take(&self, change: Change) {
        self.0.take(change);
    }

    fn confirm(&self, as_of: Instant) {
        self.0.confirm(as_of.into());
    }
}
