//! What a lane commits: a few ledgers' changes and what it quarantined.

use occupancy::id::DpuId;
use occupancy::ledger::{Changes, Counters, Row, Totals};
use occupancy::time::Day;

use crate::quarantine::Quarantined;

/// One batch, written in the order openings, crossings, counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// One entry a DPU.
    pub ledgers: Vec<LedgerWrite>,
    /// Input kept out of the ledgers.
    pub quarantine: Vec<Quarantined>,
}

/// What is known of a DPU, and of what it had seen before some instants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The realtime row; `None` for a DPU never heard of.
    pub counters: Option<Counters>,
    /// One for each instant.
    pub totals: Vec<Totals>,
}

/// The changes of one DPU's ledger, all written with one stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerWrite {
    /// Whose.
    pub dpu: DpuId,
    /// The version of every row here, in µs.
    pub stamp_us: i64,
    /// Totals before the first crossing of each day.
    pub openings: Vec<(Day, Totals)>,
    /// Crossings.
    pub rows: Vec<Row>,
    /// The realtime row; `None` only in a commit cut short between its steps.
    pub counters: Option<Counters>,
}

impl LedgerWrite {
    /// The write that makes a DPU's changes.
    #[must_use]
    pub fn new(dpu: DpuId, changes: Changes) -> Self {
        let Changes { openings, rows, counters, tallies: _ } = changes;
        Self { dpu, stamp_us: counters.stamp_us, openings, rows, counters: Some(counters) }
    }
}
