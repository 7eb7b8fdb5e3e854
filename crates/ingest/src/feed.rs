//! What lanes tell whoever follows the counters.

use async_trait::async_trait;
use occupancy::ledger::{Change, Record};
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

/// From when on records that are about to be folded into what is known of their DPU may change its totals.
///
/// A DPU whose counters are not known yet may hold crossings that an owner before made durable and did not live to
/// publish: it is touched from the beginning of time. Records that will be skipped touch it as well.
pub(crate) fn touched_from<'a>(records: impl Iterator<Item = &'a Record>, known: bool) -> Option<UnixMs> {
    let first = || records.flat_map(|record| record.crossings.iter()).map(|key| key.at).min();
    if known { first() } else { Some(UnixMs::MIN) }
}
