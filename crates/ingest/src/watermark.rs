//! How far a partition is done: records finish out of order, and an offset counts only when all before it are done.
//!
//! Records that are handed on together are done together: the first of them stands for all.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use occupancy::id::DpuId;
use occupancy::ledger::Record;
use store::Quarantined;

use crate::admit::Admission;
use crate::item::{Ack, Item, Outcome};

/// How many records make one piece of work at most.
const PIECE_RECORDS: usize = 256;
/// A record with more crossings than this is a piece by itself.
const SMALL_CROSSINGS: usize = 16;

/// The records of one partition that are under way.
#[derive(Debug, Default)]
pub struct Watermark(Mutex<Underway>);

#[derive(Debug, Default)]
struct Underway {
    /// Of each piece of work, its first record, and its number: a record that is delivered again may lead another piece.
    firsts: BTreeSet<(i64, u64)>,
    begun: u64,
    /// After the last record begun or done with; `None` before the first.
    next: Option<i64>,
}

impl Watermark {
    /// A record is under way until its ack is called.
    #[must_use]
    pub fn begin(self: &Arc<Self>, offset: i64) -> OffsetAck {
        let mut underway = self.lock();
        underway.begun += 1;
        let first = (offset, underway.begun);
        underway.firsts.insert(first);
        underway.next = underway.next.max(Some(offset + 1));
        OffsetAck { watermark: Arc::clone(self), first, next: offset + 1 }
    }

    /// The offset to commit: everything before it is done. `None` before the first record.
    #[must_use]
    pub fn reached(&self) -> Option<i64> {
        let underway = self.lock();
        underway.firsts.first().map(|(offset, _)| *offset).or(underway.next)
    }

    fn lock(&self) -> MutexGuard<'_, Underway> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves the watermark of a partition. Dropped, it holds the watermark for good: its records will be delivered again.
#[derive(Debug)]
pub struct OffsetAck {
    watermark: Arc<Watermark>,
    first: (i64, u64),
    /// After the last record it stands for.
    next: i64,
}

impl OffsetAck {
    /// Whether a record comes before what it stands for.
    fn is_after(&self, offset: i64) -> bool {
        offset < self.first.0
    }

    /// Stands for a later record too. What lies between may be under way by itself.
    fn cover(&mut self, offset: i64) {
        // The watermark hears of it once it is done with: till then it waits at the first anyway.
        self.next = self.next.max(offset + 1);
    }

    /// What it stands for is done with.
    pub fn done(self) {
        let mut underway = self.watermark.lock();
        underway.next = underway.next.max(Some(self.next));
        underway.firsts.remove(&self.first);
    }
}

impl Item<OffsetAck> {
    /// One record of a partition.
    #[must_use]
    pub fn of(admission: Admission, ack: OffsetAck) -> Self {
        let Admission { record, quarantine, ignored_heartbeat: _ } = admission;
        Self { records: record.into_iter().collect(), quarantine, ack }
    }

    /// Takes in a later record of the same partition: many small ones then cost a lane little more than one.
    ///
    /// # Errors
    /// It comes back where it is to be a piece by itself. So does one before the first: the watermark would not wait for it.
    #[allow(clippy::result_large_err, reason = "it comes back whole, to be taken in another way")]
    pub fn join(&mut self, offset: i64, admission: Admission) -> Result<(), Admission> {
        let alone = !small(admission.record.as_ref(), &admission.quarantine) || !small(self.records.last(), &self.quarantine);
        if alone || self.records.len() >= PIECE_RECORDS || self.ack.is_after(offset) {
            return Err(admission);
        }
        self.ack.cover(offset);
        if self.records.len() == self.records.capacity() {
            // Where some follow, most often many do; but a piece of few is not to weigh more than it counts.
            self.records.reserve_exact(3 * self.records.len());
        }
        self.records.extend(admission.record);
        Ok(())
    }
}

/// Whether a record goes together with others: nothing of it was kept out, and it has few crossings.
fn small(record: Option<&(DpuId, Record)>, quarantine: &[Quarantined]) -> bool {
    quarantine.is_empty() && record.is_some_and(|(_, record)| record.crossings.len() <= SMALL_CROSSINGS)
}

impl Ack for OffsetAck {
    fn durable(self, _outcome: Outcome) {
        self.done();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watermark_waits_for_the_slowest_record() {
        let watermark = Arc::new(Watermark::default());
        assert_eq!(watermark.reached(), None);
        // Offsets may have gaps.
        let [five, six, nine] = [5, 6, 9].map(|offset| watermark.begin(offset));
        six.done();
        assert_eq!(watermark.reached(), Some(5));
        five.done();
        assert_eq!(watermark.reached(), Some(9));
        nine.done();
        assert_eq!(watermark.reached(), Some(10));
        drop(watermark.begin(10));
        watermark.begin(11).done();
        assert_eq!(watermark.reached(), Some(10), "a record given up is not done");
    }

    #[test]
    fn the_first_record_of_a_piece_stands_for_all() {
        let watermark = Arc::new(Watermark::default());
        let mut piece = watermark.begin(5);
        let between = watermark.begin(6);
        piece.cover(7);
        assert_eq!(watermark.reached(), Some(5));
        piece.done();
        assert_eq!(watermark.reached(), Some(6), "what lies between is not done with it");
        between.done();
        assert_eq!(watermark.reached(), Some(8));
    }

    #[test]
    fn a_record_that_comes_again_leads_a_piece_of_its_own() {
        let watermark = Arc::new(Watermark::default());
        let (once, mut again) = (watermark.begin(1), watermark.begin(1));
        again.cover(2);
        once.done();
        assert_eq!(watermark.reached(), Some(1), "what came with it again is not done");
        again.done();
        assert_eq!(watermark.reached(), Some(3));
    }
}
