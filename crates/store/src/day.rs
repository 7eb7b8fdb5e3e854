//! What is kept of a day of a DPU: its opening, and where its segments begin, so that the one that holds an instant is
//! read by its number rather than searched for.

use occupancy::ledger::Totals;
use occupancy::time::{Day, UnixMs};

use crate::StoreError;
use crate::codec::{Reader, corrupt, instant, put_u64};
use crate::value::{put_totals, take_totals};

/// A day of a DPU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DayEntry {
    /// `None` only after a commit that was cut short.
    pub(crate) opening: Option<Totals>,
    /// When the first crossing of each segment was: number n at place n.
    pub(crate) starts: Vec<UnixMs>,
}

impl DayEntry {
    /// What is stored of a day; nothing where there is nothing.
    pub(crate) fn stored(day: Day, bytes: Option<&[u8]>) -> Result<Self, StoreError> {
        bytes.map_or_else(|| Ok(Self::default()), |bytes| Self::decode(day, bytes))
    }

    /// How many segments begin before an instant.
    pub(crate) fn begun_before(&self, at: UnixMs) -> usize {
        self.starts.partition_point(|start| *start < at)
    }

    /// As bytes: the opening, if there is one, then the ms from each start to the next, the first since midnight.
    pub(crate) fn encode(&self, day: Day) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + 4 * self.starts.len());
        out.push(u8::from(self.opening.is_some()));
        if let Some(opening) = self.opening {
            put_totals(&mut out, opening);
        }
        let mut before = day.start();
        for start in &self.starts {
            put_u64(&mut out, start.since(before).cast_unsigned());
            before = *start;
        }
        out
    }

    /// Reads what [`Self::encode`] wrote.
    pub(crate) fn decode(day: Day, bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader(bytes);
        let opening = match reader.byte()? {
            0 => None,
            1 => Some(take_totals(&mut reader)?),
            other => return Err(corrupt(&format!("a day begins with {other}"))),
        };
        let mut starts = Vec::with_capacity(reader.0.len() / 2);
        let mut before = day.start();
        while !reader.0.is_empty() {
            before = instant(before.ms().checked_add_unsigned(reader.u64()?))?;
            starts.push(before);
        }
        Ok(Self { opening, starts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use occupancy::time::DAY_MS;
    use proptest::prelude::{any, proptest};

    proptest! {
        #[test]
        fn entries_come_back(day in -30_000_i32..30_000, opening in any::<Option<(u64, u64)>>(), mut after_ms in proptest::collection::vec(0..DAY_MS, 0..50)) {
            after_ms.sort_unstable();
            let day = Day(day);
            let opening = opening.map(|(entered, exited)| Totals { entered, exited });
            let entry = DayEntry { opening, starts: after_ms.into_iter().map(|ms| day.start().plus_ms(ms)).collect() };
            assert_eq!(DayEntry::decode(day, &entry.encode(day)), Ok(entry));
        }

        #[test]
        fn any_bytes_are_an_entry_or_refused(day in any::<i32>(), bytes in any::<Vec<u8>>()) {
            match DayEntry::decode(Day(day), &bytes) {
                Ok(entry) => assert!(entry.starts.len() < bytes.len() && entry.starts.is_sorted()),
                Err(error) => assert!(matches!(error, StoreError::Corrupt(_))),
            }
        }
    }
}
