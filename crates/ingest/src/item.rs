//! What a lane is handed, and how it answers.

use occupancy::id::DpuId;
use occupancy::ledger::{Record, Tally};
use store::Quarantined;

/// One piece of work for a lane: records of DPUs the lane owns, what was kept out of them, and whom to tell.
#[derive(Debug)]
pub struct Item<A> {
    /// Admitted records, in log order.
    pub records: Vec<(DpuId, Record)>,
    /// Input to quarantine in the same commit.
    pub quarantine: Vec<Quarantined>,
    /// Whom to tell.
    pub ack: A,
}

impl<A> Item<A> {
    /// How much it counts where records are counted: input that is only quarantined is something too.
    pub(crate) fn weight(&self) -> usize {
        self.records.len().max(1)
    }
}

/// What became of an item: one tally a record, in the order of [`Item::records`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What became of each record's crossings.
    pub tallies: Vec<Tally>,
}

/// Told once, after the commit that holds the item is durable. Dropped instead, it means: not known durable, resend.
pub trait Ack: Send + 'static {
    /// The item is durable.
    fn durable(self, outcome: Outcome);
}
