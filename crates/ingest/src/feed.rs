//! What lanes tell whoever follows the counters.

use std::collections::HashMap;

use async_trait::async_trait;
use occupancy::id::DpuId;
use occupancy::ledger::{Change, Counters, Record};
use occupancy::time::UnixMs;

/// Where a lane publishes changes.
#[async_trait]
pub trait CountersFeed: Send + Sync {
    /// Publishes; when `Ok`, every change has reached the feed for good, those of one DPU in order. May be repeated.
    ///
    /// # Errors
    /// Not all is known to be published: try again.
    async fn publish(&self, changes: &[Change]) -> Result<(), FeedError>;

    /// Whether all who follow began with this process, and none but it writes: then there is no owner before it whose
    /// crossings they may not have been told of.
    fn is_alone(&self) -> bool {
        false
    }
}

/// Why changes are not known to be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{changes} changes of counters are not known to be published: {why}")]
pub struct FeedError {
    /// How many.
    pub changes: usize,
    /// What the feed said.
    pub why: String,
}

/// The DPUs of a batch, and from when on its records may change their totals.
pub(crate) struct Touched(Vec<(DpuId, Option<UnixMs>)>);

impl Touched {
    /// Of records that are about to be folded into what is known.
    ///
    /// A DPU whose counters are not known yet may hold crossings that an owner before made durable and did not live to
    /// publish: it is touched from the beginning of time. Records that will be skipped touch it as well.
    pub(crate) fn by<'a>(records: impl Iterator<Item = (&'a DpuId, &'a [Record])>, known: &HashMap<DpuId, Counters>, alone: bool) -> Self {
        let first = |records: &[Record]| records.iter().flat_map(|record| &record.crossings).map(|key| key.at).min();
        let from = |dpu, records| if alone || known.contains_key(dpu) { first(records) } else { Some(UnixMs::MIN) };
        Self(records.map(|(dpu, records)| (dpu.clone(), from(dpu, records))).collect())
    }

    /// The changes, once all is durable.
    pub(crate) fn changes(self, known: &HashMap<DpuId, Counters>) -> Vec<Change> {
        let change = |(dpu, from)| Some(Change { counters: *known.get(&dpu)?, dpu, from });
        self.0.into_iter().filter_map(change).collect()
    }
}
