//! Readers of recorded files: each line becomes a report, a bad line an error with its number that does not end the rest.
//!
//! - [`Crossings`]: CSV, `timestamp,direction,dpu_id` and optionally `boot,seq`.
//! - [`Intervals`]: CSV, `start,dpu_id,entered,exited`, the people counted in an interval from `start` on.
//! - [`Reports`]: NDJSON, a report as it is sent over HTTP on each line.
//!
//! The same file gives the same reports every time, so a replay may be repeated, or resumed after a line number: read
//! from the start and skip what was done.

mod crossings;
mod intervals;
mod lines;
mod reports;
mod table;

use occupancy::crossing::Key;
use occupancy::id::IdError;
use occupancy::time::{TimeError, UnixMs};
use wire::{Report, WireError};

pub use crossings::Crossings;
pub use intervals::Intervals;
pub use lines::MAX_LINE_BYTES;
pub use reports::Reports;

/// What one line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: u64,
    /// The report; it may hold many crossings.
    pub report: Report,
}

/// A line that cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ReplayError {
    /// Its number in the file, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a line, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read on; this one ends the reading.
    #[error("the file cannot be read on: {0}")]
    Io(String),
    /// Too long to be a line.
    #[error("longer than {MAX_LINE_BYTES} bytes: is this a text file with one record a line?")]
    TooLong,
    /// Not text.
    #[error("not UTF-8: save the file as UTF-8")]
    NotText,
    /// No header.
    #[error("the file is empty: its first line must be a header like `{0}`")]
    NoHeader(&'static str),
    /// The header lacks a column.
    #[error("the header has no column `{column}`: the first line must be a header like `{expected}`, in any order")]
    MissingColumn {
        /// The missing column.
        column: &'static str,
        /// A good header.
        expected: &'static str,
    },
    /// The header has a column this file should not have, or has it twice.
    #[error(
        "the header has column `{column}` {}: the columns are `{expected}`, rename or remove it",
        if *.repeated { "twice" } else { "too" }
    )]
    StrayColumn {
        /// The column.
        column: String,
        /// Whether it is known, but stands twice.
        repeated: bool,
        /// A good header.
        expected: &'static str,
    },
    /// Fewer or more fields than the header.
    #[error("{found} fields, but the header has {expected}: add or remove fields")]
    Fields {
        /// Fields of the line.
        found: usize,
        /// Fields of the header.
        expected: usize,
    },
    /// A quote is never closed.
    #[error("a quote is opened and not closed on the same line")]
    OpenQuote,
    /// Not a time.
    #[error("{0}: give the time with its offset, as in 2018-02-26T16:06:02.903Z or 2018-02-26T08:06:02-08:00")]
    Time(TimeError),
    /// Not a direction.
    #[error("direction {0:?} is none of 1, +1, -1, in, out, entry, exit, enter, entered, exited")]
    Direction(String),
    /// Not an id.
    #[error("dpu_id: {0}")]
    Dpu(IdError),
    /// Not a number that may stand there.
    #[error("{column} {found:?} is not a whole number from 0 to {max}")]
    Number {
        /// Its column.
        column: &'static str,
        /// What stands there.
        found: String,
        /// The largest allowed.
        max: u64,
    },
    /// An interval begins before the DPU's previous one has ended.
    #[error(
        "it starts at {start}, but the DPU's interval before ends at {end}: \
         sort the file by start, give the true length of intervals, remove repeated rows"
    )]
    Overlap {
        /// Where it starts.
        start: UnixMs,
        /// Where the one before ends.
        end: UnixMs,
    },
    /// Not a JSON object.
    #[error("not a JSON object: each line holds one report, {{\"dpu_id\": ..., \"crossings\": [...]}}")]
    NotAnObject,
    /// Not a report.
    #[error("not a report: {0}")]
    Report(WireError),
    /// A crossing or the heartbeat of a report cannot be read; the rest of the report follows.
    #[error("part {index} of the report: {detail}; the rest of it is replayed")]
    Part {
        /// Which crossing, from 0; the heartbeat comes after the last one.
        index: usize,
        /// What is wrong with it.
        detail: String,
    },
}

/// Reads a number of a column.
fn number(column: &'static str, text: &str, max: u64) -> Result<u64, Problem> {
    let good = text.parse().ok().filter(|number| *number <= max);
    good.ok_or_else(|| Problem::Number { column, found: excerpt(text), max })
}

/// Reads a run or number of a crossing; 0 where the field is empty.
fn counter(column: &'static str, text: &str) -> Result<u64, Problem> {
    if text.is_empty() { Ok(0) } else { number(column, text, Key::MAX_COUNTER) }
}

/// Not more of a text than an error can show.
fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}
