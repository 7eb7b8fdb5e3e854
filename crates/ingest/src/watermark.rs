//! How far a partition is done: records finish out of order, and an offset counts only when all before it are done.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::item::{Ack, Outcome};

/// The records of one partition that are under way.
#[derive(Debug, Default)]
pub struct Watermark(Mutex<Underway>);

#[derive(Debug, Default)]
struct Underway {
    offsets: BTreeSet<i64>,
    /// After the last record seen; `None` before the first.
    next: Option<i64>,
}

impl Watermark {
    /// A record is under way until its ack is called.
    #[must_use]
    pub fn begin(self: &Arc<Self>, offset: i64) -> OffsetAck {
        let mut underway = self.lock();
        underway.offsets.insert(offset);
        underway.next = underway.next.max(Some(offset + 1));
        OffsetAck { watermark: Arc::clone(self), offset }
    }

    /// The offset to commit: everything before it is done. `None` before the first record.
    #[must_use]
    pub fn reached(&self) -> Option<i64> {
        let underway = self.lock();
        underway.offsets.first().copied().or(underway.next)
    }

    fn lock(&self) -> MutexGuard<'_, Underway> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves the watermark of a partition. Dropped, it holds the watermark for good: the record will be delivered again.
#[derive(Debug)]
pub struct OffsetAck {
    watermark: Arc<Watermark>,
    offset: i64,
}

impl OffsetAck {
    /// The record is done with.
    pub fn done(self) {
        self.watermark.lock().offsets.remove(&self.offset);
    }
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
}
