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

/// How many crossings, taken in or kept out, count as a record: what is bounded in records is to be bounded in memory.
const A_RECORD: usize = 16;

impl<A> Item<A> {
    /// How much it counts where records are counted, and how many crossings its records hold.
    pub(crate) fn weigh(&self) -> (usize, usize) {
        let crossings: usize = self.records.iter().map(|(_, record)| record.crossings.len()).sum();
        (self.records.len().max((crossings + self.quarantine.len()).div_ceil(A_RECORD)).max(1), crossings)
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

#[cfg(test)]
mod tests {
    use occupancy::crossing::Key;
    use occupancy::time::UnixMs;
    use store::{Reason, Source};

    use super::*;

    #[test]
    fn what_an_item_holds_counts() {
        let item = |records: &[usize], kept_out: usize| {
            let record = |crossings: &usize| {
                let crossings = vec![Key::first_at(UnixMs::MIN); *crossings].into();
                ("d1".parse().unwrap(), Record { crossings, heartbeat: None, appended_at: UnixMs::MIN, position: None })
            };
            let quarantined = Quarantined {
                source: Source { topic: "t".to_owned(), partition: 0, offset: 0, index: 0 },
                reason: Reason::ClockUnset,
                detail: String::new(),
                dpu: None,
                received_at: UnixMs::MIN,
                payload: Vec::new(),
                replayed_at: None,
            };
            Item { records: records.iter().map(record).collect(), quarantine: vec![quarantined; kept_out], ack: () }.weigh().0
        };
        assert_eq!([item(&[], 0), item(&[1], 0), item(&[0, 16, 1], 0)], [1, 1, 3]);
        assert_eq!([item(&[10_000], 0), item(&[1], 10_000), item(&[], 17)], [625, 626, 2]);
    }
}
