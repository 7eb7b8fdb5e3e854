//! People counted per interval, as CSV: `start,dpu_id,entered,exited`, spread over the interval.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::num::NonZeroU32;

use occupancy::id::DpuId;
use occupancy::time::UnixMs;
use wire::{Interval, Report};

use crate::replay::table::{Columns, Row, Table};
use crate::replay::{Line, Problem, ReplayError, number};

const COLUMNS: Columns = Columns { names: &["start", "dpu_id", "entered", "exited"], required: 4, header: "start,dpu_id,entered,exited" };

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
        let length_ms = self.interval_ms;
        let start: UnixMs = row.get(0).parse().map_err(Problem::Time)?;
        let dpu: DpuId = row.get(1).parse().map_err(Problem::Dpu)?;
        let count = |column, text| number(column, text, u64::from(Interval::most(length_ms)));
        let (entered, exited) = (count("entered", row.get(2))?, count("exited", row.get(3))?);
        let small = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let interval = Interval { start, length_ms, entered: small(entered), exited: small(exited) };
        let end = interval.end();
        match self.ends.get(&dpu).filter(|end| start < **end) {
            Some(end) => return Err(Problem::Overlap { start, end: *end }),
            None => self.ends.insert(dpu.clone(), end),
        };
        Ok(interval.report(dpu))
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
