//! People counted per interval, as CSV: `start,dpu_id,entered,exited`, spread evenly over the interval.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::num::NonZeroU32;

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::id::DpuId;
use occupancy::time::UnixMs;
use wire::Report;

use crate::replay::table::{Columns, Row, Table};
use crate::replay::{Line, Problem, ReplayError, number};

const COLUMNS: Columns = Columns { names: &["start", "dpu_id", "entered", "exited"], required: 4, header: "start,dpu_id,entered,exited" };

/// The most people one row may count each way, and never more than the interval has ms.
pub const MAX_INTERVAL_CROSSINGS: u64 = 100_000;

/// Reads interval counts as CSV, each line a report of the interval's crossings and that the DPU was alive to its end.
///
/// Crossings have no more identity than `(at, direction)`, so within an interval no two of one direction share an
/// instant, and a DPU's intervals must not overlap: they come in order of time.
#[derive(Debug)]
pub struct Intervals<R> {
    table: Table<R>,
    interval_ms: NonZeroU32,
    /// Up to when each DPU's intervals were read.
    ends: BTreeMap<DpuId, UnixMs>,
}

impl<R: BufRead> Intervals<R> {
    /// Reads the header; every row counts `interval_ms` from its start on.
    ///
    /// # Errors
    /// There is none, or its columns are not those.
    pub fn open(input: R, interval_ms: NonZeroU32) -> Result<Self, ReplayError> {
        Ok(Self { table: Table::open(input, COLUMNS)?, interval_ms, ends: BTreeMap::new() })
    }

    fn report(&mut self, row: &Row) -> Result<Report, Problem> {
        let length = self.interval_ms.get();
        let max = MAX_INTERVAL_CROSSINGS.min(length.into());
        let start: UnixMs = row.get(0).parse().map_err(Problem::Time)?;
        let dpu: DpuId = row.get(1).parse().map_err(Problem::Dpu)?;
        let (entered, exited) = (number("entered", row.get(2), max)?, number("exited", row.get(3), max)?);
        let end = start.plus_ms(length.into());
        match self.ends.get(&dpu).filter(|end| start < **end) {
            Some(end) => return Err(Problem::Overlap { start, end: *end }),
            None => self.ends.insert(dpu.clone(), end),
        };
        let keys = |count, direction| spread(start, length, count).map(move |at| Key { at, boot: 0, seq: 0, direction });
        let mut keys: Vec<Key> = keys(entered, Direction::Plus).chain(keys(exited, Direction::Minus)).collect();
        keys.sort_unstable();
        let heartbeat = Some(Heartbeat { at: end.plus_ms(-1), boot: 0, last_seq: 0 });
        Ok(Report { dpu, crossings: keys.into_iter().map(Ok).collect(), heartbeat, accept_clock: false })
    }
}

impl<R: BufRead> Iterator for Intervals<R> {
    type Item = Result<Line, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.table.next_row()?;
        Some(row.and_then(|row| {
            let report = self.report(&row).map_err(|problem| ReplayError { line: row.number, problem })?;
            Ok(Line { number: row.number, report })
        }))
    }
}

/// `count` instants in `[start, start + length_ms)`, each in the middle of its equal share; distinct up to one a ms.
fn spread(start: UnixMs, length_ms: u32, count: u64) -> impl Iterator<Item = UnixMs> {
    let length = u64::from(length_ms);
    (0..count).map(move |i| start.plus_ms(((2 * i + 1) * length / (2 * count)).cast_signed()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn crossings_are_spread_within_their_interval_each_at_its_own_instant(length in 1..=10_000_000_u32, share in any::<u32>()) {
            let count = u64::from(share) % (MAX_INTERVAL_CROSSINGS.min(length.into()) + 1) / (1 + u64::from(share % 7));
            let start = UnixMs::CLOCK_SET;
            let at: Vec<UnixMs> = spread(start, length, count).collect();
            let inside: BTreeSet<UnixMs> = at.iter().copied().filter(|at| (0..length.into()).contains(&at.since(start))).collect();
            prop_assert_eq!(inside.len() as u64, count);
            prop_assert_eq!(at.len() as u64, count);
        }
    }

    #[test]
    fn an_interval_can_be_full() {
        let at: Vec<i64> = spread(UnixMs::CLOCK_SET, 4, 4).map(|at| at.since(UnixMs::CLOCK_SET)).collect();
        assert_eq!(at, [0, 1, 2, 3]);
    }
}
