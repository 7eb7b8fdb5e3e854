//! Crossings as CSV: `timestamp,direction,dpu_id`, optionally `boot,seq`.

use std::io::BufRead;

use occupancy::crossing::{Direction, Key};
use wire::Report;

use crate::replay::table::{Columns, Row, Table};
use crate::replay::{Line, Problem, ReplayError, counter, excerpt};

const COLUMNS: Columns =
    Columns { names: &["timestamp", "direction", "dpu_id", "boot", "seq"], required: 3, header: "timestamp,direction,dpu_id,boot,seq" };

/// Reads crossings as CSV, each line a report of one.
///
/// The header may name `timestamp` (RFC 3339), `direction` (1, +1, in, entry, enter, entered, or -1, out, exit, exited),
/// `dpu_id`, `boot` and `seq` in any order; the last two may be absent. Of two equal lines one is a duplicate.
#[derive(Debug)]
pub struct Crossings<R> {
    table: Table<R>,
}

impl<R: BufRead> Crossings<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// There is none, or its columns are not those.
    pub fn open(input: R) -> Result<Self, ReplayError> {
        Ok(Self { table: Table::open(input, COLUMNS)? })
    }
}

impl<R: BufRead> Iterator for Crossings<R> {
    type Item = Result<Line, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.table.next_row()?;
        Some(row.and_then(|row| {
            let report = report(&row).map_err(|problem| ReplayError { line: row.number, problem })?;
            Ok(Line { number: row.number, report })
        }))
    }
}

fn report(row: &Row) -> Result<Report, Problem> {
    let at = row.get(0).parse().map_err(Problem::Time)?;
    let direction = direction(row.get(1))?;
    let dpu = row.get(2).parse().map_err(Problem::Dpu)?;
    let (boot, seq) = (counter("boot", row.get(3))?, counter("seq", row.get(4))?);
    Ok(Report { dpu, crossings: vec![Ok(Key { at, boot, seq, direction })], heartbeat: None, accept_clock: false })
}

fn direction(text: &str) -> Result<Direction, Problem> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "+1" | "in" | "entry" | "enter" | "entered" => Ok(Direction::Plus),
        "-1" | "out" | "exit" | "exited" => Ok(Direction::Minus),
        _ => Err(Problem::Direction(excerpt(text))),
    }
}
