//! Where the rows of one write go: into segments, or among the hot rows beside the counters. Pure but for what it reads.

use std::collections::BTreeMap;

use occupancy::crossing::Key;
use occupancy::ledger::Row;
use occupancy::time::Day;

use crate::segment::End;
use crate::{LedgerWrite, StoreError, segment};

/// From so many hot rows on they become segments: below, each commit writes them anew.
const HOT_ROWS: usize = 32;

/// What changes for one DPU.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Laid {
    /// For some days, how many of its segments stay; of the others, all do.
    pub(crate) kept: BTreeMap<Day, usize>,
    /// Segments to write after those that stay, in key order.
    pub(crate) segments: Vec<Vec<Row>>,
    /// What is hot from now on, packed.
    pub(crate) hot: Vec<u8>,
}

/// A few rows that stay hot beside those that are, written to `grown`: most commits, and nothing is unpacked. How what is
/// hot ends then; `None` where there is more to do. `end` is how it ends so far, where that is known.
pub(crate) fn grow(
    grown: &mut Vec<u8>,
    hot: &[u8],
    end: Option<End>,
    write: &LedgerWrite,
    hot_day: Option<Day>,
) -> Result<Option<End>, StoreError> {
    let Some(last) = write.rows.last().copied().filter(|last| Some(last.key.at.day()) == hot_day) else { return Ok(None) };
    let end = if end.is_some() { end } else { segment::end(hot)? };
    grown.clear();
    grown.extend_from_slice(hot);
    let added = segment::extend(grown, end, &write.rows, HOT_ROWS - 1);
    Ok(added.then(|| End { rows: end.map_or(0, |end| end.rows) + write.rows.len(), last }))
}

/// Rows that all come after what is stored: nothing is read. `hot_day` is the last day of the ledger, or `None` where
/// nothing may be hot.
pub(crate) fn append(mut hot: Vec<Row>, write: &LedgerWrite, hot_day: Option<Day>) -> Laid {
    hot.extend_from_slice(&write.rows);
    let mut laid = Laid::default();
    laid.cut(&hot, hot_day);
    laid
}

/// Any rows: those stored of the days they touch are read with `segments_from`, which gives the number of the segment
/// that could hold the key and the rows of that day from there on.
pub(crate) fn merge(
    hot: Vec<Row>,
    write: &LedgerWrite,
    hot_day: Option<Day>,
    mut segments_from: impl FnMut(Key) -> Result<(usize, Vec<Row>), StoreError>,
) -> Result<Laid, StoreError> {
    let mut firsts: BTreeMap<Day, Key> = BTreeMap::new();
    for row in &write.rows {
        firsts.entry(row.key.at.day()).and_modify(|first| *first = row.key.min(*first)).or_insert(row.key);
    }
    let mut laid = Laid::default();
    let mut rows: BTreeMap<Key, Row> = BTreeMap::new();
    for (day, first) in &firsts {
        let (kept, stored) = segments_from(*first)?;
        laid.kept.insert(*day, kept);
        rows.extend(stored.into_iter().map(|row| (row.key, row)));
    }
    let was_hot = segment::day_of(&hot);
    if was_hot == hot_day && !firsts.keys().any(|day| Some(*day) == was_hot) {
        laid.hot = segment::encode(&hot);
    } else {
        rows.extend(hot.into_iter().map(|row| (row.key, row)));
    }
    rows.extend(write.rows.iter().map(|row| (row.key, *row)));
    laid.cut(&rows.into_values().collect::<Vec<_>>(), hot_day);
    Ok(laid)
}

impl Laid {
    /// Cuts rows into segments; the end of `hot_day` stays hot while it is short.
    fn cut(&mut self, rows: &[Row], hot_day: Option<Day>) {
        let mut cuts = segment::split(rows).peekable();
        while let Some(one) = cuts.next() {
            let hot = cuts.peek().is_none() && one.len() < HOT_ROWS && segment::day_of(one) == hot_day;
            if hot { self.hot = segment::encode(one) } else { self.segments.push(one.to_vec()) }
        }
    }
}
