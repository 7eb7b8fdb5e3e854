//! One DPU's ledger as of one moment: its days, their segments, and the hot rows beside its counters.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::ops::RangeBounds;
use std::rc::Rc;

use fjall::{Guard, Readable, Slice, Snapshot};
use occupancy::crossing::Key;
use occupancy::id::DpuId;
use occupancy::ledger::{Row, Totals};
use occupancy::time::{Day, UnixMs};

use super::{Tables, segment_number, store_error};
use crate::codec::corrupt;
use crate::day::DayEntry;
use crate::key::{StoreKey, decode_day, end_of};
use crate::value::Stored;
use crate::view::{self, View};
use crate::{StoreError, segment, value};

/// One DPU's ledger in a snapshot.
pub(super) struct FjallLedger<'a> {
    snapshot: &'a Snapshot,
    tables: &'a Tables,
    dpu: &'a DpuId,
    record: Option<Slice>,
    /// The day looked at last: look-ups of one DPU often fall into one.
    latest: RefCell<Option<(Day, Rc<DayEntry>)>>,
}

impl<'a> FjallLedger<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, tables: &'a Tables, dpu: &'a DpuId) -> Result<Self, StoreError> {
        let record = snapshot.get(&tables.counters, StoreKey::Counters(dpu).encode()).map_err(store_error)?;
        Ok(Self { snapshot, tables, dpu, record, latest: RefCell::default() })
    }

    /// The totals over the crossings with `at` before `before`.
    pub(super) fn totals(&self, before: UnixMs) -> Result<Totals, StoreError> {
        let stored = self.stored()?;
        if let Some(counters) = stored.counters.filter(|_| !stored.loose) {
            if counters.last.is_none_or(|last| last.at < before) {
                return Ok(counters.totals());
            }
            let hot = segment::last_within(stored.hot_rows(), |key| key.at < before)?;
            if let Some(hot) = hot {
                return Ok(counters.opening.plus(hot.totals));
            }
        }
        view::totals(self, before)
    }

    /// The number of the segment that could hold a key, and the rows of that day from there on, without the hot ones.
    pub(super) fn segments_from(&self, key: Key) -> Result<(usize, Vec<Row>), StoreError> {
        let day = key.at.day();
        let entry = self.day(day)?;
        let first = entry.begun_before(key.at).saturating_sub(1);
        let mut rows = Vec::new();
        for number in first..entry.starts.len() {
            for row in segment::decode(&self.segment(day, number)?) {
                rows.push(row?);
            }
        }
        Ok((first, rows))
    }

    /// What is kept of a day; nothing where there is nothing.
    pub(super) fn day(&self, day: Day) -> Result<Rc<DayEntry>, StoreError> {
        if let Some((_, entry)) = self.latest.borrow().as_ref().filter(|(latest, _)| *latest == day) {
            return Ok(Rc::clone(entry));
        }
        let bytes = self.snapshot.get(&self.tables.days, StoreKey::Day(self.dpu, Reverse(day)).encode()).map_err(store_error)?;
        let entry = Rc::new(DayEntry::stored(day, bytes.as_deref())?);
        self.latest.replace(Some((day, Rc::clone(&entry))));
        Ok(entry)
    }

    fn stored(&self) -> Result<Stored<'_>, StoreError> {
        self.record.as_ref().map_or_else(|| Ok(Stored::default()), |bytes| value::read_record(bytes))
    }

    fn segment(&self, day: Day, number: usize) -> Result<Slice, StoreError> {
        let key = StoreKey::Segment(self.dpu, day, segment_number(number)?).encode();
        let found = self.snapshot.get(&self.tables.crossings, key).map_err(store_error)?;
        found.ok_or_else(|| corrupt(&format!("segment {number} of day {} of DPU {} is missing", day.0, self.dpu)))
    }

    /// The openings among stored days.
    fn opening_in(&self, guard: Guard) -> Result<Option<(Day, Totals)>, StoreError> {
        let (key, bytes) = guard.into_inner().map_err(store_error)?;
        let day = decode_day(self.dpu, &key)?;
        Ok(DayEntry::decode(day, &bytes)?.opening.map(|opening| (day, opening)))
    }
}

impl View for FjallLedger<'_> {
    fn opening(&self, until: Day) -> Result<Option<(Day, Totals)>, StoreError> {
        // Most often the day itself was active: one look at it costs less than a search through every run.
        if let Some(opening) = self.day(until)?.opening {
            return Ok(Some((until, opening)));
        }
        let key = StoreKey::Day(self.dpu, Reverse(until)).encode();
        let mut earlier = self.snapshot.range(&self.tables.days, (Excluded(key), Excluded(end_of(self.dpu))));
        earlier.find_map(|guard| self.opening_in(guard).transpose()).transpose()
    }

    fn openings(&self, from: Day) -> Result<Vec<(Day, Totals)>, StoreError> {
        let bytes = |day| StoreKey::Day(self.dpu, Reverse(day)).encode();
        let newest_first = self.snapshot.range(&self.tables.days, bytes(Day(i32::MAX))..=bytes(from));
        newest_first.rev().filter_map(|guard| self.opening_in(guard).transpose()).collect()
    }

    fn rows(&self, from: Key, until: Bound<Key>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let span = (Included(from), until);
        let day = from.at.day();
        let first = segment_number(self.day(day)?.begun_before(from.at).saturating_sub(1))?;
        let last_day = match until {
            Included(key) | Excluded(key) => key.at.day(),
            Unbounded => Day(i32::MAX),
        };
        let bytes = |day, number| StoreKey::Segment(self.dpu, day, number).encode();
        let mut rows = Vec::new();
        'segments: for guard in self.snapshot.range(&self.tables.crossings, bytes(day, first)..=bytes(last_day, u32::MAX)) {
            for row in segment::decode(&guard.value().map_err(store_error)?) {
                let row = row?;
                if rows.len() == limit || !(Unbounded, until).contains(&row.key) {
                    break 'segments;
                }
                if span.contains(&row.key) {
                    rows.push(row);
                }
            }
        }
        for row in self.stored()?.hot_rows() {
            let row = row?;
            if rows.len() < limit && span.contains(&row.key) {
                rows.push(row);
            }
        }
        Ok(rows)
    }

    fn last_row(&self, day: Day, before: Option<Key>) -> Result<Option<Row>, StoreError> {
        let within = |key: &Key| key.at.day() == day && before.is_none_or(|before| *key < before);
        if let Some(hot) = segment::last_within(self.stored()?.hot_rows(), within)? {
            return Ok(Some(hot));
        }
        let entry = self.day(day)?;
        let begun = before.map_or(entry.starts.len(), |before| entry.begun_before(before.at.plus_ms(1)));
        for number in (0..begun).rev() {
            let last = segment::last_within(segment::decode(&self.segment(day, number)?), within)?;
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }
}
