//! What every embedded store reads the same way: totals at an instant, and the tail a merge rewrites.

use std::collections::BTreeMap;
use std::ops::Bound::{self, Excluded, Included};

use occupancy::crossing::{Direction, Key};
use occupancy::ledger::{DayTail, Row, Tail, Totals};
use occupancy::time::{DAY_MS, Day, UnixMs};

use crate::StoreError;

/// The ledger of one DPU as of one moment.
pub(crate) trait View {
    /// The latest opening at or before a day.
    fn opening(&self, until: Day) -> Result<Option<(Day, Totals)>, StoreError>;
    /// The openings at or after a day, in order.
    fn openings(&self, from: Day) -> Result<Vec<(Day, Totals)>, StoreError>;
    /// The first `limit` rows from a key on and within a bound that is not before it, in order.
    fn rows(&self, from: Key, until: Bound<Key>, limit: usize) -> Result<Vec<Row>, StoreError>;
    /// The last row of a day, before a key of it if one is given.
    fn last_row(&self, day: Day, before: Option<Key>) -> Result<Option<Row>, StoreError>;
}

/// The first and the last key a day can hold.
pub(crate) fn bounds(day: Day) -> (Key, Key) {
    let last = day.start().plus_ms(DAY_MS - 1);
    (Key::first_at(day.start()), Key { at: last, boot: u64::MAX, seq: u64::MAX, direction: Direction::Plus })
}

/// The totals over the crossings with `at` before `before`.
pub(crate) fn totals(view: &impl View, before: UnixMs) -> Result<Totals, StoreError> {
    let Some((day, opening)) = view.opening(before.plus_ms(-1).day())? else {
        return Ok(Totals::default());
    };
    let row = view.last_row(day, Some(Key::first_at(before)).filter(|key| key.at.day() == day))?;
    Ok(row.map_or(opening, |row| opening.plus(row.totals)))
}

/// The rows at or after key `from` and with `at` before `until`.
pub(crate) fn crossings(view: &impl View, from: Key, until: UnixMs, limit: usize) -> Result<Vec<Row>, StoreError> {
    let until = Key::first_at(until);
    if from < until { view.rows(from, Excluded(until), limit) } else { Ok(Vec::new()) }
}

/// What a merge of keys needs; `from` holds the first key to merge of each day, in order.
pub(crate) fn tail(view: &impl View, from: &[Key]) -> Result<Tail, StoreError> {
    let Some(first_day) = from.first().map(|key| key.at.day()) else {
        return Ok(Tail::default());
    };
    let mut days: BTreeMap<Day, DayTail> = BTreeMap::new();
    for (day, _) in view.openings(first_day)? {
        days.insert(day, DayTail { last: view.last_row(day, None)?, ..DayTail::default() });
    }
    for key in from {
        let (_, last) = bounds(key.at.day());
        let rows = view.rows(*key, Included(last), usize::MAX)?;
        let previous = view.last_row(key.at.day(), Some(*key))?;
        let before = previous.map_or(Totals::default(), |row| row.totals);
        if let Some(last) = rows.last().copied().or(previous) {
            days.insert(key.at.day(), DayTail { before, rows, last: Some(last) });
        }
    }
    Ok(Tail { before: totals_before_day(view, first_day)?, days })
}

/// The totals before a day, from the latest earlier day that holds a row: an opening without rows may be what a crash left.
fn totals_before_day(view: &impl View, day: Day) -> Result<Totals, StoreError> {
    let mut until = day;
    while let Some((day, opening)) = view.opening(Day(until.0.saturating_sub(1)))? {
        if let Some(row) = view.last_row(day, None)? {
            return Ok(opening.plus(row.totals));
        }
        until = day;
    }
    Ok(Totals::default())
}
