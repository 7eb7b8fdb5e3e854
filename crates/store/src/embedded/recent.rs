//! Records kept as they are stored, so that a commit need not look for those of its DPUs in the tree.
//!
//! # Guarantees
//!
//! What is kept is what is stored: one write at a time takes it all, changes it with what it writes, and gives it back once
//! that is durable. A write that fails gives nothing back.

use std::collections::HashMap;
use std::num::NonZeroU8;

use fjall::Slice;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Row};
use occupancy::time::UnixMs;

use crate::segment::End;

/// How many records are kept, in some 4 MB: those of the DPUs that report first, as one DPU reports about as often as
/// another. A larger fleet would only push its own out again and again.
const MOST: usize = 28_000;

/// Records by DPU.
#[derive(Default)]
pub(super) struct Recent(HashMap<DpuId, Held>);

/// A record.
pub(super) struct Held {
    /// As it is stored; empty while that is not known.
    pub(super) record: Slice,
    /// How its hot rows end, where that is known: it spares a walk through them all.
    pub(super) tip: Option<Tip>,
}

impl Default for Held {
    fn default() -> Self {
        Self { record: Slice::from([]), tip: None }
    }
}

/// How hot rows end whose last is the one that the counters tell: what these do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tip {
    rows: NonZeroU8,
    appended_at: UnixMs,
}

impl Tip {
    /// Of hot rows that end so beside these counters.
    pub(super) fn of(end: End, counters: &Counters) -> Option<Self> {
        let End { rows, last: Row { key, totals, appended_at } } = end;
        let rows = u8::try_from(rows).ok().and_then(NonZeroU8::new)?;
        (counters.last == Some(key) && counters.day == totals).then_some(Self { rows, appended_at })
    }

    /// The end, beside the same counters.
    pub(super) fn end(self, counters: &Counters) -> Option<End> {
        let last = Row { key: counters.last?, totals: counters.day, appended_at: self.appended_at };
        Some(End { rows: self.rows.get().into(), last })
    }
}

impl Recent {
    /// Where the record of a DPU is kept, if there is room; empty while it is not known.
    pub(super) fn place(&mut self, dpu: &DpuId) -> Option<&mut Held> {
        if self.0.len() < MOST {
            return Some(self.0.entry(dpu.clone()).or_default());
        }
        self.0.get_mut(dpu)
    }
}

#[cfg(test)]
mod tests {
    use occupancy::crossing::{Direction, Key};
    use occupancy::ledger::Totals;

    use super::*;

    #[test]
    fn the_first_to_come_are_kept() {
        let mut recent = Recent::default();
        for n in 0..MOST + 2 {
            let dpu: DpuId = format!("d{n}").parse().unwrap();
            let place = recent.place(&dpu);
            assert_eq!(place.as_ref().map(|kept| kept.record.is_empty()), (n < MOST).then_some(true), "{n}");
            place.into_iter().for_each(|kept| kept.record = Slice::from(n.to_le_bytes()));
        }
        let first = recent.place(&"d7".parse().unwrap()).map(|kept| kept.record.clone());
        assert_eq!(first.as_deref(), Some(&7_usize.to_le_bytes()[..]));
    }

    #[test]
    fn a_tip_is_the_end_or_there_is_none() {
        let key = Key { at: UnixMs::new(7).unwrap(), boot: 1, seq: 2, direction: Direction::Plus };
        let totals = Totals { entered: 3, exited: 1 };
        let end = |rows, entered| End { rows, last: Row { key, totals: Totals { entered, ..totals }, appended_at: UnixMs::MAX } };
        let counters = Counters { day: totals, last: Some(key), ..Counters::default() };
        let back = |end, counters: &Counters| Tip::of(end, counters).and_then(|tip| tip.end(counters));
        assert_eq!([back(end(31, 3), &counters), back(end(1, 3), &counters)], [Some(end(31, 3)), Some(end(1, 3))]);
        assert_eq!([back(end(31, 4), &counters), back(end(256, 3), &counters), back(end(0, 3), &counters)], [None; 3]);
        assert_eq!(back(end(31, 3), &Counters { last: None, ..counters }), None);
    }
}
